"""Hundreds of switches in one process: OpenFlow 1.4 and OVSDB, as the controller sees them.

A simulated switch keeps what it is sent and tells it again byte for byte; it forwards nothing and
checks little.  What ovs-vswitchd does, it does at once: a port has its number, and ``cur_cfg``
its value, as soon as the database has the change.
"""

"""What is true: networks, keys, interfaces, switches and ports.  Pure, no I/O.

`ryu_l2iso.state.state.State` takes facts in any order and keeps what follows from them.
"""

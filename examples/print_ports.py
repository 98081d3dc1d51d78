"""Prints what becomes of ports: ``l2iso-manager gre_tunnel rest examples/print_ports.py``."""

from ryu_l2iso import events
from ryu_l2iso.framework import BaseApp, set_ev_cls


class PrintPorts(BaseApp):
    """Observes the port events of quantum_adapter, which is loaded with it."""

    @set_ev_cls(events.EventVMPort)
    def vm_port(self, ev):
        port = ev.port
        print(f"VM port {ev.change}: {port.name} of {port.network_id}, MAC {port.mac}", flush=True)

    @set_ev_cls(events.EventTunnelPort)
    def tunnel_port(self, ev):
        print(f"tunnel port {ev.change}: to switch {ev.port.remote_dpid:016x}", flush=True)

    @set_ev_cls(events.EventExternalPort)
    def external_port(self, ev):
        print(f"external port {ev.change}: {ev.port.name}", flush=True)

"""A learning switch as Ryu's own example has it (``ryu/app/simple_switch_14.py``).

os-ken comes without the examples.  For each packet it learns the source, installs a flow when it
knows the destination, and sends the packet on, all by the framework's classes; a flow is not
confirmed.  What the example logs of each packet is not logged here.
"""

from __future__ import annotations

from typing import Any

from os_ken.base.app_manager import OSKenApp
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_4


class LearningSwitch(OSKenApp):
    """dpid → MAC → port."""

    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ports: dict[int, dict[str, int]] = {}

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def connected(self, ev: Any) -> None:
        """Have every packet sent here."""
        datapath = ev.msg.datapath
        parser, ofp = datapath.ofproto_parser, datapath.ofproto
        actions = [parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)]
        _add_flow(datapath, 0, parser.OFPMatch(), actions)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_arrived(self, ev: Any) -> None:
        """Learn, install, send on."""
        msg = ev.msg
        datapath, port_no = msg.datapath, msg.match["in_port"]
        parser, ofp = datapath.ofproto_parser, datapath.ofproto
        header = packet.Packet(msg.data).get_protocols(ethernet.ethernet)[0]
        known = self._ports.setdefault(datapath.id, {})
        known[header.src] = port_no
        out = known.get(header.dst, ofp.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(out)]
        if out != ofp.OFPP_FLOOD:
            match = parser.OFPMatch(in_port=port_no, eth_dst=header.dst, eth_src=header.src)
            _add_flow(datapath, 1, match, actions)
        datapath.send_msg(
            parser.OFPPacketOut(
                datapath=datapath,
                buffer_id=msg.buffer_id,
                in_port=port_no,
                actions=actions,
                data=msg.data,
            )
        )


def _add_flow(datapath: Any, priority: int, match: Any, actions: list[Any]) -> None:
    parser, ofp = datapath.ofproto_parser, datapath.ofproto
    does = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
    mod = parser.OFPFlowMod(datapath=datapath, priority=priority, match=match, instructions=does)
    datapath.send_msg(mod)

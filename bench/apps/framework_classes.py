"""Programs one switch by the framework's own classes; prints ``SYNCED``, seconds, flow-mods."""

from __future__ import annotations

import itertools
import time
from typing import Any

from os_ken.base.app_manager import OSKenApp
from os_ken.controller import ofp_event
from os_ken.controller.handler import MAIN_DISPATCHER, set_ev_cls
from os_ken.ofproto import ofproto_v1_4

from bench.apps.gre_flows import DPID, Source
from ryu_l2iso.pipelines.flow import Action, Flow, Output, SetTunnelId, ToGroup

MOST = 20_000
"""Flows that are sent: all of them would only take longer."""


class FrameworkClasses(OSKenApp):
    """Sends flow-mods one by one, and a barrier."""

    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        source = Source()
        pieces = (p for subject in source.subjects(DPID) for p in source.desired(DPID, subject))
        flows = (p for p in pieces if isinstance(p, Flow) and not _uses_group(p))
        self._flows = list(itertools.islice(flows, MOST))
        self._start = 0.0

    @set_ev_cls(ofp_event.EventOFPStateChange, MAIN_DISPATCHER)
    def connected(self, ev: Any) -> None:
        """Send all flows."""
        self._start = time.monotonic()
        for flow in self._flows:
            ev.datapath.send_msg(_flow_mod(ev.datapath, flow))
        ev.datapath.send_barrier()

    @set_ev_cls(ofp_event.EventOFPBarrierReply, MAIN_DISPATCHER)
    def done(self, ev: Any) -> None:
        """Print how long it took."""
        print(f"SYNCED {time.monotonic() - self._start} {len(self._flows)}", flush=True)


def _uses_group(flow: Flow) -> bool:
    return any(isinstance(action, ToGroup) for action in flow.actions)


def _flow_mod(datapath: Any, flow: Flow) -> Any:
    parser, ofp = datapath.ofproto_parser, datapath.ofproto
    fields = {name: value for name, value in flow.match._asdict().items() if value is not None}
    actions = [_action(parser, action) for action in flow.actions]
    does = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)] if actions else []
    if flow.goto is not None:
        does.append(parser.OFPInstructionGotoTable(flow.goto))
    return parser.OFPFlowMod(
        datapath,
        cookie=flow.cookie,
        table_id=flow.table,
        priority=flow.priority,
        match=parser.OFPMatch(**fields),
        instructions=does,
    )


def _action(parser: Any, action: Action) -> Any:
    if isinstance(action, SetTunnelId):
        return parser.OFPActionSetField(tunnel_id=action.tunnel_id)
    assert isinstance(action, Output)
    return parser.OFPActionOutput(action.port_no)

"""A cloud whose networks are told apart by MACs: no keys, external ports on one flat network."""

from __future__ import annotations

from ryu_l2iso.pipelines.mac import MacPipeline
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, OFPort, PortId
from ryu_l2iso.state.state import State
from tests.unit.cloud import Cloud
from tests.unit.evaluator import Evaluator

UPLINK = 500
RATE = 10


class MacCloud(Cloud):
    """Short words for what happens in such a cloud."""

    def __init__(self, learning_max: int = 64) -> None:
        super().__init__()
        self.state = State()
        self.state.macs.tell_apart(learning_max)

    def networks(self, *network_ids: str) -> None:
        """Register networks."""
        for network_id in network_ids:
            self.state.add_network(network_id)

    def uplink(self, dpid: int, port_no: int = UPLINK) -> PortId:
        """Add an external port to a switch."""
        self.state.ports.set_of_port(dpid, OFPort(port_no, f"eth{port_no}", up=True))
        self.state.ensure_port(NW_ID_EXTERNAL, PortId(dpid, port_no))
        return PortId(dpid, port_no)

    def learned(self, dpid: int, port_no: int) -> list[str]:
        """Return what a port has learned."""
        return self.state.macs.learned(PortId(dpid, port_no))

    def evaluator(self, flat: bool = True) -> Evaluator:
        """Return what becomes of packets in this cloud as it is now."""
        return Evaluator(self.state, MacPipeline(self.state, RATE), flat)

    def refusals(self) -> list[str]:
        """Return, and forget, what was told of refused MACs."""
        return [str(refusal) for refusal in self.state.changes.take().refusals]

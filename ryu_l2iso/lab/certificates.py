"""The lab's certificates: the controller's, and one for each node, which names its switch."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from ryu_l2iso import pki
from ryu_l2iso.state.values import parse_dpid

CONTROLLER = "controller"


class Certificates:
    """Keys and certificates in a directory, to be made when the dpids of the nodes are known."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = directory / f"{pki.CONTROLLER_CA}.pem"
        """What everybody verifies the controller with."""

    def make(self, controller: str, dpids: Mapping[str, str]) -> None:
        """Make all of them; ``controller`` is its address, ``dpids`` those of nodes by name."""
        pki.make_authorities(self.directory)
        pki.make_controller(self.directory, CONTROLLER, [controller])
        for name, dpid in dpids.items():
            pki.make_node(self.directory, name, [parse_dpid(dpid)])

    def controller_options(self) -> list[str]:
        """Return the lines of the controller's options, of the section DEFAULT."""
        return [
            f"ctl_privkey = {self.directory / CONTROLLER}.key",
            f"ctl_cert = {self.directory / CONTROLLER}.pem",
            f"ca_certs = {self.directory / pki.NODE_CA}.pem",
        ]

    def agent_options(self, node: str) -> list[str]:
        """Return the options of a node's agent."""
        return [
            *("--private-key", f"{self.directory / node}.key"),
            *("--certificate", f"{self.directory / node}.pem"),
            *("--ca-cert", str(self.ca)),
        ]

    def client_context(self) -> ssl.SSLContext:
        """Return what a REST client verifies the controller with."""
        return ssl.create_default_context(cafile=str(self.ca))

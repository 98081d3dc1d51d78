"""The lab's tokens: the plugin's, the operator's and one for each node's agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ryu_l2iso.state.values import parse_dpid
from ryu_l2iso.tokens import AGENT, PLUGIN, new_token

OPERATOR = "operator"


class Tokens:
    """Tokens in files of a directory, to be made when the dpids of the nodes are known.

    ``file`` is the controller's; ``header`` holds the plugin's header line, for curl -H @FILE.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.file = directory / "tokens"
        self.header = directory / "plugin.header"
        self._tokens: dict[str, str] = {}

    def make(self, dpids: Mapping[str, str]) -> None:
        """Make all of them; ``dpids`` are those of the nodes by their names."""
        numbers = {name: parse_dpid(dpid) for name, dpid in dpids.items()}
        lines = [self._new(PLUGIN, PLUGIN), self._new(OPERATOR, AGENT, list(numbers.values()))]
        for name, dpid in numbers.items():
            lines.append(self._new(name, AGENT, [dpid]))
            _write(self.of_agent(name), self._tokens[name])
        _write(self.header, f"Authorization: Bearer {self._tokens[PLUGIN]}")
        _write(self.file, "\n".join(lines))

    def of_agent(self, node: str) -> Path:
        """Return the file with the token of a node's agent."""
        return self._directory / f"{node}-agent.token"

    def for_path(self, path: str) -> str:
        """Return the token that a call below /v1.0 is made with: the plugin's, or, for the
        configuration of switches, the operator's.
        """
        return self._tokens[OPERATOR if path.startswith("/conf/") else PLUGIN]

    def _new(self, name: str, role: str, dpids: Sequence[int] = ()) -> str:
        self._tokens[name], line = new_token(name, role, dpids)
        return line


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")

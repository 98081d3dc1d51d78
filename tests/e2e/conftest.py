"""Labs for the end-to-end tests: real Open vSwitch in namespaces, real packets, real processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ryu_l2iso.lab import demo
from ryu_l2iso.lab.shell import missing_requirement
from ryu_l2iso.lab.topology import Lab


@pytest.fixture(scope="session", autouse=True)
def _requirements() -> None:
    lack = missing_requirement()
    if lack is not None:
        pytest.skip(lack)


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Yield the demo's lab, wired by the controller; its logs stay when a test has failed.

    A module may set ISOLATION.
    """
    failed_before = request.session.testsfailed
    with Lab(isolation=getattr(request.module, "ISOLATION", "gre")) as made:
        print(f"logs, if a test fails: {made.directory}")
        made.keep_logs = True
        demo.start(made)
        demo.wire(made)
        yield made
        made.keep_logs = request.session.testsfailed > failed_before

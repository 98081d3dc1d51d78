"""Fixtures of the functional tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.ovs import OVS
from tests.functional.pki import Pki


@pytest.fixture
def ovs() -> Iterator[OVS]:
    """Return a private Open vSwitch that ends with the test."""
    with OVS() as running:
        yield running


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Return certificates, good and bad; a test that replaces some makes its own."""
    made = Pki(tmp_path_factory.mktemp("pki") / "pki")
    made.add_bad()
    return made

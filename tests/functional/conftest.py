"""Fixtures of the functional tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.ovs import OVS


@pytest.fixture
def ovs() -> Iterator[OVS]:
    """Return a private Open vSwitch that ends with the test."""
    with OVS() as running:
        yield running

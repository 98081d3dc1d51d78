"""What networks wait for, as REST tells it."""

from __future__ import annotations

import pytest

from ryu_l2iso.state.records import MAC_NETWORKS, Record
from tests.unit.mac_cloud import MacCloud
from tests.unit.rest_client import Client, Reply, check_error

SWITCH = "/v1.0/conf/switches/0000000000000001"
BLUE = "/v1.0/tunnels/networks/blue"


@pytest.fixture
def client() -> Client:
    """Return a client of a state in which "blue" waits for a key of "red" that switch 1 has."""
    made = Client()
    for network_id in ("red", "blue"):
        made.state.add_network(network_id)
    made.state.add_key("blue", 10)
    made.state.confirmations.put_held(1, "red", 10)
    return made


def refused(reply: Reply, code: int, field: str) -> None:
    """Assert that a call was refused because of a field."""
    check_error(reply)
    assert reply.code == code
    assert reply.value["error"]["message"].startswith(f"{field}: ")


def test_a_network_tells_the_switches_that_its_key_waits_for(client: Client) -> None:
    assert client.call("GET", f"{BLUE}/waits_for").value == ["0000000000000001"]
    client.state.confirmations.holds_only(1, set())
    assert client.call("GET", f"{BLUE}/waits_for").value == []
    refused(client.call("GET", "/v1.0/tunnels/networks/red/waits_for"), 404, "key")


def test_a_switch_tells_what_is_waited_for_registered_or_not(client: Client) -> None:
    wait = [{"network_id": "blue", "key": 10}]
    assert client.call("GET", SWITCH).value == ["waited_for"]
    assert client.call("GET", f"{SWITCH}/waited_for").value == wait
    assert client.call("PUT", f"{SWITCH}/rack", b"1").code == 201
    assert client.call("GET", SWITCH).value == ["rack", "waited_for"]
    refused(client.call("PUT", f"{SWITCH}/waited_for", b"1"), 409, "waited_for")
    client.state.confirmations.holds_only(1, set())
    assert client.call("GET", SWITCH).value == ["rack"]
    refused(client.call("GET", f"{SWITCH}/waited_for"), 404, "waited_for")


def test_a_switch_that_is_not_registered_can_be_said_to_be_gone(client: Client) -> None:
    assert client.call("DELETE", SWITCH).code == 202
    # As the app that programs switches says when it is on disk.
    client.state.confirmations.dismissal_recorded(1)
    assert client.call("GET", f"{BLUE}/waits_for").value == []
    refused(client.call("DELETE", SWITCH), 404, "dpid")


def test_a_mac_that_is_waited_for() -> None:
    client, cloud, mac = Client(), MacCloud(), "fa:16:3e:00:00:01"
    client.state.networks.key_range = None
    client.state.macs.tell_apart(4)
    cloud.state = client.state
    cloud.networks("red", "blue")
    client.state.confirmations.put_held(1, "red", None)
    client.state.apply([Record(MAC_NETWORKS, (mac,), ("red",))])
    cloud.plug(2, 1, "blue", mac)
    wait = [{"network_id": "blue", "mac": mac}]
    assert client.call("GET", f"{SWITCH}/waited_for").value == wait

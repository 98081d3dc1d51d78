"""What the documentation says of the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ryu_l2iso.pipelines import gre, mac, vlan
from ryu_l2iso.pipelines.table import Pipeline
from ryu_l2iso.state.ports import NW_ID_EXTERNAL, InterfaceFact, OFPort, PortId
from tests.unit.cloud import Cloud
from tests.unit.evaluator import Evaluator
from tests.unit.mac_cloud import MacCloud

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PIPELINES = {"gre": gre.PIPELINE, "mac": mac.PIPELINE, "vlan": vlan.PIPELINE}


def page(name: str) -> str:
    """Return the text of the page of a pipeline."""
    return (DOCS / f"pipeline-{name}.rst").read_text(encoding="utf-8")


def test_every_pipeline_has_its_page() -> None:
    assert {path.stem for path in DOCS.glob("pipeline-*")} == {f"pipeline-{n}" for n in PIPELINES}
    assert len({pipeline.app for pipeline in PIPELINES.values()}) == len(PIPELINES)


@pytest.mark.parametrize(("name", "pipeline"), PIPELINES.items())
def test_every_table_and_its_purpose_stand_in_the_page_and_no_others(
    name: str, pipeline: Pipeline
) -> None:
    told = re.findall(r"^Table (\w+)\n-+\n\n(.+)\n\nMiss: (.+)$", page(name), re.MULTILINE)
    assert told == [(t.name, t.purpose, t.miss) for t in pipeline.tables]


@pytest.mark.parametrize(("name", "pipeline"), PIPELINES.items())
def test_every_reason_stands_in_the_page_with_its_cookie(name: str, pipeline: Pipeline) -> None:
    told = {
        (int(number, 16), reason)
        for number, reason in re.findall(r"``([0-9a-f]{2})`` ([A-Z_]+)", page(name))
    }
    assert told == {(reason.value, reason.name) for reason in pipeline.reasons}


def dump(name: str) -> list[str]:
    """Return the flows that stand in the page of a pipeline."""
    return sorted(re.findall(r"^  (cookie=.+)$", page(name), re.MULTILINE))


def test_the_dump_in_the_page_of_gre_is_what_a_switch_holds() -> None:
    cloud = Cloud()
    cloud.network("red", 42)
    for dpid in (1, 2):
        cloud.switch(dpid)
        cloud.plug(dpid, dpid, "red", f"fa:16:3e:00:00:0{dpid}")
    cloud.update_tunnels()
    assert dump("gre") == Evaluator(cloud.state).flows(1)


def test_the_dump_in_the_page_of_vlan_is_what_a_switch_holds() -> None:
    cloud = Cloud(keys=vlan.KEYS)
    cloud.network("red", 42)
    cloud.plug(1, 1, "red", "fa:16:3e:00:00:01")
    cloud.tag(1, 1, 42)
    cloud.state.ports.set_of_port(1, OFPort(9, "eth1", up=True))
    cloud.state.ports.update_interfaces(1, {"eth1": InterfaceFact("eth1", 9)})
    cloud.state.ensure_port(NW_ID_EXTERNAL, PortId(1, 9))
    pipeline = vlan.VlanPipeline(cloud.state)
    flows = [flow for s in pipeline.subjects(1) for flow in pipeline.desired(1, s)]
    assert dump("vlan") == sorted(map(str, flows))


def test_the_dump_in_the_page_of_mac_is_what_a_switch_holds() -> None:
    cloud = MacCloud()
    cloud.networks("red")
    for dpid in (1, 2):
        cloud.uplink(dpid)
        cloud.plug(dpid, dpid, "red", f"fa:16:3e:00:00:0{dpid}")
    assert dump("mac") == cloud.evaluator().flows(1)


def promises() -> list[tuple[list[str], list[str]]]:
    """Return files and words after -k of each proof in README's list of promises."""
    section = (ROOT / "README.rst").read_text(encoding="utf-8").partition("What it promises\n")[2]
    proofs = re.findall(r"``(tests/.+?)``", section.partition("\nLimits\n")[0], re.DOTALL)
    split = [proof.partition(" -k ") for proof in proofs]
    return [(files.split(), re.findall(r"(?!or\b|and\b)\w+", words)) for files, _, words in split]


def test_every_promise_is_proved_by_tests_that_there_are() -> None:
    assert len(promises()) >= 20
    for files, words in promises():
        texts = [(ROOT / file).read_text(encoding="utf-8") for file in files if "." in file]
        names = re.findall(r"def (test_\w+)", "".join(texts))
        assert names
        missing = [w for w in words if not any(w in name for name in names)]
        assert not missing, f"{files}: {missing}"

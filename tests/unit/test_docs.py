"""What the documentation says of the code is what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from ryu_l2iso.pipelines import gre
from tests.unit.cloud import Cloud
from tests.unit.evaluator import Evaluator

DOCS = Path(__file__).parents[2] / "docs"
PIPELINE_PAGE = (DOCS / "pipeline-gre.rst").read_text(encoding="utf-8")


def test_every_table_and_its_purpose_stand_in_the_pipeline_page_and_no_others() -> None:
    told = re.findall(r"^Table (\w+)\n-+\n\n(.+)\n\nMiss: (.+)$", PIPELINE_PAGE, re.MULTILINE)
    assert told == [(t.name, t.purpose, t.miss) for t in gre.PIPELINE.tables]


def test_every_reason_stands_in_the_pipeline_page_with_its_cookie() -> None:
    told = {
        (int(number, 16), name)
        for number, name in re.findall(r"``([0-9a-f]{2})`` ([A-Z_]+)", PIPELINE_PAGE)
    }
    assert told == {(reason.value, reason.name) for reason in gre.Reason}


def test_the_dump_in_the_pipeline_page_is_what_a_switch_holds() -> None:
    cloud = Cloud()
    cloud.network("red", 42)
    for dpid in (1, 2):
        cloud.switch(dpid)
        cloud.plug(dpid, dpid, "red", f"fa:16:3e:00:00:0{dpid}")
    cloud.update_tunnels()
    told = re.findall(r"^  (cookie=.+)$", PIPELINE_PAGE, re.MULTILINE)
    assert sorted(told) == Evaluator(cloud.state).flows(1)

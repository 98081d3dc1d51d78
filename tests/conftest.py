"""All of pytest runs as the manager does: patched by eventlet before anything else is imported.

A test then meets the same green sockets, threads and sleeps as the code that it tests.
"""

from __future__ import annotations

import warnings

warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")

import eventlet  # noqa: E402

eventlet.monkey_patch()

import gc  # noqa: E402
import ssl  # noqa: E402
import sys  # noqa: E402
from collections.abc import Iterator  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402

# A plugin of pytest has imported this before: its own SSLContext would call itself for ever.
if "urllib3.util.ssl_" in sys.modules:
    sys.modules["urllib3.util.ssl_"].SSLContext = ssl.SSLContext  # type: ignore[attr-defined]

# How long one example takes tells more of the machine than of what is tested.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

MAY_SKIP = "no Python 3.9 found"
"""How the one reason to skip starts that ``--no-skips`` lets pass."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--no-skips``."""
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when ``--no-skips`` is given and a test was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("no_skips"):
        return
    skipped = [report for report in reporter.stats.get("skipped", []) if not _may_skip(report)]
    if skipped:
        reporter.write_line(f"\n--no-skips: {len(skipped)} skipped", red=True)
        if session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _may_skip(report: pytest.TestReport | pytest.CollectReport) -> bool:
    return isinstance(report.longrepr, tuple) and MAY_SKIP in report.longrepr[2]


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Look for no cycles: what is freed meanwhile was in none."""
    gc.disable()
    yield
    gc.enable()

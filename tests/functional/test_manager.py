"""``l2iso-manager`` as a process: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.functional.controller import MANAGER, ROOT, Controller
from tests.functional.ovs import DEADLINE, OVS, wait_until
from tests.functional.ports import free_port

SUITE = ("quantum_adapter", "tunnel_port_updater", "gre_tunnel", "rest")

STUB = """
from ryu_l2iso.framework import CONFIG_DISPATCHER, DEAD_DISPATCHER, MAIN_DISPATCHER
from ryu_l2iso.framework import BaseApp, hub, ofp_event, set_ev_cls

class Stub(BaseApp):
    def start(self):
        super().start()
        self.logger.info("started")
        {start}

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def state_change(self, ev):
        self.logger.info("switch is %s", ev.state)
        {handler}
"""


def stub(folder: Path, start: str = "", handler: str = "") -> str:
    """Write an app whose start and handler end with these statements; return its path."""
    path = folder / "stub_app.py"
    path.write_text(STUB.format(start=start, handler=handler))
    return str(path)


def refusal(*arguments: str) -> tuple[int, str]:
    """Run a manager that refuses to start; return its status and all that it printed."""
    done = subprocess.run(
        (*MANAGER, *arguments),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    )
    return done.returncode, done.stdout.decode()


def assert_one_line(output: str, *words: str) -> None:
    """Check that the output is one line of the manager that holds all the words."""
    lines = output.splitlines()
    assert len(lines) == 1, output
    assert lines[0].startswith("l2iso-manager: error: ")
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_suite_cleanly(number: signal.Signals) -> None:
    with Controller(*SUITE) as controller:
        controller.wait_until_listening()
        controller.wait_for_log("REST server listens")
        status, seconds = controller.end(number)
        assert status == 0
        assert seconds < 10
        assert f"ending on {number.name}" in controller.log()
        assert "Traceback" not in controller.log()


def test_a_signal_ends_an_app_that_hangs(tmp_path: Path) -> None:
    app = stub(tmp_path, start="self.threads.append(hub.spawn(hub.sleep, 60))")
    with Controller(app) as controller:
        controller.wait_for_log("started")
        status, seconds = controller.end(signal.SIGTERM)
        assert status == 0
        assert seconds < 10


def test_a_signal_ends_an_app_that_never_yields(tmp_path: Path) -> None:
    app = stub(tmp_path, start="hub.spawn_after(0.2, exec, 'while True: pass')")
    with Controller(app) as controller:
        controller.wait_for_log("started")
        wait_until(lambda: _is_busy(controller.process.pid), "the app to spin")
        status, _ = controller.end(signal.SIGTERM)
        assert status == -signal.SIGALRM


def _is_busy(pid: int) -> bool:
    """Tell whether a process has used two seconds of CPU (proc(5): utime, in ticks)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) > 2 * os.sysconf("SC_CLK_TCK")


def test_it_takes_as_many_descriptors_as_it_may(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        controller = Controller(stub(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with controller:
        controller.wait_for_log("started")
        limits = Path(f"/proc/{controller.process.pid}/limits").read_text()
    assert re.search(rf"^Max open files +{before[1]} +{before[1]} ", limits, re.MULTILINE)


def test_log_lines_have_time_level_and_logger(tmp_path: Path) -> None:
    with Controller(stub(tmp_path)) as controller:
        controller.wait_for_log("INFO    Stub: started")
        first = controller.log().splitlines()[0]
    assert first[:4].isdigit()
    assert "INFO    ryu_l2iso.manager: l2iso-manager 0.1.0 on " in first


def test_only_the_chosen_openflow_port_is_opened(tmp_path: Path) -> None:
    with Controller(stub(tmp_path)) as controller:
        controller.wait_until_listening()
        assert _listening(controller.process.pid) == {controller.openflow_port}


def _listening(pid: int) -> set[int]:
    """Return the TCP ports that a process listens on (proc(5): /proc/PID/net/tcp, state 0A)."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        # A descriptor may be closed between the two calls.
        with contextlib.suppress(FileNotFoundError):
            inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
    return {int(address.partition(":")[2], 16) for address in listening}


def test_a_handler_that_raises_is_logged_and_its_app_lives_on(tmp_path: Path, ovs: OVS) -> None:
    app, failure = stub(tmp_path, handler="raise RuntimeError('broken')"), "RuntimeError: broken"
    with Controller(app) as controller:
        controller.wait_until_listening()
        ovs.add_bridge("br0", 1, controller.target)
        controller.wait_for_log("switch is main")
        failures = controller.log().count(failure)
        ovs.vsctl("del-controller", "br0")
        wait_until(lambda: controller.log().count(failure) > failures, "the next event")
        assert controller.end(signal.SIGTERM)[0] == 0


def test_rest_answers_on_ipv6() -> None:
    options = ("--wsapi-host", "::1", "--ofp-listen-host", "::1")
    with Controller(*SUITE, options=options) as controller:
        controller.wait_for_log(f"REST server listens on ::1 port {controller.rest_port}")
        socket.create_connection(("::1", controller.rest_port), DEADLINE).close()
        assert controller.end(signal.SIGTERM)[0] == 0


def test_an_app_list_in_a_file(tmp_path: Path) -> None:
    config = tmp_path / "test.conf"
    config.write_text(f"[DEFAULT]\napp_lists = {stub(tmp_path)}\nofp_listen_host = 127.0.0.1\n")
    with Controller(options=("--config-file", str(config))) as controller:
        controller.wait_for_log("started")


def test_the_pid_file_is_there_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "manager.pid"
    with Controller(stub(tmp_path), options=("--pid-file", str(path))) as controller:
        controller.wait_for_log("started")
        assert int(path.read_text()) == controller.process.pid
        controller.end(signal.SIGTERM)
        assert not path.exists()


def test_user_flags_register_options(tmp_path: Path) -> None:
    flags = tmp_path / "flags.py"
    flags.write_text(
        "from ryu_l2iso.framework import CONF, cfg\n"
        "CONF.register_cli_opts([cfg.StrOpt('colour')])\n"
    )
    app = stub(tmp_path, start="self.logger.info('colour %s', self.CONF.colour)")
    options = ("--user-flags", str(flags), "--colour", "green")
    with Controller(app, options=options) as controller:
        controller.wait_for_log("colour green")


def test_the_end_of_a_server_ends_the_manager(tmp_path: Path) -> None:
    app = stub(tmp_path, start="return hub.spawn(hub.sleep, 0.1)")
    with Controller(app) as controller:
        assert controller.process.wait(DEADLINE) == 1
        assert controller.log().splitlines()[-1].startswith("l2iso-manager: error: Stub has ended")


def test_version() -> None:
    assert refusal("--version") == (0, "l2iso-manager 0.1.0\n")


def test_help_names_the_options_of_ryu_manager() -> None:
    status, output = refusal("--help")
    assert status == 0
    for option in (
        *("--app-lists", "--config-file", "--verbose", "--ofp-listen-host", "--log-file"),
        *("--ofp-tcp-listen-port", "--wsapi-host", "--wsapi-port", "--pid-file", "--user-flags"),
    ):
        assert option in output


TLS = ("--ctl-privkey", "/n", "--ctl-cert", "/n", "--ca-certs", "/n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no application"]),
        (["nosuch"], ["unknown application nosuch"]),
        (["quantum_adapter", "ryu_l2iso.apps.nosuch"], ["unknown application", "apps.nosuch"]),
        (["ryu_l2iso.config"], ["no application class"]),
        (["rest", "--nosuch"], ["--nosuch"]),
        (["--isolation", "vxlan"], ["isolation", "vxlan"]),
        (["rest", "--wsapi-port", "many"], ["wsapi", "many"]),
        (["rest", "--wsapi-port", "70000"], ["70000"]),
        (["rest", "--config-file", "/nonexistent/file"], ["/nonexistent/file"]),
        (["rest", "--config-file", "/"], ["'/'"]),
        (["rest", "--log-file", "/nonexistent/file"], ["/nonexistent/file"]),
        (["rest", "--user-flags", "/nonexistent/file"], ["/nonexistent/file"]),
        (["rest", "--wsapi-host", "192.0.2.1"], ["wsapi_host 192.0.2.1", "set token_file"]),
        (["rest", "--wsapi-host", "0.0.0.0"], ["wsapi_host 0.0.0.0", "set token_file"]),
        (["quantum_adapter", "--ofp-listen-host", "192.0.2.1"], ["192.0.2.1:6653"]),
        (["quantum_adapter", "--ofp-tcp-listen-port", "0"], ["ofp-tcp-listen-port"]),
        (["quantum_adapter", "--ctl-privkey", "/n", "--ctl-cert", "/n"], ["ctl_cert, ca_certs"]),
        (["quantum_adapter", *TLS], ["OpenFlow server: /n, /n, /n: No such file"]),
        (["rest", *TLS], ["REST server: /n, /n: No such file"]),
    ],
)
def test_bad_usage_is_refused_in_one_line(arguments: list[str], words: list[str]) -> None:
    status, output = refusal(*arguments)
    assert status != 0
    assert_one_line(output, *words)


@pytest.mark.parametrize(
    ("text", "word"),
    [("[l2iso]\ntunnel_type = stt\n", "tunnel_type"), ("junk\n", "junk"), ("\udcff", "utf-8")],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "bad.conf"
    path.write_text(text, errors="surrogateescape")
    status, output = refusal("rest", "--config-file", str(path))
    assert status == 2
    assert_one_line(output, word)


@pytest.mark.parametrize(
    ("option", "server"),
    [("--ofp-tcp-listen-port", "OpenFlow server"), ("--wsapi-port", "REST server")],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_in_use_is_refused_in_one_line(option: str, server: str, host: str) -> None:
    ports = ("--ofp-tcp-listen-port", str(free_port()), "--wsapi-port", str(free_port()))
    with socket.socket() as taken:
        taken.bind((host, 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, output = refusal(*SUITE, *ports, option, port)
    assert status == 1
    assert_one_line(output, server, port, "in use")


@pytest.mark.parametrize("verbose", [False, True])
def test_an_app_that_fails_to_start_ends_the_manager(tmp_path: Path, verbose: bool) -> None:
    app = stub(tmp_path, start="raise RuntimeError('no such luck')")
    options = ("--verbose",) if verbose else ()
    with Controller(app, options=options) as controller:
        assert controller.process.wait(DEADLINE) == 1
        log = controller.log()
    assert log.splitlines()[-1] == "l2iso-manager: error: RuntimeError: no such luck"
    assert ("Traceback" in log) == verbose


@pytest.mark.parametrize(
    "apps",
    [
        ("simple_vlan", "gre_tunnel"),
        ("gre_tunnel", "mac_isolation"),
        ("--isolation=mac", "simple_vlan"),
    ],
)
def test_a_second_isolation_app_is_refused(apps: tuple[str, ...]) -> None:
    with Controller(*apps) as controller:
        assert controller.process.wait(DEADLINE) == 1
        last = controller.log().splitlines()[-1]
    assert re.fullmatch("l2iso-manager: error: \\w+ cannot run beside \\w+: load one of them", last)


@pytest.mark.parametrize(
    ("isolation", "apps"),
    [
        ("gre", {"apps.quantum_adapter", "apps.tunnel_port_updater", "apps.gre_tunnel", "rest"}),
        ("vlan", {"apps.quantum_adapter", "apps.simple_vlan", "rest"}),
        ("mac", {"apps.quantum_adapter", "apps.mac_isolation", "rest"}),
    ],
)
def test_an_isolation_stands_for_its_apps(tmp_path: Path, isolation: str, apps: set[str]) -> None:
    path = tmp_path / "manager.conf"
    path.write_text(f"[DEFAULT]\nisolation = {isolation}\n")
    with Controller(options=("--config-file", str(path))) as controller:
        controller.wait_for_log("REST server listens")
        first = controller.log().splitlines()[0]
    assert {f"ryu_l2iso.{app}" for app in apps} == set(
        first.partition(": l2iso-manager ")[2].split()[3:]
    )


def test_an_app_with_a_fault_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("import no_such_module\n")
    status, output = refusal(str(path))
    assert status == 2
    assert_one_line(output, str(path), "no_such_module")

"""Start the chosen apps, wait for the end, close them.

os-ken has no manager command any more, and Ryu's does not start with a newer eventlet; this one
runs apps on both.  It ends with status 1 as soon as the server of one app has ended: half a
controller that looks alive is worse than none.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import eventlet

from ryu_l2iso import __version__, command_line, framework
from ryu_l2iso.command_line import PROG, UsageError, described
from ryu_l2iso.exceptions import L2IsoError, UnusableStore
from ryu_l2iso.framework import CONF, hub

LOG = logging.getLogger("ryu_l2iso.manager")

CLOSE_DEADLINE = 1.5
"""Seconds that the apps have to end before they are left behind."""

KILL_DEADLINE = 4
"""Seconds after a signal at which the kernel ends the process, whatever it is doing."""


def main(arguments: list[str]) -> int:
    """Run until a signal; return 0 after SIGTERM or Ctrl-C, 1 after a failure.

    Return 2 for what does not heal by itself: bad usage, or state that cannot be used.
    """
    try:
        _run(command_line.parse(arguments))
    except (UsageError, UnusableStore) as error:
        return _failed(error, 2)
    except Exception as error:
        if CONF.verbose:
            traceback.print_exc()
        return _failed(error, 1)
    return 0


def _failed(error: Exception, status: int) -> int:
    """Print the one line that says why; return the exit status."""
    print(f"{PROG}: error: {' '.join(described(error).split())}", file=sys.stderr)
    return status


def _run(apps: list[str]) -> None:
    _allow_descriptors()
    ended: Any = hub.Queue()
    manager = framework.AppManager.get_instance()
    # Logging starts last: until here a fault is reported by one line and nothing else.
    _load(manager, apps)
    _check_servers(manager)
    command_line.init_log()
    LOG.info("%s %s on %s: %s", PROG, __version__, framework.NAME, " ".join(apps))
    with _pid_file(CONF.pid_file), _signals_to(ended):
        try:
            _start(manager, ended)
            failure = ended.get()
        finally:
            _close(manager)
    if failure:
        raise L2IsoError(failure)


def _allow_descriptors() -> None:
    """Let this process have as many descriptors as it may: switches and REST clients take many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _load(manager: Any, apps: list[str]) -> None:
    """Import the apps; raise UsageError for a name that is no app."""
    for name in apps:
        try:
            manager.load_apps([name])
        except ModuleNotFoundError as error:
            if error.name and f"{name}.".startswith(f"{error.name}."):
                raise UsageError(f"unknown application {name}") from error
            raise UsageError(f"application {name}: {described(error)}") from error
        except Exception as error:
            raise UsageError(f"application {name}: {described(error)}") from error
        contexts = [cls.__module__ for cls in manager.contexts_cls.values()]
        if name not in manager.applications_cls and name not in contexts:
            raise UsageError(f"application {name}: no application class in this module")


def _check_servers(manager: Any) -> None:
    if framework.OFP_HANDLER in manager.applications_cls:
        command_line.check_openflow_server()
    if command_line.REST_APP in manager.applications_cls:
        command_line.check_rest_server()


def _start(manager: Any, ended: Any) -> None:
    """Start the apps; the name of one whose server ends is put into ``ended``."""
    manager.instantiate_apps(**manager.create_contexts())
    for app in manager.applications.values():
        if app.main_thread is not None:
            app.main_thread.link(_report_end, ended, app.name)
    shared = framework.start_framework_wsgi(manager)
    if shared is not None:
        shared.link(_report_end, ended, "the framework's WSGI server")


def _report_end(_thread: Any, ended: Any, name: str) -> None:
    ended.put(f"{name} has ended, the log says why")


def _close(manager: Any) -> None:
    """Close the apps; one that does not end in time ends with the process."""
    with eventlet.Timeout(CLOSE_DEADLINE, False):
        try:
            manager.close()
        except Exception:
            LOG.exception("an app failed while it was closed")


@contextlib.contextmanager
def _signals_to(ended: Any) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT put None into ``ended``.

    They come as bytes on a pipe: an exception raised by a signal handler would end, and be
    lost in, whichever green thread happens to run.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: signal.alarm(KILL_DEADLINE))
    waiter = eventlet.spawn(_wait_for_signal, reader, ended)
    try:
        yield
    finally:
        waiter.kill()
        signal.set_wakeup_fd(-1)
        os.close(reader)
        os.close(writer)


def _wait_for_signal(reader: int, ended: Any) -> None:
    eventlet.hubs.trampoline(reader, read=True)
    number = os.read(reader, 1)[0]
    LOG.info("ending on %s", signal.Signals(number).name)
    ended.put(None)


@contextlib.contextmanager
def _pid_file(path: str | None) -> Iterator[None]:
    """Keep the process id in a file while inside; raise UsageError when it cannot be written."""
    if path is None:
        yield
        return
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        raise UsageError(f"pid-file {path}: {error.strerror}") from error
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

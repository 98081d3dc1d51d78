"""The one module that knows whether the framework is Ryu or os-ken.

os-ken is Ryu's maintained fork with the same API.  Under ``ryu-manager`` Ryu has been imported
before the first app is, so that one is used; everywhere else it is os-ken, and Ryu where os-ken
is not installed.  Both run on eventlet's hub: on os-ken's native hub an exception in a handler
ends the app's event loop without a log line, and ``hub.Timeout`` does not interrupt.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Callable, ClassVar, TypeVar

import eventlet.wsgi
from eventlet.hubs import get_hub

from ryu_l2iso import config


def _framework_name() -> str:
    if "ryu" in sys.modules:
        return "ryu"
    try:
        importlib.import_module("os_ken")
    except ImportError:
        return "ryu"
    return "os_ken"


os.environ["OSKEN_HUB_TYPE"] = "eventlet"
os.environ["RYU_HUB_TYPE"] = "eventlet"

# Ryu imports this name, which eventlet dropped after 0.30.2, and only compares with it.
if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = object()

NAME = _framework_name()
"""``ryu`` or ``os_ken``."""


def _module(path: str) -> Any:
    return importlib.import_module(f"{NAME}.{path}")


hub: Any = _module("lib.hub")
cfg: Any = _module("cfg")
log: Any = _module("log")
utils: Any = _module("utils")
app_manager: Any = _module("base.app_manager")
event: Any = _module("controller.event")
handler: Any = _module("controller.handler")
ofp_event: Any = _module("controller.ofp_event")
ofproto_v1_4: Any = _module("ofproto.ofproto_v1_4")
ofproto_v1_4_parser: Any = _module("ofproto.ofproto_v1_4_parser")

CONF: Any = cfg.CONF
AppManager: Any = app_manager.AppManager
Datapath: Any = _module("controller.controller").Datapath
CONFIG_DISPATCHER: Any = handler.CONFIG_DISPATCHER
MAIN_DISPATCHER: Any = handler.MAIN_DISPATCHER
DEAD_DISPATCHER: Any = handler.DEAD_DISPATCHER

# A switch tells of each port with its MAC.  To write that as text by way of netaddr takes longer
# than all else that the framework does with a port.
_module("lib.addrconv").mac.bin_to_text = lambda packed: packed.hex(":")

OFP_HANDLER = f"{NAME}.controller.ofp_handler"
"""Name of the framework's own app, the OpenFlow server."""

if TYPE_CHECKING:

    class EventBase:
        """Base of the events that apps exchange."""

    class BaseApp:
        """``RyuApp``, or ``OSKenApp``: what of it is used here, with types."""

        OFP_VERSIONS: ClassVar[list[int] | None]
        _EVENTS: ClassVar[list[type[EventBase]]]
        _CONTEXTS: ClassVar[dict[str, type[Any]]]

        name: str
        logger: logging.Logger
        CONF: Any
        threads: list[Any]
        main_thread: Any
        is_active: bool

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def start(self) -> Any: ...
        def stop(self) -> None: ...
        def close(self) -> None: ...
        def send_event(self, name: str, ev: EventBase, state: Any = None) -> None: ...
        def send_event_to_observers(self, ev: EventBase, state: Any = None) -> None: ...
        def send_request(self, req: EventBase) -> Any: ...

    _Handler = TypeVar("_Handler", bound=Callable[..., None])

    def set_ev_cls(ev_cls: Any, dispatchers: Any = None) -> Callable[[_Handler], _Handler]:
        """Decorate a method of an app: it handles events of this class, or of these classes."""

else:
    BaseApp = app_manager.RyuApp if NAME == "ryu" else app_manager.OSKenApp
    EventBase = event.EventBase
    set_ev_cls = handler.set_ev_cls

config.register(CONF)


def call_later(seconds: float, call: Callable[..., None], *args: Any) -> Any:
    """Call what does not block in so many seconds, unless ``cancel()`` of the result comes before.

    For that alone no thread is spawned: one that is ended before it has begun keeps the traceback
    of who ended it, and is kept by it, with all that stands there.
    """
    return get_hub().schedule_call_global(seconds, call, *args)


def serve_openflow_with(server: Callable[[], Callable[[], None]]) -> None:
    """Have the framework's OpenFlow app run what ``server`` returns, instead of its own server.

    To be called before the app starts: it calls ``server``, and what that returns in a green
    thread.  Under ``ryu-manager`` too, which starts the app itself.
    """
    _module("controller.ofp_handler").OpenFlowController = server


def is_observed(*events: Any) -> bool:
    """Tell whether any app, besides the framework's own, hears of any of these OpenFlow events."""
    observers: dict[Any, Any] = app_manager.lookup_service_brick("ofp_event").observers
    return any(observers.get(event) for event in events)


def register_command_line() -> None:
    """Register the command line of ``ryu-manager``: the framework's options and the manager's."""
    for module in ("flags", "controller.controller", "topology.switches"):
        _module(module)
    config.register_manager(CONF)


def start_framework_wsgi(manager: Any) -> Any:
    """Start the WSGI server that Ryu shares between apps of others; return its thread or None.

    os-ken has none.
    """
    server = _module("app.wsgi").start_service(manager) if NAME == "ryu" else None
    return hub.spawn(server) if server else None

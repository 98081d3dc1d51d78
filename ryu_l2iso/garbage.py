"""Python's collector of cycles, which would stop everything for seconds.

Its full collection looks at every object.  With a large fleet that takes seconds, and it comes
again whenever there are a quarter more; yet it finds next to nothing, for almost all that is
dropped here is in no cycle and freed at once.  So whenever a full collection leaves `MANY` objects,
those are never looked at again.  Fewer are looked at every time, so that what a peer leaves behind,
who comes and goes, is found.  The price: of the many, a cycle that is dropped later is kept.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

MANY = 100_000
"""Objects that take some hundredths of a second to look at."""

_THRESHOLDS = (10_000, 5, 5)
"""Full collections come after some 360,000 new objects, which takes a tenth of a second."""


def spare_what_stays() -> None:
    """Look at many that survive a full collection never again; harmless when repeated."""
    gc.set_threshold(*_THRESHOLDS)
    if _freeze not in gc.callbacks:
        gc.callbacks.append(_freeze)


def _freeze(phase: str, info: dict[str, int]) -> None:
    is_full = phase == "stop" and info["generation"] == 2
    if is_full and len(gc.get_objects(generation=2)) > MANY:
        gc.freeze()


@contextlib.contextmanager
def all_stays() -> Iterator[None]:
    """Look for no garbage inside: what is made there stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

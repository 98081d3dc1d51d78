"""Every error that ryu_l2iso raises on purpose."""


class L2IsoError(Exception):
    """Base of all errors of ryu_l2iso; its text is fit for an operator."""


class InvalidValue(L2IsoError):
    """A value breaks the rule of its field; the text names both."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class NotFound(L2IsoError):
    """What was asked for is not known."""


class Conflict(L2IsoError):
    """The change contradicts a fact that already holds; nothing was changed."""


class SwitchError(L2IsoError):
    """A switch refused, or did not confirm in time, what it was sent."""


class OVSDBError(L2IsoError):
    """An OVSDB server refused, or did not confirm in time, a transaction."""


class StoreError(L2IsoError):
    """What was to be kept could not be written, or not in time."""


class UnusableStore(StoreError):
    """What is kept cannot be used as it is; nothing of it was changed."""

"""Valid bytes, made invalid in the ways that parsers fall for."""

from __future__ import annotations

from hypothesis import strategies as st

_LENGTHS = (0, 1, 3, 4, 7, 8, 0xFF, 0x7FFF, 0xFFFF)


@st.composite
def mutated(draw: st.DrawFn, data: bytes) -> bytes:
    """Change some 16-bit words or bytes of ``data``, cut it, or put something into it."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        if not changed:
            break
        at = draw(st.integers(0, len(changed) - 1))
        how = draw(st.sampled_from(("word", "word", "byte", "cut", "insert", "repeat")))
        if how == "word":
            at -= at % 2
            changed[at : at + 2] = draw(st.sampled_from(_LENGTHS)).to_bytes(2, "big")
        elif how == "byte":
            changed[at] = draw(st.integers(0, 255))
        elif how == "cut":
            del changed[at : at + draw(st.integers(1, 16))]
        elif how == "insert":
            changed[at:at] = draw(st.binary(min_size=1, max_size=16))
        else:
            changed[at:at] = changed[at : at + draw(st.integers(1, 64))]
    return bytes(changed)


def with_length(data: bytes) -> bytes:
    """Let an OpenFlow message say how long it is now: what is inside is looked at then."""
    return data[:2] + (len(data) & 0xFFFF).to_bytes(2, "big") + data[4:] if len(data) >= 8 else data

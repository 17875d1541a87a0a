"""Origins: where a design came from, in the words that the charts use."""

from __future__ import annotations

SEARCHED, RANDOM, PRESET, AGAIN = "searched", "random", "preset", "again"


def source(origin: str) -> str:
    """Where a design came from; one of several origins that is a baseline counts."""
    origins = origin.split(", ")
    if any(part.startswith("preset:") for part in origins):
        return PRESET
    if "random" in origins:
        return RANDOM
    # A finalist is a design of the front under another seed: nobody proposed it anew.
    return AGAIN if origins == ["finalist"] else SEARCHED


def preset_name(origin: str) -> str:
    """`mha` for `preset:mha`; empty for other origins."""
    names = [part[7:] for part in origin.split(", ") if part.startswith("preset:")]
    return ", ".join(names)

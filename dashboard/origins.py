"""Origins: where a design came from, in the three words that the charts use."""

from __future__ import annotations

SEARCHED, RANDOM, PRESET = "searched", "random", "preset"


def source(origin: str) -> str:
    """Where a design came from; one of several origins that is a baseline counts."""
    origins = origin.split(", ")
    if any(part.startswith("preset:") for part in origins):
        return PRESET
    return RANDOM if "random" in origins else SEARCHED


def preset_name(origin: str) -> str:
    """`mha` for `preset:mha`; empty for other origins."""
    names = [part[7:] for part in origin.split(", ") if part.startswith("preset:")]
    return ", ".join(names)

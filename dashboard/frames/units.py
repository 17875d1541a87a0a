"""Units of time: what an axis over so many seconds is labelled in, and how times are said."""

from __future__ import annotations

UNITS = (("days", 86400.0, 4 * 86400.0), ("hours", 3600.0, 3 * 3600.0), ("minutes", 60.0, 300.0))


def time_unit(seconds: float) -> tuple[str, float]:
    """The unit's name, and how many seconds it has."""
    return next(((name, size) for name, size, least in UNITS if seconds >= least), ("seconds", 1.0))


def seconds_text(seconds: float) -> str:
    """`0.42 s`, `12.3 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"

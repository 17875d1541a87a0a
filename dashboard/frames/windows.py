"""Windows: which stretch of a run's time is drawn trial by trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dashboard.frames.spans import Worked


@dataclass(frozen=True, slots=True)
class Window:
    """So many seconds of a run, up to an instant; everything where there is no number."""

    label: str
    seconds: float | None
    until: float | None = None  # seconds since the start; None follows the end of the run

    def bounds(self, whole: float) -> tuple[float, float]:
        """From when to when, of a run of so many seconds."""
        if self.seconds is None:
            return 0.0, whole
        high = whole if self.until is None else self.until
        return max(0.0, high - self.seconds), high


WINDOWS = (
    Window("2 minutes", 120.0),
    Window("10 minutes", 600.0),
    Window("1 hour", 3600.0),
    Window("6 hours", 6 * 3600.0),
    Window("1 day", 86400.0),
    Window("The whole run", None),
)


def default_window(worked: Worked, offered: Sequence[Window], most: int) -> Window:
    """The longest at the end of the run in which all trials can be drawn."""
    ends = worked.bars["end"].to_numpy(dtype=np.float64)
    for window in reversed(offered):
        low, _ = window.bounds(worked.seconds)
        if int((ends >= low).sum()) <= most:
            return window
    return offered[0]


def spelled(seconds: float | None, until: float | None) -> str:
    """`all`, `600` or `600@7200`, as in the URL."""
    if seconds is None:
        return "all"
    return f"{seconds:.12g}" + ("" if until is None else f"@{until:.12g}")


def window_of(text: str | None, whole: float) -> Window | None:
    """What `spelled` wrote; None for anything else."""
    if text == "all":
        return WINDOWS[-1]
    seconds, _, until = (text or "").partition("@")
    try:
        numbers = float(seconds), float(until) if until else None
    except ValueError:
        return None
    if not all(n is None or (np.isfinite(n) and 0 < n < 1e10) for n in numbers):
        return None
    label = next((w.label for w in WINDOWS if w.seconds == numbers[0]), f"{numbers[0]:.0f} s")
    end = None if numbers[1] is None or numbers[1] >= whole else numbers[1]
    return Window(label, numbers[0], end)

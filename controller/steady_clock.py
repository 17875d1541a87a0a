"""Steady clock: unix seconds that never jump, also when the system's clock is set anew."""

from __future__ import annotations

import time

_OFFSET = time.time() - time.monotonic()  # as the clock stood when the process began


def steady_time() -> float:
    """Unix seconds by the clock's first reading in this process, and by elapsed time since."""
    return _OFFSET + time.monotonic()

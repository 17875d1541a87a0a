"""Heartbeat in words: the badge of each state, and durations as people say them."""

from __future__ import annotations

from results.heartbeat import DriverState, Running

BADGES: dict[DriverState, str] = {
    "live": ":material/sensors: Live",
    "finished": ":material/check: Finished",
    "stopped": ":material/pause: Stopped",
    "silent": ":material/warning: Driver silent",
    "unknown": ":material/help: No driver has reported",
}


DOING = {"waiting": "waiting for the device", "counting": "counting costs"}


def doing_now(running: Running) -> str:
    """`training, 40%`; empty where nobody says."""
    if running.phase is None:
        return ""
    share = "" if running.share is None else f", {running.share:.0%}"
    return f"{DOING.get(running.phase, running.phase[:40])}{share}"


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`, `2 days`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"

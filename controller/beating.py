"""Beating: while a driver works, its status is in the run's folder, for those who look on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from results import RunWriter

HEARTBEAT_S = 2.0


class Driver(Protocol):
    """Whatever fills a run: a search, or a chain of prunings."""

    phase: str  # in its own words; "finished" and "stopped" end it

    def status(self) -> dict[str, Any]:
        """What `results.heartbeat` reads."""
        ...


@contextmanager
def beating(writer: RunWriter, driver: Driver) -> Iterator[None]:
    """Write the status every two seconds and once at the end."""
    stop = threading.Event()

    def beat() -> None:
        with suppress(OSError):  # advice for onlookers; a search does not end for it
            writer.heartbeat(driver.status())

    def keep_beating() -> None:
        while not stop.wait(HEARTBEAT_S):
            beat()

    beat()
    thread = threading.Thread(target=keep_beating, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        driver.phase = "stopped"
        raise
    finally:
        stop.set()
        thread.join()
        beat()

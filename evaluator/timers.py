"""Timers: seconds of a piece of work on a device, by the clock that tells it best."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch

Clock = Callable[[], float]  # seconds
Run = Callable[[], object]

LAUNCH_BOUND = 0.8  # share of a call's time that the host needs to start it


class Timer(Protocol):
    """How work on one kind of device is timed."""

    def ready(self, candidate: Run, reference: Run) -> tuple[Run, Run]:
        """The two as they are to be timed, warmed up; both in the same manner."""
        ...

    def seconds(self, run: Run, loops: int) -> float:
        """Seconds per call over `loops` calls."""
        ...

    def now(self) -> float:
        """Seconds on the host's clock."""
        ...


class HostTimer:
    """Work that is done when its call returns.

    With one thread, the time that its core worked on it: waiting for a core that somebody else has
    is none of the design's cost. Several threads wait for one another, which is.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.now = clock or time.perf_counter
        alone = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        self._clock = clock or alone

    def ready(self, candidate: Run, reference: Run) -> tuple[Run, Run]:
        candidate()
        reference()
        return candidate, reference

    def seconds(self, run: Run, loops: int) -> float:
        started = self._clock()
        for _ in range(loops):
            run()
        return (self._clock() - started) / loops


class CudaTimer:
    """Work that a GPU does later: timed by its own events, and replayed where launches dominate.

    A decode step of a small model waits for the host to start its kernels. A serving engine
    replays a captured graph instead, so that is what is timed, for both or for neither.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self.graphs = 0  # pairs that were captured

    def ready(self, candidate: Run, reference: Run) -> tuple[Run, Run]:
        with torch.cuda.device(self._device):
            for run in (candidate, reference) * 3:  # kernels are chosen on the first calls
                run()
            torch.cuda.synchronize()
            if not (self._launch_bound(candidate) or self._launch_bound(reference)):
                return candidate, reference
            replayed = self._captured(candidate), self._captured(reference)
            if replayed[0] is None or replayed[1] is None:
                return candidate, reference
            self.graphs += 1
            return replayed[0], replayed[1]

    def seconds(self, run: Run, loops: int) -> float:
        with torch.cuda.device(self._device):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(loops):
                run()
            end.record()
            end.synchronize()
            return begin.elapsed_time(end) / 1e3 / loops

    def now(self) -> float:
        return time.perf_counter()

    def _launch_bound(self, run: Run) -> bool:
        """Whether starting the kernels takes most of the time that they take."""
        torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        launched = time.perf_counter() - started
        torch.cuda.synchronize()
        return launched > LAUNCH_BOUND * (time.perf_counter() - started)

    def _captured(self, run: Run) -> Run | None:
        """The work as a graph; None where it can't be captured, as with values read on the host."""
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                run()
        except RuntimeError:
            torch.cuda.synchronize()
            return None

        def replay() -> None:
            graph.replay()
            assert run is not None  # what it reads and writes lives as long as the graph

        return replay


def timer_of(device: str) -> Timer:
    """The timer that suits a device such as cpu or cuda:0."""
    return CudaTimer(device) if device.startswith("cuda") else HostTimer()

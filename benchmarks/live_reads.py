"""Reads of a run while it is written, folded and compacted: none may fail or miss a row.

    python benchmarks/live_reads.py [--reads 10000]

About ten minutes. One process appends as fast as the disk allows and folds every 20 rows, so that
segments are merged all the time and files of older manifests vanish; it begins a new run every
2,000 rows. Two others read. A read must hold every row that was acknowledged before it began, each
row once, in order, and never fewer than the read before it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from ctypes import c_longlong
from pathlib import Path
from typing import Any

from kills import OBJECTIVES, row  # pyright: ignore[reportMissingImports]

from results import RunError, RunWriter, read_run
from results.folder import is_run

FOLD, ROWS = 20, 2000
READERS = 2


def write(folder: Path, acknowledged: Any, stop: Any) -> None:
    """Rows into one run after another; `acknowledged` counts them, `ROWS` for each run."""
    number = 0
    while not stop.is_set():
        said = {"config": {}, "config_text": "", "provenance": {}, "name": "live"}
        with RunWriter.create(folder / str(number), objectives=OBJECTIVES, **said) as writer:
            for trial in range(ROWS):
                writer.append(row(trial))
                acknowledged.value = number * ROWS + trial + 1
                if trial % FOLD == FOLD - 1:
                    writer.fold()
                if stop.is_set():
                    return
        number += 1


def read(folder: Path, acknowledged: Any, count: int, told: Any) -> None:
    """So many reads; failures and seconds into `told`."""
    failures: list[str] = []
    seconds: list[float] = []
    last = (0, 0)
    while len(seconds) < count:
        number, known = divmod(max(0, acknowledged.value - 1), ROWS)
        path = folder / str(number)
        if not is_run(path):
            time.sleep(0.01)
            continue
        start = time.perf_counter()
        try:
            trials = read_run(path).rows["trial"].to_pylist()
        except (RunError, OSError, ValueError) as error:
            failures.append(f"{type(error).__name__}: {error}")
            trials = []
        seconds.append(time.perf_counter() - start)
        if trials != [*range(len(trials))] or len(trials) <= known - 1:
            failures.append(f"{len(trials)} rows where {known + 1} were acknowledged")
        if (number, len(trials)) < last:
            failures.append(f"{len(trials)} rows after {last[1]}")
        last = (number, len(trials))
    told.put((failures, seconds))


def main() -> None:
    """A writer and two readers."""
    parser = argparse.ArgumentParser(description="Reads of a run while it is written.")
    parser.add_argument("--reads", type=int, default=10_000)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    acknowledged, stop, told = context.Value(c_longlong, 0), context.Event(), context.Queue()
    with tempfile.TemporaryDirectory(prefix="attnas-reads-") as name:
        folder = Path(name)
        writer = context.Process(target=write, args=(folder, acknowledged, stop))
        writer.start()
        share = arguments.reads // READERS
        readers = [
            context.Process(target=read, args=(folder, acknowledged, share, told))
            for _ in range(READERS)
        ]
        for reader in readers:
            reader.start()
        found = [told.get() for _ in readers]
        stop.set()
        for process in (*readers, writer):
            process.join()
        written = acknowledged.value
    failures = [failure for part, _ in found for failure in part]
    seconds = [second for _, part in found for second in part]
    print(
        f"{len(seconds)} reads while {written} rows were written and folded {written // FOLD} "
        f"times: {len(failures)} failures, median {1e3 * statistics.median(seconds):.0f} ms"
    )
    if failures:
        sys.exit("\n".join(failures[:5]))


if __name__ == "__main__":
    main()

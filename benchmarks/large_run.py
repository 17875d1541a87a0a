"""A run of 100,000 rows: what an append, a read and resuming its search cost.

    python benchmarks/large_run.py [--rows 100000] [--folder FOLDER]

About ten minutes, most of it flushes to disk. Rows are as wide as those of a search on
configs/lm.yaml: a design of 12 layers, 60 metrics, notes, a learning curve of 20 points. Every
append is what a search makes: an ask and its row, each flushed before it counts. The same bytes
written and flushed to a plain file in the same loop show what the disk itself takes. Reading and
resuming are done in processes of their own, whose peak memory is read at their end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from results import RunWriter, TrialRow, by_design, non_dominated, read_run
from results.journal import encode
from search_space import Design, Space

if TYPE_CHECKING:
    from controller import RunConfig  # which takes torch along; readers do without

CONFIG = {
    "space": {
        "width": 256,
        "depth": 12,
        "context": 4096,
        "layer": {
            "query_heads": 8,
            "kv_heads": {"choice": [1, 2, 4, 8], "place": "per-layer"},
            "head_dim": 32,
            "pattern": {
                "place": "per-layer",
                "choice": ["dense", {"sliding-window": {"window": {"choice": [64, 256, 512]}}}],
            },
        },
    },
    "search": {"presets": [], "finalists": 0},
}
STRATEGIES = ("random", "evolution", "auto")
SHOWN = 10  # parts of the run that are shown side by side


def config_of(rows: int, strategy: str = "random") -> RunConfig:
    """A search that is not over after so many rows."""
    from controller import RunConfig

    search = CONFIG["search"] | {"strategy": strategy, "trials": rows + 1000}
    return RunConfig.model_validate(CONFIG | {"search": search})


def rows_of(space: Space, count: int) -> Iterator[tuple[dict[str, Any], TrialRow]]:
    """Asks and rows of distinct designs, with figures that pull in different directions."""
    from controller import Candidate

    rng, seen = np.random.default_rng(0), set[str]()
    names = [f"prefill_{2**n}_{what}" for n in range(6, 13) for what in ("ratio", "ms", "se", "n")]
    names += [f"decode_{2**n}_{what}" for n in range(6, 13) for what in ("ratio", "ms", "se", "n")]
    while len(seen) < count:
        candidate = Candidate(space.sample(rng))
        if candidate.key in seen:
            continue
        seen.add(candidate.key)
        told = _told(candidate.design, rng, names)
        trial = len(seen) - 1
        ask = {"trial": trial, "attempt": 0, "seed": 0, "key": candidate.key, "origin": "random"}
        ask |= {"design": candidate.design.to_json(), "settings": candidate.settings_json}
        when = {"started_at": 10.0 * trial, "finished_at": 10.0 * trial + 9.5}
        yield ask, TrialRow(**ask, **when, state="complete", worker="node:1", **told)


def _told(design: Design, rng: np.random.Generator, names: list[str]) -> dict[str, Any]:
    """Metrics, notes and a curve."""
    cache = sum(layer.heads.kv for layer in design.layers) * 2.0**16
    noise = rng.normal(size=len(names))
    metrics = dict(zip(names, (1 + 0.1 * noise).tolist(), strict=True))
    accuracy = 0.4 + 0.1 * np.log2(cache) / 22 + 0.02 * rng.normal()
    metrics |= {"accuracy": float(accuracy), "accuracy_se": 0.01, "kv_cache_bytes": cache}
    metrics["prefill_2048_ratio"] = float(cache / 2**22 + 0.1 * rng.random())
    curve = [(1000.0 * step, float(3 / (1 + step))) for step in range(20)]
    notes = {"decode_256": "did not settle within 2% in 40 pairs"}
    return {"metrics": metrics, "curve": curve, "notes": notes}


def append_all(path: Path, count: int) -> None:
    """Write the run; print percentiles of an ask with its row, part by part."""
    config = config_of(count)
    space = Space.from_config(config.space)
    plain = config.to_plain()
    objectives = dict(config.objectives)
    writer = RunWriter.create(
        path, config=plain, config_text="", objectives=objectives, provenance={}, name="large"
    )
    beside = os.open(path / "beside", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    own: list[float] = []
    disk: list[float] = []
    print(f"{'rows':>8} {'median':>8} {'99%':>8} {'most':>8}   the disk alone: median, 99%")
    with writer:
        for number, (ask, row) in enumerate(rows_of(space, count), 1):
            start = time.perf_counter()
            writer.ask(**ask)
            writer.append(row)
            own.append(time.perf_counter() - start)
            parts = [encode({"ask": ask}), encode({"row": row.to_plain()})]
            start = time.perf_counter()
            for part in parts:
                os.write(beside, part)
                os.fsync(beside)
            disk.append(time.perf_counter() - start)
            if number % (count // SHOWN) == 0:
                part, bare = own[-count // SHOWN :], disk[-count // SHOWN :]
                print(
                    f"{number:>8} {_ms(part, 0.5)} {_ms(part, 0.99)} {1e3 * max(part):>5.0f} ms"
                    f"   {_ms(bare, 0.5)} {_ms(bare, 0.99)}",
                    flush=True,
                )
    os.close(beside)
    (path / "beside").unlink()
    print(f"peak memory of the writer {_peak():,.0f} MB (with the candidates' keys of this script)")


def _ms(seconds: list[float], share: float) -> str:
    return f"{1e3 * float(np.quantile(seconds, share)):>5.1f} ms"


def _peak() -> float:
    """Megabytes that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read_all(path: Path) -> None:
    """Read the run twice; the second time counts. Print times and peak memory."""
    seconds = []
    run = frame = None
    before = _peak()
    for _ in range(3):
        run = frame = None  # one at a time in memory
        start = time.perf_counter()
        run = read_run(path)
        table = time.perf_counter() - start
        frame = run.frame()
        seconds.append((table, time.perf_counter() - start))
    assert run is not None
    assert frame is not None
    table, whole = (statistics.median(column) for column in zip(*seconds[1:], strict=True))
    memory = _peak()
    start = time.perf_counter()
    front = int(non_dominated(by_design(frame, run.objectives), run.objectives).sum())
    print(
        f"read {len(frame):,} rows: columns {table:.2f} s, tidy frame {whole:.2f} s, "
        f"peak memory {memory:,.0f} MB, {before:,.0f} of it before; "
        f"front of {front} in {time.perf_counter() - start:.2f} s"
    )


def resume_all(path: Path, strategy: str) -> None:
    """What `attnas resume` does before it starts workers; then one proposal."""
    from controller import CandidateSpace, Search

    start = time.perf_counter()
    config = config_of(10**9, strategy)
    with RunWriter.open(path) as writer:
        search = Search.of(config, writer, CandidateSpace(Space.from_config(config.space)))
        ready = time.perf_counter() - start
        start = time.perf_counter()
        trial = search.next_trial()
        asked = time.perf_counter() - start
        assert trial is not None
        assert trial.trial == len(search.rows)
        row = replace(search.rows[-1], key=trial.design.key)
        fields = trial.row_fields() | {"state": "complete", "metrics": row.metrics}
        fields |= {"started_at": 0.0, "finished_at": 1.0, "worker": "node:1"}
        search.finish(TrialRow.from_plain(fields))
    print(
        f"resume with {strategy}: {ready:.1f} s, next proposal {asked:.2f} s, "
        f"peak memory {_peak():,.0f} MB"
    )


def main() -> None:
    """Write, then read and resume in fresh processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    parser.add_argument("--part", choices=["append", "read", *STRATEGIES], help="one part alone")
    arguments = parser.parse_args()
    if arguments.part is not None:
        path = arguments.folder / "large"
        if arguments.part == "append":
            append_all(path, arguments.rows)
        elif arguments.part == "read":
            read_all(path)
        else:
            resume_all(path, arguments.part)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for part in ("append", "read", *STRATEGIES):
            again = [sys.executable, __file__, "--part", part, "--folder", folder]
            subprocess.run([*again, "--rows", str(arguments.rows)], check=True)
        files = list((Path(folder) / "large" / "segments").iterdir())
        total = sum(file.stat().st_size for file in files)
        print(json.dumps({"segments": len(files), "megabytes": round(total / 1e6, 1)}))


if __name__ == "__main__":
    main()

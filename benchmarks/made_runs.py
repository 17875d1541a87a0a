"""Made runs: folders of any number of trials, for looking at what a search of weeks would leave.

Designs are drawn from a space of 12 layers. Figures follow from them with noise, so that there is a
front, presets stand near it and designs found later are better; every state and reason occurs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from results import RunWriter, TrialRow
from results.folder import JOURNALS
from results.manifest import Manifest, publish
from results.schema import rows_to_table
from results.segments import write_segment
from search_space import Design, Space, SpaceConfig, preset
from search_space.counts import kv_cache_bytes, parameters

WIDTH, DEPTH, CONTEXT = 256, 12, 4096
CONFIG: dict[str, Any] = {
    "space": {
        "width": WIDTH,
        "depth": DEPTH,
        "context": CONTEXT,
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
    "search": {"strategy": "auto"},
}
OBJECTIVES = {"accuracy": "max", "prefill_2048_ratio": "min", "kv_cache_bytes": "min"}
PRESETS = ("mha", "mqa", "gqa", "sliding-window")
SEEDS = 3  # of each preset
PART = 20_000  # rows of a segment
WORKERS = 8
BAD = {
    "infeasible": "needs 3.1 GiB to train, above the limit of 2.0 GiB for each of 8 workers",
    "failed": "RuntimeError: the loader of part lm ended early (worker 3, exit status 1)",
    "diverged": "the loss is not finite at step 212",
    "pruned": "stopped after 125 of 500 steps: 4th best of 12 at this rung",
}
BAD_SHARES = {"infeasible": 0.03, "failed": 0.005, "diverged": 0.005, "pruned": 0.03}
STEPS = 12  # points of a learning curve


def make_run(path: Path, trials: int, seed: int = 0) -> None:
    """A finished run of so many trials, as its driver left it."""
    with RunWriter.create(
        path,
        config=CONFIG | {"search": CONFIG["search"] | {"trials": trials}},
        config_text="",
        objectives=OBJECTIVES,
        provenance={"vocabulary": 256, "channels": 0},
        name=path.name,
    ) as writer:
        done = {"state": "finished", "trials_done": trials, "trials_budget": trials, "running": []}
        writer.heartbeat(done | {"workers": WORKERS, "elapsed_s": 12.0 * trials / WORKERS})
    rows = made_rows(trials, seed)
    parts = _in_parts(rows, PART)
    segments = [
        write_segment(path, number, rows_to_table(part)) for number, part in enumerate(parts, 1)
    ]
    number = len(segments) + 1
    manifest = Manifest(number, tuple(segments), f"{JOURNALS}/{number:06d}.log")
    (path / manifest.journal).write_bytes(b"")
    publish(path, manifest)


def made_rows(trials: int, seed: int = 0) -> Iterator[TrialRow]:
    """The rows, in order of events."""
    rng = np.random.default_rng(seed)
    space = Space.from_config(SpaceConfig.model_validate(CONFIG["space"]))
    known: list[tuple[Design, str]] = [
        (preset(name, width=WIDTH, depth=DEPTH, context=CONTEXT, heads=8, dim=32), f"preset:{name}")
        for name in PRESETS
    ]
    begun = 1.79e9
    for trial in range(trials):
        if trial < SEEDS * len(known):
            (design, origin), number = known[trial % len(known)], trial // len(known)
        else:
            # Most searched designs are taken from the better half of a few draws.
            is_random = rng.random() < 0.1
            draws = [space.sample(rng) for _ in range(1 if is_random else 2)]
            design = max(draws, key=lambda d: _worth(d) - _cache(d) / 2**25)
            origin, number = "random" if is_random else "strategy:auto", 0
        start = begun + 12.0 * (trial // WORKERS) + rng.random()
        yield _row(trial, number, design, origin, start, rng)


def _row(
    trial: int, seed: int, design: Design, origin: str, start: float, rng: np.random.Generator
) -> TrialRow:
    """A trial and what came of it."""
    draw, state = rng.random(), "complete"
    for name, share in BAD_SHARES.items():
        if not origin.startswith("preset:") and state == "complete" and draw < share:
            state = name
        draw -= share
    loss = 3.0 - _worth(design)
    steps = range(1, STEPS + 1 if state == "complete" else 4)
    curve = [(2048.0 * 40 * i, loss + 2.5 / i + 0.02 * float(rng.normal())) for i in steps]
    return TrialRow(
        trial=trial,
        seed=seed,
        key=design.key,
        design=design.to_json(),
        origin=origin,
        state=state,  # type: ignore[arg-type]
        reason=BAD.get(state),
        started_at=start,
        finished_at=start + 9.0 + 2.0 * rng.random(),
        worker=f"node{trial % WORKERS // 4}:{100 + trial % WORKERS}",
        device="cpu",
        threads=1,
        dtype="float32",
        torch="2.13.0",
        asked_at=2 * trial,
        told_at=2 * trial + 1,
        notes={"machine": "made up"},
        curve=curve if state != "infeasible" else (),
        gradients=[[1.0 / i] * DEPTH for i in steps],
        spans=_spans(trial, state),
        metrics=_metrics(design, rng) if state == "complete" else _counted(design),
    )


def _spans(trial: int, state: str) -> list[tuple[str, float, float]]:
    """What the worker did when; the first trial of each also waited for its process."""
    waited = 0.3 + 0.2 * (trial % 4)
    spans = [("starting", -4.0, 0.0)] if trial < WORKERS else []
    spans += [("counting", 0.0, 0.2)]
    if state != "infeasible":
        ended = 8.5 if state in ("complete", "pruned") else 4.0
        spans += [("waiting", 0.2, 0.2 + waited), ("measuring", 0.2 + waited, 2.2 + waited)]
        spans += [("training", 2.2 + waited, ended)]
    return spans + ([("scoring", 8.5, 8.9)] if state == "complete" else [])


def _counted(design: Design) -> dict[str, float]:
    return {"kv_cache_bytes": _cache(design), "parameters": float(parameters(design, 256))}


def _metrics(design: Design, rng: np.random.Generator) -> dict[str, float]:
    """Figures with their bounds."""
    seen = sum(_window(layer) for layer in design.layers) / DEPTH / CONTEXT
    heads = sum(layer.heads.kv for layer in design.layers) / DEPTH / 8
    found = _counted(design)
    for cell, ratio in {
        "prefill_512": 0.80 + 0.1 * seen + 0.1 * heads,
        "prefill_2048": 0.45 + 0.45 * seen + 0.1 * heads,
        "decode_2048": 0.50 + 0.2 * seen + 0.3 * heads,
        "train_step": 0.60 + 0.3 * seen + 0.1 * heads,
    }.items():
        value = float(ratio * np.exp(0.01 * rng.normal()))
        found |= {f"{cell}_ratio": value, f"{cell}_ms": 10 * value, f"{cell}_processes": 1.0}
        found |= {f"{cell}_ratio_low": 0.98 * value, f"{cell}_ratio_high": 1.02 * value}
    noise = rng.normal(size=3)
    accuracy = 0.35 + 0.25 * _worth(design) + 0.006 * float(noise[0])
    lm, recall = accuracy - 0.1 + 0.004 * float(noise[1]), accuracy + 0.1 + 0.004 * float(noise[2])
    found |= {"accuracy": accuracy, "accuracy_lm": lm, "accuracy_recall": recall}
    found |= {f"{name}_se": 0.005 for name in ("accuracy", "accuracy_lm", "accuracy_recall")}
    found |= {"train_seconds": 6.0, "measure_seconds": 2.0, "peak_train_bytes": 3e8 * (1 + heads)}
    return found


def _worth(design: Design) -> float:
    """How good a design is, 0 to 1: some dense layers late, many KV heads early."""
    depth = len(design.layers)
    late = sum((i + 1) * _window(layer) for i, layer in enumerate(design.layers))
    early = sum((depth - i) * layer.heads.kv for i, layer in enumerate(design.layers))
    weight = depth * (depth + 1) / 2
    return 0.6 * (late / weight / CONTEXT) ** 0.3 + 0.4 * (early / weight / 8) ** 0.5


def _window(layer: Any) -> int:
    return int(getattr(layer.pattern, "window", CONTEXT))


def _cache(design: Design) -> float:
    return float(kv_cache_bytes(design, CONTEXT))


def _in_parts(rows: Iterator[TrialRow], size: int) -> Iterator[list[TrialRow]]:
    part: list[TrialRow] = []
    for row in rows:
        part.append(row)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part

"""Time of what a search asks of a space: building, drawing, moving, counting, naming, encoding.

Two spaces: 24 layers that are free in every axis, and the motif space of
configs/spaces/long-context.yaml with its bound on the cache. The figures are medians of repeats,
in seconds of processor time, so that a busy machine says little.

    python benchmarks/space.py [--repeats 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from search_space import Design, Space, SpaceFile, counts, load_yaml, parse_yaml, validate
from search_space.strict_yaml import Document

FREE = """\
space:
  width: 512
  depth: 24
  context: 32768
  layer:
    query_heads: 8
    kv_heads: {choice: [1, 2, 4, 8], place: per-layer}
    head_dim: 64
    pattern:
      place: per-layer
      choice:
        - dense
        - sliding-window: {window: {choice: [64, 256, 1024, 4096], place: per-layer}}
        - dilated-window:
            window: {choice: [64, 256], place: per-layer}
            dilation: {choice: [2, 8], place: per-layer}
        - sink-window: {window: {choice: [256, 1024], place: per-layer}, sinks: 4}
        - strided: {stride: {choice: [128, 256], place: per-layer}}
    sharing:
      place: per-layer
      choice:
        - own
        - one-tensor
        - reused
        - latent: {rank: {choice: [64, 128], place: per-layer}, rotary_dim: 16}
    position: {choice: [rotary, none], place: per-layer}
    gate: {choice: [none, head], place: per-layer}
"""
MOTIF = Path(__file__).parents[1] / "configs" / "spaces" / "long-context.yaml"
BARS = {"10,000 uniform samples": 5.0, "counting a design": 0.2e-3}  # seconds
DESIGNS = 100  # a repeat, that are moved, counted, named and encoded
PRESETS = 3  # a repeat


@dataclass(frozen=True)
class Row:
    """One operation on one space."""

    space: str
    what: str
    seconds: float
    bar_seconds: float | None


def median_seconds(work: Callable[[int], object], repeats: int) -> float:
    """Median processor time of calls, each on other designs, as a search has them."""
    taken: list[float] = []
    for k in range(repeats):
        started = time.process_time()
        work(k)
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def count(design: Design) -> tuple[int, int, int, int]:
    """The four counts that a search takes of every design."""
    context = design.context
    return (
        counts.parameters(design, 0),
        counts.prefill_flops(design, context, 0),
        counts.decode_flops(design, context, 0),
        counts.kv_cache_bytes(design, context),
    )


def rows_of(name: str, document: Document, repeats: int) -> list[Row]:
    """Every operation on one space; each is timed on some designs and scaled up or down."""
    rng = np.random.default_rng(0)
    config = validate(SpaceFile, document).space
    space = Space.from_config(config)
    designs = [[space.sample(rng) for _ in range(DESIGNS)] for _ in range(repeats)]
    pairs = [[*zip(some, some[1:] + some[:1], strict=True)] for some in designs]
    baselines = list(space.presets().values())
    presets = [[baselines[(k * PRESETS + i) % len(baselines)] for i in range(PRESETS)]
               for k in range(repeats)]  # fmt: skip
    share = 1 / DESIGNS

    def drawn(draw: Callable[[np.random.Generator], Design], number: int) -> list[Design]:
        return [draw(rng) for _ in range(number)]

    def build() -> Design:
        built = Space.from_config(validate(SpaceFile, document).space)
        return built.sample(rng)  # the first sample counts the frames

    # what is done in repeat k, and the factor from its time to the row's
    operations: list[tuple[str, Callable[[int], object], float]] = [
        ("building it, with its first sample", lambda k: build(), 1),
        ("10,000 uniform samples", lambda k: drawn(space.sample, 10 * DESIGNS), 1e3 * share),
        ("10,000 structured samples", lambda k: drawn(space.sample_structured, DESIGNS),
         1e4 * share),
        ("1,000 mutations", lambda k: [space.mutate(d, rng) for d in designs[k]], 1e3 * share),
        ("1,000 crossings", lambda k: [space.cross(a, b, rng) for a, b in pairs[k]], 1e3 * share),
        ("counting a design", lambda k: [count(d) for d in designs[k]], share),
        ("a key", lambda k: [d.key for d in designs[k]], share),
        ("to JSON and back", lambda k: [Design.from_json(d.to_json()) for d in designs[k]], share),
        ("encoding a design", lambda k: space.encoding.encode(designs[k]), share),
        ("nearest of a preset", lambda k: [space.nearest(d) for d in presets[k]], 1 / PRESETS),
    ]  # fmt: skip
    return [
        Row(name, what, factor * median_seconds(work, repeats), BARS.get(what))
        for what, work, factor in operations
    ]


def as_table(rows: list[Row]) -> str:
    """Markdown, one line per operation and one column per space."""
    spaces = list(dict.fromkeys(row.space for row in rows))
    lines = [
        f"| | {' | '.join(spaces)} | bar |",
        f"|---|{'---|' * (len(spaces) + 1)}",
    ]
    for what in dict.fromkeys(row.what for row in rows):
        found = [row for row in rows if row.what == what]
        bar = found[0].bar_seconds
        cells = [shown(row.seconds) + (" (missed)" if missed(row) else "") for row in found]
        lines.append(f"| {what} | {' | '.join(cells)} | {'' if bar is None else shown(bar)} |")
    return "\n".join(lines)


def missed(row: Row) -> bool:
    """Whether an operation takes longer than it may."""
    return row.bar_seconds is not None and row.seconds > row.bar_seconds


def shown(seconds: float) -> str:
    """For people: `1.2 s` or `0.13 ms`."""
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"


def main() -> None:
    """Time both spaces and print the table."""
    parser = argparse.ArgumentParser(description="time of what a search asks of a space")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="rows for programs")
    arguments = parser.parse_args()
    rows = rows_of("24 free layers", parse_yaml(FREE), arguments.repeats)
    rows += rows_of("motif, bounded", load_yaml(MOTIF), arguments.repeats)
    print(json.dumps([asdict(row) for row in rows]) if arguments.json else as_table(rows))


if __name__ == "__main__":
    main()

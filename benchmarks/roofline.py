"""Predicted against measured latency on this CPU: how far a roofline can be trusted.

Every decoder preset at two sizes and random designs, each against multi-head attention of its size,
in one thread: prefill at 512 and 2048 tokens, decoding at contexts of 512 and 4096.

    python benchmarks/roofline.py [--quick] [--write] [--rows rows.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.stats import kendalltau, spearmanr

from evaluator.calibration import median_profile, profile_of_this_machine
from evaluator.device_profiles import PROFILES, Profile
from evaluator.grid import Cell
from evaluator.latency import PairedLatency, RepeatConfig, measure_pair
from evaluator.model import model_of
from evaluator.roofline import predicted_seconds
from evaluator.work import work_of
from search_space import PRESETS, Design, Space, SpaceFile, parse_yaml, preset, validate

CELLS = (Cell("prefill", 512), Cell("prefill", 2048), Cell("decode", 512), Cell("decode", 4096))
VOCABULARY, CONTEXT = 272, 4096
SIZES = {"small": (128, 4, 8, 16), "large": (256, 4, 8, 32)}  # width, depth, heads, dim
RANDOM, SEED = 10, 7
CALIBRATIONS = 6  # spread over the run, as the machine has slow spells
SPACE = """\
space:
  width: 192
  depth: 4
  context: 4096
  layer:
    query_heads: 6
    head_dim: 32
    kv_heads: {choice: [1, 2, 3, 6], place: per-layer}
    pattern:
      place: per-layer
      choice:
        - dense
        - linear
        - gated-linear
        - sliding-window: {window: {choice: [64, 256, 1024], place: per-layer}}
        - dilated-window: {window: 64, dilation: 4}
        - sink-window: {window: 256, sinks: 4}
        - strided: {stride: 64}
    sharing: {choice: [own, one-tensor, reused], place: per-layer}
    position: {choice: [rotary, none], place: per-layer}
    gate: {choice: [none, head], place: per-layer}
"""
PAGE = Path(__file__).parents[1] / "docs" / "roofline.md"


@dataclass(frozen=True)
class Case:
    """A design, and the one that it is compared with."""

    name: str
    design: Design
    reference: Design


@dataclass(frozen=True)
class Row:
    """One cell of one case, in milliseconds."""

    name: str
    cell: str
    predicted_ms: float
    predicted_ratio: float
    measured_ms: float
    measured_ratio: float


Measured = tuple[Case, Cell, PairedLatency]


def cases() -> list[Case]:
    """Presets by size, then random designs of a space that mixes them."""
    found: list[Case] = []
    for size, (width, depth, heads, dim) in SIZES.items():
        build = partial(preset, width=width, depth=depth, context=CONTEXT, heads=heads, dim=dim)
        names = [n for n, p in PRESETS.items() if "decoder" in p.kinds and n != "mha"]
        found += [Case(f"{n} {size}", build(n), build("mha")) for n in names]
    space = Space(validate(SpaceFile, parse_yaml(SPACE)).space)
    rng = np.random.default_rng(SEED)
    for number in range(RANDOM):
        design = space.sample(rng)
        reference = preset("mha", width=192, depth=4, context=CONTEXT, heads=6, dim=32)
        found.append(Case(f"random {number}", design, reference))
    return found


def row_of(case: Case, cell: Cell, measured: PairedLatency, profile: Profile) -> Row:
    """What was measured beside what is predicted."""
    mine, its = (
        predicted_seconds(design, cell, VOCABULARY, profile)
        for design in (case.design, case.reference)
    )
    return Row(
        case.name,
        cell.name,
        1e3 * mine,
        mine / its,
        measured.candidate_ms,
        measured.ratio,
    )


def measure(cases: Sequence[Case], seconds: float) -> tuple[list[Measured], Profile]:
    """Every cell of every case, and this machine's profile at several times between them."""
    found: list[Measured] = []
    profiles: list[Profile] = []
    repeat = RepeatConfig(seconds=seconds)
    for number, case in enumerate(cases):
        if number % max(1, len(cases) // CALIBRATIONS) == 0:
            profiles.append(profile_of_this_machine(1))
        for cell in CELLS:
            makes = _maker(case.design, cell), _maker(case.reference, cell)
            found.append((case, cell, measure_pair(*makes, repeat)))
    return found, median_profile(profiles)


def _maker(design: Design, cell: Cell) -> Callable[[], Callable[[], object]]:
    """Builds model and work anew."""
    return lambda: work_of(model_of(design, VOCABULARY), cell, None).run


def table(rows: Sequence[Row]) -> list[str]:
    """By phase and set of designs: rank correlations, and errors as shares of what was measured."""
    lines = [
        "| cell | designs | Spearman | Kendall | ratio: median, 90% | ms: median, 90% |",
        "|---|---|---|---|---|---|",
    ]
    for cell in CELLS:
        for name, chosen in _sets([row for row in rows if row.cell == cell.name]).items():
            predicted, measured = zip(
                *((row.predicted_ratio, row.measured_ratio) for row in chosen), strict=True
            )
            ranks = spearmanr(predicted, measured)[0], kendalltau(predicted, measured)[0]
            ratios = [abs(r.predicted_ratio / r.measured_ratio - 1) for r in chosen]
            times = [abs(r.predicted_ms / r.measured_ms - 1) for r in chosen]
            errors = [", ".join(f"{100 * x:.0f}%" for x in _errors(e)) for e in (ratios, times)]
            cells = [cell.name, name, *(f"{x:.2f}" for x in ranks), *errors]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _sets(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """All rows, and those whose designs the model was not developed with."""
    fresh = [row for row in rows if not row.name.endswith("large")]
    sets = {f"all {len(rows)}": list(rows), f"unseen {len(fresh)}": fresh}
    return {name: chosen for name, chosen in sets.items() if len(chosen) > 1}


def profile_lines(profile: Profile) -> list[str]:
    """This machine, in a sentence and a list."""
    shares = [f"{name} {k.share:.2f}" for name, k in profile.kernels.items() if name != "dense"]
    return [
        f"One thread, float32: {profile.flops / 1e9:.0f} GFLOP/s of products, "
        f"{profile.exponentials / 1e9:.1f} billion exponentials a second, "
        f"{profile.bandwidth / 1e9:.0f} GB/s from memory, {1e6 * profile.overhead_s:.1f} us a "
        f"launch. Kernels reach of that, as a share: {', '.join(shares)}."
    ]


def profiles() -> list[str]:
    """The profiles of other devices."""
    lines = [
        "| name | TFLOP/s | GB/s | exponentials, 1e12/s | source |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {p.name} | {p.flops / 1e12:.0f} | {p.bandwidth / 1e9:.0f} | "
        f"{p.exponentials / 1e12:.1f} | {p.source} |"
        for p in PROFILES.values()
    ]


def fill(page: Path, blocks: dict[str, list[str]]) -> None:
    """Put blocks behind their marks `<!-- name -->`, in place of what stands there."""
    text = page.read_text()
    for name, lines in blocks.items():
        mark = f"<!-- {name} -->\n"
        before, behind = text.split(mark)
        rest = behind if behind.startswith("\n") else behind[behind.index("\n\n") + 1 :]
        text = "".join([before, mark, *(f"{line}\n" for line in lines), rest])
    page.write_text(text)


def _errors(values: Sequence[float]) -> tuple[float, float]:
    """Median, and what nine of ten do not exceed."""
    return statistics.median(values), float(np.quantile(values, 0.9))


def main() -> None:
    """Calibrate, measure case by case, print, and write the page if asked to."""
    parser = argparse.ArgumentParser(description="predicted against measured latency")
    parser.add_argument("--quick", action="store_true", help="a second per cell")
    parser.add_argument("--write", action="store_true", help=f"fill the table of {PAGE.name}")
    parser.add_argument("--rows", type=Path, help="also write every row, as JSON")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [case for case in cases() if options.only in case.name]
    measured, profile = measure(chosen, 1.0 if options.quick else 4.0)
    rows = [row_of(*one, profile) for one in measured]
    for row in rows:
        print(
            f"{row.name:24} {row.cell:13} ms {row.predicted_ms:8.2f} / {row.measured_ms:8.2f}"
            f"  ratio {row.predicted_ratio:6.3f} / {row.measured_ratio:6.3f}"
        )
    print("\n".join([*profile_lines(profile), *table(rows)]))
    if options.rows:
        options.rows.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if options.write:
        fill(
            PAGE, {"machine": profile_lines(profile), "table": table(rows), "profiles": profiles()}
        )


if __name__ == "__main__":
    main()

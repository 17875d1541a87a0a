"""Real attention designs with their learning curves: a table of benchmarks/learning_curves.py.

The one problem here with rungs: accuracy is known after several shares of the training. The space
is that of the script, so strategies meet it exactly as in a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from controller import load_config
from controller.candidates import Candidate, CandidateSpace
from controller.simulation import Problem
from results import parse_objectives
from search_space import Design, Space

KNOWN = ("kv_cache_bytes", "prefill_flops")


def curves_problem(path: Path, blind: bool) -> Problem:
    """Accuracy of recall and language modelling, cache bytes and FLOPs of the prefill.

    A design that the table lacks so far has no result. The best hypervolume is exact.
    """
    from learning_curves import QUICKSTART, SCORED_AT  # pyright: ignore[reportMissingImports]

    space = Space.from_config(load_config(QUICKSTART).space)
    own = {design.key for design in space.enumerate()}
    table = pd.read_parquet(path)
    rows: list[dict[str, Any]] = table[table["key"].isin(own)].to_dict("records")  # pyright: ignore[reportAssignmentType]
    by_key = {str(row["key"]): row for row in rows}
    last = max(SCORED_AT)
    steps_of = {steps / last: steps for steps in SCORED_AT}

    def measure(candidate: Candidate, share: float) -> Mapping[str, float]:
        row = by_key.get(candidate.design.key)
        if row is None:
            return {}
        found = {name: float(row[name]) for name in KNOWN}
        accuracy = float(row[f"accuracy_{steps_of[share]}"])
        return found if np.isnan(accuracy) else {"accuracy": accuracy, **found}

    def known(design: Design) -> Mapping[str, float]:
        row = by_key.get(design.key)
        return {} if row is None else {name: float(row[name]) for name in KNOWN}

    points = np.array([[row[f"accuracy_{last}"], *(row[n] for n in KNOWN)] for row in rows])
    points = points[~np.isnan(points).any(axis=1)]
    best, worst = points.min(axis=0), points.max(axis=0)
    best[0], worst[0] = worst[0], best[0]
    typical = float(np.mean([row[f"seconds_{last}"] for row in rows]))
    seconds = {key: float(row[f"seconds_{last}"]) for key, row in by_key.items()}
    problem = Problem(
        name="recall-lm-curves",
        space=CandidateSpace(space, None if blind else known),
        objectives=parse_objectives({"accuracy": "max"} | dict.fromkeys(KNOWN, "min")),
        ideal=tuple(map(float, best)),
        # a tenth beyond the worst, so that the ends of the front count
        ref=tuple(map(float, worst + 0.1 * (worst - best))),
        hv_best=1.0,  # until the box is there to measure it in
        measure=measure,
        full_seconds=lambda candidate: seconds.get(candidate.design.key, typical),
        known=() if blind else KNOWN,
        shares=tuple(steps_of),
    )
    return replace(problem, hv_best=problem.hypervolume(points))

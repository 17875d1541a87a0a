"""Time of an ask: every strategy after 200 and after 2,000 results on a 24-layer attention space.

The space has 24 layers, each free in KV heads, pattern and window. Results are counts, told in
the order in which candidates went out, four of them out at once. The figures are seconds of
processor time per ask; replaying the log that came before is timed apart, as resuming a run pays
it once.

    python benchmarks/ask_cost.py [--strategies nsga2 optuna-tpe] [--rows 200 2000] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from controller import Candidate, CandidateSpace
from controller.strategies import STRATEGIES, Proposal
from results import TrialRow, parse_objectives
from search_space import Space, SpaceFile, counts, parse_yaml, validate

LAYERS = """\
space:
  width: 512
  depth: 24
  context: 8192
  layer:
    query_heads: 8
    kv_heads: {choice: [1, 2, 4, 8], place: per-layer}
    head_dim: 64
    pattern:
      place: per-layer
      choice:
        - dense
        - sliding-window: {window: {choice: [64, 256, 1024, 4096], place: per-layer}}
"""
OBJECTIVES = parse_objectives({"quality": "max", "kv_cache_bytes": "min"})
ASKS = 3  # of each strategy; the median counts
OUT = 4  # candidates without a result
OWN = ("nni-evolution", "tune-optuna")  # learn from what they proposed themselves
MOST = {"tune-optuna": 500}  # rows; asking for 2,000 first would take an hour


@dataclass(frozen=True)
class Cost:
    """One strategy after so many results."""

    strategy: str
    rows: int
    replay_seconds: float
    ask_seconds: float


def scores(candidate: Candidate) -> dict[str, float]:
    """Figures that pull in two directions and need no training."""
    design = candidate.design
    pairs = counts.attended_pairs(design, design.context)
    return {
        "quality": float(np.log(pairs)),
        "kv_cache_bytes": float(counts.kv_cache_bytes(design, design.context)),
    }


def row_of(trial: int, candidate: Candidate) -> TrialRow:
    """A complete row."""
    return TrialRow(
        trial=trial,
        seed=0,
        key=candidate.key,
        design=candidate.design.to_json(),
        settings=candidate.settings_json,
        origin="random",
        state="complete",
        started_at=0.0,
        finished_at=1.0,
        worker="w",
        metrics=scores(candidate),
    )


def cost(name: str, space: CandidateSpace, candidates: Sequence[Candidate]) -> Cost:
    """Replay the candidates as a log, then ask; the last few are still out."""
    proposals = [Proposal(candidate) for candidate in candidates]
    if name in OWN:
        proposals = own_proposals(name, space, len(candidates))
    rows = [row_of(trial, proposal.candidate) for trial, proposal in enumerate(proposals)]
    strategy = STRATEGIES[name](space, OBJECTIVES, 0)
    started = time.process_time()
    for index, proposal in enumerate(proposals):
        strategy.handed_out(proposal.candidate, proposal.part)
        if index >= OUT:
            strategy.tell(rows[index - OUT])
    replayed = time.process_time() - started
    taken: list[float] = []
    for _ in range(ASKS):
        started = time.process_time()
        proposal = strategy.ask()
        taken.append(time.process_time() - started)
        if proposal is not None:
            strategy.handed_out(proposal.candidate, proposal.part)
            strategy.tell(row_of(len(rows), proposal.candidate))
    return Cost(name, len(candidates) - OUT, replayed, statistics.median(taken))


def own_proposals(name: str, space: CandidateSpace, number: int) -> list[Proposal]:
    """What a strategy proposes by itself."""
    strategy = STRATEGIES[name](space, OBJECTIVES, 0)
    proposals: list[Proposal] = []
    for index in range(number):
        proposal = strategy.ask()
        assert proposal is not None
        proposals.append(proposal)
        strategy.handed_out(proposal.candidate, proposal.part)
        if index >= OUT:
            strategy.tell(row_of(index - OUT, proposals[index - OUT].candidate))
    return proposals


def as_table(costs: Sequence[Cost]) -> str:
    """Markdown, one line per strategy."""
    numbers = sorted({cost.rows for cost in costs})
    heads = [text for n in numbers for text in (f"ask at {n:,}", f"replay of {n:,}")]
    lines = [f"| strategy | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    for name in dict.fromkeys(cost.strategy for cost in costs):
        own = {cost.rows: cost for cost in costs if cost.strategy == name}
        cells = [
            f"{seconds:.3f} s" if n in own else "-"
            for n in numbers
            for seconds in ((own[n].ask_seconds, own[n].replay_seconds) if n in own else (0, 0))
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Time the strategies and print the table."""
    parser = argparse.ArgumentParser(description="time of an ask of every strategy")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--rows", nargs="+", type=int, default=[200, 2000])
    parser.add_argument("--json", action="store_true", help="rows for programs")
    arguments = parser.parse_args()
    space = CandidateSpace(Space.from_config(validate(SpaceFile, parse_yaml(LAYERS)).space))
    rng = np.random.default_rng(0)
    drawn = [space.sample_structured(rng) for _ in range(2 * max(arguments.rows))]
    distinct = list({candidate.key: candidate for candidate in drawn}.values())
    while len(distinct) < max(arguments.rows) + OUT:
        distinct.append(space.sample(rng))
    costs = [
        cost(name, space, distinct[: rows + OUT])
        for name in arguments.strategies
        for rows in arguments.rows
        if rows <= MOST.get(name, rows)
    ]
    print(json.dumps([asdict(c) for c in costs]) if arguments.json else as_table(costs))


if __name__ == "__main__":
    main()

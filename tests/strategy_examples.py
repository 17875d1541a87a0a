"""What tests of strategies share: small spaces, a simulated evaluator, and searches as logs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from controller import Candidate, CandidateSpace
from controller.strategies import STRATEGIES, MakeStrategy, Proposal, Strategy
from results import Objective, TrialRow, parse_objectives
from results.schema import State
from search_space import Design, SlidingWindow, Space, SpaceConfig, counts

OBJECTIVES = parse_objectives({"quality": "max", "pairs": "min"})
FOUR = parse_objectives({"quality": "max", "pairs": "min", "cache": "min", "global": "max"})

Metrics = Mapping[str, float]


def free(*values: Any) -> dict[str, Any]:
    return {"choice": list(values), "place": "per-layer"}


def space_of(depth: Any, kv_heads: Sequence[int] = (1, 2, 4, 8), **more: Any) -> CandidateSpace:
    """Layers free in pattern and KV heads: 16 ** depth designs by default."""
    layer = {
        "query_heads": 8,
        "kv_heads": free(*kv_heads),
        "head_dim": 8,
        "pattern": free("dense", {"sliding-window": {"window": free(4, 16, 64)}}),
    }
    config = {"width": 64, "depth": depth, "context": 256, "layer": layer}
    return candidates_of(config | more)


def candidates_of(config: dict[str, Any]) -> CandidateSpace:
    return CandidateSpace(Space.from_config(SpaceConfig.model_validate(config)))


ONE_DESIGN = {
    "width": 64,
    "depth": 2,
    "context": 256,
    "layer": {"query_heads": 8, "kv_heads": 2, "head_dim": 8},
}
RATES = {"training.learning_rate": {"log_range": [0.001, 0.008]}}
BATCHES = {"task.lm.batch": {"choice": [2, 4]}, "training.warmup": 0.1}

SPACES: dict[str, Callable[[], CandidateSpace]] = {
    "free layers": lambda: space_of(4),
    "two depths and a constraint": lambda: space_of(
        {"choice": [2, 3]}, constraints=[{"count": "kv_cache_bytes", "max": 200_000}]
    ),
    "four designs": lambda: space_of(1, kv_heads=(2,)),
    "one design": lambda: candidates_of(ONE_DESIGN),
    "free layers under settings": lambda: space_of(4, settings=RATES | BATCHES),
    "one design under settings": lambda: candidates_of(ONE_DESIGN | {"settings": RATES}),
}


def simulated(design: Design) -> dict[str, float]:
    """Quality wants dense late layers and many KV heads there; the rest wants the opposite."""
    quality, dense = 0.0, 0
    for index, layer in enumerate(design.layers):
        seen = layer.pattern.window if isinstance(layer.pattern, SlidingWindow) else design.context
        quality += (index + 1) * (np.log2(seen) + 0.5 * np.log2(layer.heads.kv))
        dense += seen == design.context
    return {
        "quality": float(quality),
        "pairs": float(counts.attended_pairs(design, 256)),
        "cache": float(counts.kv_cache_bytes(design, 256)),
        "global": float(dense),
    }


def row_of(
    trial: int,
    candidate: Candidate,
    state: State = "complete",
    seed: int = 0,
    metrics: Metrics | None = None,
) -> TrialRow:
    if metrics is None:
        metrics = simulated(candidate.design) if state == "complete" else {}
    return TrialRow(
        trial=trial,
        seed=seed,
        key=candidate.key,
        design=candidate.design.to_json(),
        settings=candidate.settings_json,
        origin="test",
        state=state,
        reason=None if state in ("complete", "passed") else "a reason",
        started_at=0.0,
        finished_at=1.0,
        worker="w",
        metrics=metrics,
    )


Event = Proposal | TrialRow  # handed out, or told


def presets_of(space: CandidateSpace) -> list[Candidate]:
    return [Candidate(design) for design in space.space.presets().values()]


def apply(strategy: Strategy, event: Event) -> None:
    if isinstance(event, TrialRow):
        strategy.tell(event)
    else:
        strategy.handed_out(event.candidate, event.part)


def proposed(strategy: Strategy) -> Candidate | None:
    proposal = strategy.ask()
    return None if proposal is None else proposal.candidate


def make(
    name: str, space: CandidateSpace, seed: int = 0, objectives: Sequence[Objective] = OBJECTIVES
) -> Strategy:
    maker: MakeStrategy = STRATEGIES[name]
    return maker(space, objectives, seed)


def searched(
    strategy: Strategy,
    trials: int,
    *,
    out: int = 1,
    metrics: Callable[[Candidate], Metrics] | None = None,
    state: State = "complete",
) -> list[Candidate]:
    """What a strategy proposes with so many out at once, each the oldest told first."""
    found: list[Candidate] = []
    for trial in range(trials):
        if trial >= out:
            candidate = found[trial - out]
            own = None if metrics is None else metrics(candidate)
            strategy.tell(row_of(trial - out, candidate, state, metrics=own))
        proposal = strategy.ask()
        if proposal is None:
            break
        found.append(proposal.candidate)
        apply(strategy, proposal)
    return found


STATES: tuple[State, ...] = (
    "complete",
    "complete",
    "complete",
    "passed",
    "pruned",
    "infeasible",
    "diverged",
    "failed",
    "lost",
)


def log_of(
    name: str, space: CandidateSpace, seed: int, trials: int, states: Sequence[State] = STATES
) -> tuple[list[Event], list[tuple[int, Proposal | None]]]:
    """A search with three trials out at once and presets and strangers among them.

    Returns its events, and for every ask how many events came before and what it proposed.
    """
    rng = np.random.default_rng(seed + 1000)
    strategy = make(name, space, seed)
    events: list[Event] = []
    asks: list[tuple[int, Proposal | None]] = []
    out: list[tuple[int, Candidate]] = []

    def note(event: Event) -> None:
        events.append(event)
        apply(strategy, event)

    def finish_one() -> None:
        trial, candidate = out.pop(int(rng.integers(len(out))))
        state = states[int(rng.integers(len(states)))]
        note(row_of(trial, candidate, state))
        if state == "passed":
            note(row_of(trial, candidate))

    for trial, preset in enumerate(presets_of(space)):
        note(Proposal(preset))
        note(row_of(trial, preset))
    for trial in range(10, 10 + trials):
        if len(out) == 3:
            finish_one()
        proposal = strategy.ask()
        asks.append((len(events), proposal))
        if proposal is None:
            break
        if rng.random() < 0.2:  # the search hands out a random design instead
            proposal = Proposal(space.sample(rng))
        note(proposal)
        out.append((trial, proposal.candidate))
    while out:
        finish_one()
    return events, asks

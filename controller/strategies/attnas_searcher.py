"""AttnasSearcher: a strategy of attnas as the search algorithm of a user's own `ray.tune.Tuner`.

    searcher = AttnasSearcher(space, {"accuracy": "max", "kv_cache_bytes": "min"})
    tune.Tuner(train, tune_config=tune.TuneConfig(search_alg=searcher, num_samples=100)).fit()

The `TuneConfig` itself has neither `metric` nor `mode`: Tune takes several of them from the
searcher alone. `train` gets `config["design"]`, the JSON of a Design, `config["settings"]` by
name, and `config["values"]`, the design as a value for every choice; it reports all objectives.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from controller.candidates import Candidate, CandidateSpace, settings_of
from controller.strategies import STRATEGIES
from controller.strategies.interface import Strategy
from results import TrialRow, parse_objectives
from search_space import Design, Space


class AttnasSearcher(Searcher):
    """Suggests what the strategy proposes, and tells it what Tune reports."""

    def __init__(
        self, space: Space, objectives: Mapping[str, str], strategy: str = "auto", seed: int = 0
    ) -> None:
        self._objectives = parse_objectives(objectives)
        # the base class has the types of one metric, and takes several
        columns: Any = [o.column for o in self._objectives]
        modes: Any = [o.direction for o in self._objectives]
        super().__init__(metric=columns, mode=modes)
        if strategy not in STRATEGIES:
            raise ValueError(
                f"there is no strategy {strategy!r}; there are {', '.join(STRATEGIES)}"
            )
        self._space = CandidateSpace(space)
        self._strategy: Strategy = STRATEGIES[strategy](self._space, self._objectives, seed)
        self._out: dict[str, tuple[int, Candidate]] = {}  # number and candidate, by Tune's name
        self._log: list[dict[str, Any]] = []  # what went out and came back, in order
        self._trials = 0

    def suggest(self, trial_id: str) -> Any:  # the base class forgets FINISHED in its type
        """The next design; FINISHED when the space has none left."""
        proposal = self._strategy.ask()
        if proposal is None:
            return Searcher.FINISHED
        candidate = proposal.candidate
        event = {
            "trial_id": trial_id,
            "design": candidate.design.to_json(),
            "settings": candidate.settings_json,
            "part": proposal.part,
        }
        self._apply(event)
        return {
            "design": event["design"],
            "settings": dict(candidate.settings),
            "values": self._space.values_of(candidate),
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the objectives; a trial that lacks one, or has no number there, has failed."""
        if trial_id not in self._out:
            return
        metrics = {} if error else _numbers(result or {}, [o.column for o in self._objectives])
        self._apply({"trial_id": trial_id, "metrics": metrics})

    def save(self, checkpoint_path: str) -> None:
        """The log as JSON: the strategy follows from it."""
        Path(checkpoint_path).write_text(json.dumps(self._log))

    def restore(self, checkpoint_path: str) -> None:
        """Replay a saved log; for a searcher that has suggested nothing yet."""
        if self._log:
            raise ValueError(
                f"a searcher is restored before its first suggestion, but this one has made "
                f"{self._trials}; make a new one"
            )
        for event in json.loads(Path(checkpoint_path).read_text()):
            self._apply(event)

    def _apply(self, event: dict[str, Any]) -> None:
        """What an event means to the state, live and in replay alike."""
        self._log.append(event)
        name = event["trial_id"]
        if "design" in event:
            settings = settings_of(event["settings"])
            candidate = Candidate(Design.from_json(event["design"]), settings)
            self._out[name] = (self._trials, candidate)
            self._trials += 1
            self._strategy.handed_out(candidate, event["part"])
        else:
            self._strategy.tell(self._row(*self._out.pop(name), event["metrics"]))

    def _row(self, trial: int, candidate: Candidate, metrics: dict[str, float]) -> TrialRow:
        missing = [o.column for o in self._objectives if o.column not in metrics]
        return TrialRow(
            trial=trial,
            seed=0,
            key=candidate.key,
            design=candidate.design.to_json(),
            settings=candidate.settings_json,
            origin="tune",
            state="failed" if missing else "complete",
            reason=f"no number was reported for {', '.join(missing)}" if missing else None,
            started_at=0.0,
            finished_at=0.0,
            worker="tune",
            metrics=metrics,
        )


def _numbers(result: Mapping[str, Any], columns: list[str]) -> dict[str, float]:
    """The finite numbers among the objectives of a result."""
    found = {name: float(result[name]) for name in columns if result.get(name) is not None}
    return {name: value for name, value in found.items() if math.isfinite(value)}

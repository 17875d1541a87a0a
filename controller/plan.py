"""Plan: how the trials of a budget are spent, before any of them runs."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

from controller.candidates import Candidate
from controller.config import RunConfig
from search_space import Design, Space
from search_space.axis_config import Value

Baseline = tuple[Candidate, str, int]  # what is trained, its origin, its seed


@dataclass(frozen=True, slots=True)
class Plan:
    """Trials by what they are for."""

    presets: int
    proposals: int  # different ones; the budget may end among the seeds of the last
    random: int  # of the proposals
    finalists: int
    seeds: int = 1  # of each proposal

    def describe(self) -> str:
        """For people."""
        return (
            f"{self.presets} preset trainings, {self.proposals} proposals ({self.random} of them "
            f"random){self._seeds()}, {self.finalists} finalists"
        )

    def _seeds(self) -> str:
        return f" under {self.seeds} seeds each" if self.seeds > 1 else ""

    def warning(self) -> str | None:
        """A sentence if the budget leaves nothing to search with."""
        if self.proposals > 0:
            return None
        return (
            f"presets and finalists take all {self.presets + self.finalists} trials and leave none "
            f"to search with; raise search.trials, or lower search.preset_seeds or search.finalists"
        )


def planned(space: Space, config: RunConfig) -> Plan:
    """How `search.trials` will be spent if the space does not run out of designs."""
    search = config.search
    presets = min(search.trials, len(planned_baselines(space, config)))
    finalists = min(search.finalists, search.trials - presets)
    proposals = math.ceil((search.trials - presets - finalists) / search.seeds)
    random = int(proposals * search.random_share)
    return Plan(presets, proposals, random, finalists, search.seeds)


def planned_baselines(space: Space, config: RunConfig) -> list[Baseline]:
    """The user's designs and presets under each seed, with origin; each function once.

    Baselines are trained as the configuration says. Where that is one of the combinations that the
    space has, they carry it as their settings, so that a proposal of the same is the same.
    """
    own = own_settings(config, space)
    offered = all(value in space.settings[name] for name, value in own.items())
    settings = tuple(sorted(own.items())) if offered else ()
    candidates: dict[str, tuple[Candidate, str]] = {}
    for given in config.search.designs:
        candidate = Candidate(Design.from_json(json.dumps(given)), settings)
        candidates.setdefault(candidate.key, (candidate, "given"))
    presets = space.presets()
    for name in config.search.presets:
        if name not in presets:  # a default one that models of this kind don't have
            continue
        candidate = Candidate(presets[name], settings)
        candidates.setdefault(candidate.key, (candidate, f"preset:{name}"))
    return [
        (candidate, origin, config.search.seed + extra)
        for extra in range(config.search.preset_seeds)
        for candidate, origin in candidates.values()
    ]


def own_settings(config: RunConfig, space: Space) -> dict[str, Value]:
    """For each setting of the space, what the configuration itself trains under."""
    start: Any = config
    return {name: reduce(getattr, name.split("."), start) for name in space.settings}

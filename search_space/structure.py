"""Structure: which repetition a structured sample prefers, and the plans drawn from it."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

import numpy as np
from pydantic import Field, model_validator

from search_space.axis_config import Closed


class Structure(Closed):
    """How often each plan is drawn, as weights, and how many kinds of layer it may have."""

    alike: float = Field(default=0.4, ge=0, description="weight of all layers alike")
    motif: float = Field(
        default=0.3, ge=0, description="of a motif of 2 to `longest_motif` layers, repeated"
    )
    segments: float = Field(
        default=0.2, ge=0, description="of up to `most_breaks` breaks between equal layers"
    )
    exceptions: float = Field(
        default=0.1, ge=0, description="of all alike but for one to `most_breaks` layers"
    )
    longest_motif: int = Field(default=6, ge=2)
    most_breaks: int = Field(default=3, ge=1)
    kinds: int = Field(default=2, ge=1, description="distinct layers in a plan, at most")

    @model_validator(mode="after")
    def _some_plan(self) -> Structure:
        if not 0 < sum(self.weights) < float("inf"):
            raise ValueError(
                f"a structure's weights add up to a number above 0, but got {self.weights}"
            )
        return self

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the four plans, in order."""
        return self.alike, self.motif, self.segments, self.exceptions

    def plan(self, depth: int, period: int, rng: np.random.Generator) -> list[int]:
        """For each layer the slot it belongs to; layers of a slot are alike."""
        shares = [part / sum(self.weights) for part in accumulate(self.weights)]
        chosen = bisect_right(shares, rng.random(), hi=3)
        if chosen == 0 or depth == 1:
            return [0] * depth
        if chosen == 1:
            longest = max(2, min(self.longest_motif, depth))
            length = period if period > 1 else int(rng.integers(2, longest + 1))
            return [i % length for i in range(depth)]
        breaks = int(rng.integers(1, min(self.most_breaks, depth - 1) + 1))
        if chosen == 2:
            starts = sorted(int(i) for i in rng.choice(depth - 1, size=breaks, replace=False) + 1)
            return [bisect_right(starts, i) for i in range(depth)]
        exceptions = {int(i) for i in rng.choice(depth, size=breaks, replace=False)}
        return [int(i in exceptions) for i in range(depth)]

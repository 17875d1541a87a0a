"""Limits: bounds on what is known before training; a design that breaks one is not trained."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Limit(BaseModel):
    """The least, the most, or both that a column may have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = Field(default=None, allow_inf_nan=False)
    max: float | None = Field(default=None, allow_inf_nan=False)

    @model_validator(mode="after")
    def _has_a_bound(self) -> Limit:
        if self.min is None and self.max is None:
            raise ValueError("a limit needs `min` or `max`; add one")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(
                f"`min` must not be above `max`, but got {self.min:g} and {self.max:g}; swap them"
            )
        return self


def broken_limit(limits: Mapping[str, Limit], metrics: Mapping[str, float]) -> str | None:
    """The first limit that what is known so far breaks, as a sentence."""
    for column, limit in limits.items():
        value = metrics.get(column)
        if value is None:
            continue
        if limit.max is not None and value > limit.max:
            return f"{column} is {value:,.6g}, above the limit of {limit.max:,.6g}"
        if limit.min is not None and value < limit.min:
            return f"{column} is {value:,.6g}, below the limit of {limit.min:,.6g}"
    return None

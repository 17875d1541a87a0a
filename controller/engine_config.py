"""EngineConfig: where trials run, how many at once, and what each may take."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EngineConfig(BaseModel):
    """Where trials run, and what each may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["ray", "serial"] = Field(default="ray", description="Ray workers, or here")
    workers: int | None = Field(
        default=None, ge=1, description="trials at once; as many as fit the machine by default"
    )
    trial_minutes: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="then a trial is ended; 20 times the longest so far, at least 10, by default",
    )
    trial_gigabytes: float | None = Field(
        default=None,
        ge=0.25,
        allow_inf_nan=False,
        description="memory of a trial; by default its worker's share of the machine's",
    )

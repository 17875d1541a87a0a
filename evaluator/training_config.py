"""How long and how every design of a run is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TrainingConfig(BaseModel):
    """The same for every design, unless the space makes an axis of a field."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=400, ge=1, description="optimizer steps of a trial")
    tokens: int | None = Field(
        default=None, ge=1, description="a budget of training tokens, in place of `steps`"
    )
    optimizer: Literal["adamw", "sgd", "rmsprop", "adagrad"] = Field(
        default="adamw", description="sgd has Nesterov momentum of 0.9"
    )
    learning_rate: float = Field(default=3e-3, gt=0, le=1, description="peak learning rate")
    scale_with_width: bool | None = Field(
        default=None,
        description="matrices' rates as 64 to what they read; if left out, where widths differ",
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="after the warm-up: down to a tenth, or as it is"
    )
    warmup: float = Field(default=0.1, ge=0, le=1, description="share of the steps that warm up")
    weight_decay: float = Field(default=0.01, ge=0, description="decoupled decay of matrices")
    clip: float | None = Field(default=1.0, gt=0, description="largest gradient norm; null: any")
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="share of what attention and MLP add that is dropped"
    )
    autocast: Literal["none", "bfloat16"] = Field(
        default="none", description="bfloat16 products in training; never while measuring"
    )
    accumulate: int = Field(
        default=1, ge=1, description="pieces of a batch whose gradients are added up, for memory"
    )
    checkpoint_every: int | None = Field(
        default=None, ge=1, description="steps between checkpoints; a killed trial goes on from one"
    )
    folds: int = Field(
        default=1,
        ge=1,
        le=20,
        description="cross-validation: trainings with a held-out set each",
    )
    log_every: int = Field(
        default=20, ge=1, description="steps between points of the learning curve"
    )

    @model_validator(mode="after")
    def _folds_are_short(self) -> TrainingConfig:
        if self.folds > 1 and self.checkpoint_every is not None:
            raise ValueError(
                f"`checkpoint_every` goes with one training, but got folds={self.folds}; leave one "
                "of the two out"
            )
        return self

    def steps_over(self, tokens_per_step: int) -> int:
        """Optimizer steps: as said, or as many as the budget of tokens pays for, at least one."""
        return self.steps if self.tokens is None else max(1, self.tokens // tokens_per_step)

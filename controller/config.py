"""RunConfig: everything a search is, read from one YAML file, made of each package's own part."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from controller.config_problems import run_problems
from controller.earlier_runs import earlier_problems
from controller.engine_config import EngineConfig
from controller.parents import StartConfig
from controller.rungs import RungsConfig
from controller.strategies import STRATEGIES
from evaluator.costs import columns
from evaluator.evaluate import EvaluationConfig
from evaluator.grid import Cell, GridConfig
from evaluator.limits import Limit
from evaluator.tasks import TaskConfig
from evaluator.training_config import TrainingConfig
from results import parse_objectives
from results.object_store import check_address
from search_space import (
    DEFAULT_PRESETS,
    PRESETS,
    ConfigError,
    Design,
    DesignError,
    Document,
    SpaceConfig,
    apply_override,
    load_yaml,
    validate,
)
from search_space.axes import size_axes
from search_space.validation import closest, located_error

# columns that the grid alone decides
TIMED = ("prefill_", "decode_", "train_step_", "predicted_")

DEFAULT_TASK: dict[str, Any] = {"recall": {}, "lm": {}}


def _none_is_a_word_too(schema: dict[str, Any]) -> None:
    """In an editor as well, `none` stands for nothing."""
    schema["anyOf"].append({"const": "none"})


class SearchConfig(BaseModel):
    """Which designs, how many, and what stands beside them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: str = Field(default="auto", description="who proposes designs")
    trials: int = Field(default=40, ge=1, description="trainings in all, presets included")
    minutes: float | None = Field(
        default=None, gt=0, description="of a session; then no trial starts"
    )
    seed: int = Field(default=0, ge=0, le=2**31, description="of proposals, data order, weights")
    random_share: float = Field(
        default=0.2, ge=0, le=1, description="share of random designs among the proposals"
    )
    designs: tuple[dict[str, Any], ...] = Field(
        default=(), description="designs of your own, trained first, as `attnas show --json` prints"
    )
    presets: tuple[str, ...] = Field(
        default=DEFAULT_PRESETS, description="hand-designed baselines, trained first"
    )
    warm_start: tuple[str, ...] = Field(
        default=(),
        description="earlier runs to begin from: what they found is known, or goes first",
    )
    finalists: int = Field(
        default=4, ge=0, description="last trials: designs of the front under a fresh seed"
    )
    seeds: int = Field(
        default=1,
        ge=1,
        le=20,
        description="trainings of each proposal; a front then compares means over seeds",
    )
    preset_seeds: int = Field(
        default=2,
        ge=1,
        le=20,
        description="trainings of each preset and of each of `designs`; several show the noise",
    )

    rungs: RungsConfig | None = Field(
        default=None,
        description="stop trials on the way that fall behind; `none` trains each to its end",
        json_schema_extra=_none_is_a_word_too,
    )

    measure_first: bool = Field(
        default=False,
        description="a proposal whose measured costs disappoint is given back before it is trained",
    )

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the training budget at which a trial reports; the last is all of it."""
        measured = (0.0,) if self.measure_first else ()
        return measured + (self.rungs.shares if self.rungs else (1.0,))

    @field_validator("rungs", mode="before")
    @classmethod
    def _none_is_a_word(cls, given: Any) -> Any:
        return None if given == "none" else given

    @field_validator("strategy")
    @classmethod
    def _known_strategy(cls, name: str) -> str:
        if name not in STRATEGIES:
            raise located_error([((), _unknown("strategy", name, list(STRATEGIES)))])
        return name

    @field_validator("designs")
    @classmethod
    def _legal_designs(cls, given: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        wrong: list[tuple[tuple[int, ...], str]] = []
        for index, design in enumerate(given):
            try:
                Design.from_json(json.dumps(design))
            except DesignError as error:
                wrong.append(((index,), str(error)))
        if wrong:
            raise located_error(wrong)
        return given

    @field_validator("presets")
    @classmethod
    def _known_presets(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wrong: list[tuple[tuple[int, ...], str]] = [
            ((index,), _unknown("preset", name, list(PRESETS)))
            for index, name in enumerate(names)
            if name not in PRESETS
        ]
        if wrong:
            raise located_error(wrong)
        return names


class RunConfig(BaseModel):
    """A whole search."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: SpaceConfig
    task: TaskConfig = Field(default=TaskConfig.model_validate(DEFAULT_TASK))
    training: TrainingConfig = TrainingConfig()
    start: StartConfig | None = Field(
        default=None, description="weights to start from; fresh ones if left out"
    )
    measuring: GridConfig = GridConfig()
    limits: dict[str, Limit] = Field(default={}, description="bounds checked before training")
    objectives: dict[str, Literal["min", "max"]] = Field(
        default={"accuracy": "max", "prefill_2048_ratio": "min", "kv_cache_bytes": "min"},
        description="two to four columns with their directions",
        validate_default=True,  # the grid may lack the default's columns
    )
    search: SearchConfig = SearchConfig()
    engine: EngineConfig = EngineConfig()
    threads: int = Field(default=1, ge=1, le=256, description="threads of one worker")
    storage: str | None = Field(
        default=None,
        description="a store's folder to push the run to, such as s3://bucket/runs",
    )

    @field_validator("storage")
    @classmethod
    def _usable_storage(cls, address: str | None) -> str | None:
        if address is not None:
            check_address(address)
        return address

    @model_validator(mode="before")
    @classmethod
    def _encoders_keep_no_cache(cls, given: Any) -> Any:
        """Without objectives of its own, a search of encoders compares weights, not caches."""
        space = given.get("space") if isinstance(given, dict) else None
        if not isinstance(space, dict) or space.get("kind") != "encoder" or "objectives" in given:
            return given
        chosen = {"accuracy": "max", "prefill_2048_ratio": "min", "parameters": "min"}
        return given | {"objectives": chosen}

    @field_validator("limits", "objectives")
    @classmethod
    def _known_columns(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """Columns that the grid and the task give; timed ones are not judged on a faulty grid."""
        measuring, task = info.data.get("measuring"), info.data.get("task")
        space = info.data.get("space")
        before = columns(measuring or GridConfig(), space.kind if space else "decoder")
        every_task = TaskConfig.model_validate(DEFAULT_TASK)
        after = (task or every_task).columns() if info.field_name == "objectives" else []
        judged = {name for name in given if measuring or not name.startswith(TIMED)}
        what = "column" if info.field_name == "objectives" else "column known before training"
        wrong: list[tuple[tuple[str | int, ...], str]] = [
            ((name,), _unknown(what, name, before + after))
            for name in given
            if name in judged and name not in before + after
        ]
        if info.field_name == "objectives":
            try:
                parse_objectives(given)
            except ValueError as error:
                wrong.append(((), str(error)))
        if wrong:
            raise located_error(wrong)
        return given

    @property
    def evaluation(self) -> EvaluationConfig:
        """The evaluator's part; designs of several widths share a rate that suits each."""
        training = self.training
        if training.scale_with_width is None:
            widths = next(axis.values for axis in size_axes(self.space) if axis.name == "width")
            training = training.model_copy(update={"scale_with_width": len(set(widths)) > 1})
        return EvaluationConfig(
            training=training,
            measuring=self.measuring,
            limits=self.limits,
            threads=self.threads,
            workers=self.workers,
            first=frozenset(cell.name for cell in self.deciding_cells()),
        )

    def deciding_cells(self) -> list[Cell]:
        """The cells of the grid that an objective or a limit names: those are measured finely."""
        named = (*self.objectives, *self.limits)
        return [
            cell
            for cell in self.measuring.cells(self.space.kind)
            if any(column.startswith(f"{cell.name}_") for column in named)
        ]

    @property
    def workers(self) -> int:
        """Trials at once on this machine."""
        if self.engine.name == "serial":
            return 1
        return self.engine.workers or max(1, len(os.sched_getaffinity(0)) // self.threads)

    def to_plain(self) -> dict[str, Any]:
        """Plain data that reads back as the same configuration, whatever the default strategy."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return plain | {"search": plain.get("search", {}) | {"strategy": self.search.strategy}}


def load_config(path: str | Path, overrides: list[str] | None = None) -> RunConfig:
    """Read a configuration; ConfigError with every mistake and its line."""
    document = load_yaml(path)
    for override in overrides or []:
        document = apply_override(document, override)
    config = config_of(document)
    wrong = list(earlier_problems(config.search.warm_start, config.space.kind))
    if wrong:
        place = ("search", "warm_start")
        raise ConfigError([document.problem((*place, i), message) for i, message in wrong])
    return config


def config_of(document: Document) -> RunConfig:
    """The configuration that a document holds; ConfigError with every mistake and its line."""
    config = validate(RunConfig, document)
    problems = list(run_problems(config))
    if problems:
        raise ConfigError([document.problem(location, problem) for location, problem in problems])
    return config


def json_schema() -> dict[str, Any]:
    """The JSON schema that editors check and complete configurations with."""
    schema = RunConfig.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _unknown(what: str, name: str, known: list[str]) -> str:
    near = closest(name, known)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    return f"there is no {what} {name!r}; {hint}"

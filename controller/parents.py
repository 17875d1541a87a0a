"""Parents: the trained trial of an earlier run that the trials of a run start from."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file

from controller.weights import weights_path
from evaluator.inherit import Parent
from evaluator.start import Start
from evaluator.tasks import TaskConfig
from results import Run, RunError, read_run
from search_space import Design

VOCABULARY = "vocabulary.json"  # in a run's folder: how each symbol is spelled, in order


# Of tasks of stored items: fields that leave what is held out as it is, and those of other data.
SAME_SPLIT = {"weight", "batch", "patch", "size", "colour", "written"}
OTHER_DATA = {"file", "folder", "pairs", "targets"}


class StartConfig(BaseModel):
    """Weights from a trial of another run, wherever the shapes of a design allow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str = Field(description="the folder of the run that has the trained trial")
    trial: int = Field(ge=0, description="the trial's number")
    frozen: bool = Field(
        default=False, description="train the vocabulary alone, over what the parent learned"
    )

    @field_validator("run")
    @classmethod
    def _exists(cls, run: str, info: ValidationInfo) -> str:
        """In a file that a person wrote."""
        path = Path(run).expanduser()
        if info.context is None:
            return run
        if not path.is_dir():
            raise ValueError(f"there is no run in {run}; give the folder of a run")
        return str(path.resolve())


def start_of(config: StartConfig | None, task: TaskConfig) -> Start | None:
    """The parent with its weights; RunError, one sentence, where it can't serve for a task."""
    if config is None:
        return None
    run = read_run(Path(config.run))
    _refuse_what_was_seen(run, task)
    return Start(parent_of(run, config.trial), config.frozen)


def _refuse_what_was_seen(run: Run, task: TaskConfig) -> None:
    """Items that a parent learned from must not be held out from its children."""
    before = run.config.get("task", {})
    for kind, part in task.parts():
        theirs = before.get(kind.name)
        if not kind.folds or theirs is None:
            continue
        old = kind.config.model_validate(theirs).model_dump()
        new = part.model_dump()
        differing = {name for name in new if new[name] != old[name]} - SAME_SPLIT
        if differing and not differing & OTHER_DATA:
            raise RunError(
                f"with another {' and '.join(sorted(differing))} than in {run.path}, "
                f"{kind.name} would hold out items that the parent learned from; leave it as it was"
            )


def parent_of(run: Run, trial: int) -> Parent:
    """A trained trial of a run; RunError, one sentence, where it can't be one."""
    rows = [row for row in run.rows.to_pylist() if row["trial"] == trial]
    if not rows:
        raise RunError(f"{run.path} has no trial {trial}; `attnas front` lists those it has")
    row = rows[-1]
    if run.config.get("training", {}).get("folds", 1) > 1:
        raise RunError(f"{run.path} was cross-validated and keeps no weights; take another run")
    file = weights_path(run.path, trial, row["attempt"])
    if not file.exists():
        raise RunError(
            f"the weights of trial {trial} are not in {file} (its outcome is {row['state']}); "
            "take a trial that was trained to its end"
        )
    try:
        weights = load_file(file)
        symbols = json.loads((run.path / VOCABULARY).read_text(encoding="utf-8"))
    except (SafetensorError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"trial {trial} of {run.path} can't be a parent: {reason}") from error
    return Parent(Design.from_json(row["design"]), weights, symbols)

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
from results import Run, RunError, read_run
from search_space import Design

VOCABULARY = "vocabulary.json"  # in a run's folder: how each symbol is spelled, in order


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


def start_of(config: StartConfig | None) -> Start | None:
    """The parent with its weights; RunError, one sentence, where there is none."""
    if config is None:
        return None
    return Start(parent_of(read_run(Path(config.run)), config.trial), config.frozen)


def parent_of(run: Run, trial: int) -> Parent:
    """A trained trial of a run; RunError, one sentence, where it can't be one."""
    rows = [row for row in run.rows.to_pylist() if row["trial"] == trial]
    if not rows:
        raise RunError(f"{run.path} has no trial {trial}; `attnas front` lists those it has")
    row = rows[-1]
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

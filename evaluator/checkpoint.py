"""Checkpoints: a trial's training in one safetensors file, from which it goes on bit for bit.

Weights are under "model.", the optimizer's memory under "optimizer.", the losses so far and the
curve in the file's JSON metadata. Data order and dropout are functions of seed and step, so no
generator's state is kept.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

if TYPE_CHECKING:
    from evaluator.optimizers import Stepper
    from evaluator.training import Training


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Training after some steps."""

    tensors: dict[str, Tensor]
    progress: dict[str, Any]  # losses, curve and gradients of `Training`, as JSON

    @classmethod
    def of(cls, model: nn.Module, stepper: Stepper, so_far: Training) -> Checkpoint:
        """A copy of everything, at this step."""
        tensors = {f"model.{name}": weight for name, weight in model.state_dict().items()}
        tensors |= {f"optimizer.{name}": value for name, value in stepper.tensors()}
        copies = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
        progress = {
            "losses": list(so_far.losses),
            "curve": list(so_far.curve),
            "gradients": list(so_far.gradients),
            "seconds": so_far.seconds,
        }
        return cls(copies, progress)

    def restore(self, model: nn.Module, stepper: Stepper, so_far: Training) -> None:
        """Put everything back."""
        model.load_state_dict(self.under("model."))
        stepper.restore(self.under("optimizer."))
        so_far.losses = list(self.progress["losses"])
        so_far.curve = [(int(tokens), loss) for tokens, loss in self.progress["curve"]]
        so_far.gradients = list(self.progress["gradients"])
        so_far.seconds = self.progress.get("seconds", 0.0)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, by the rest of their names."""
        found = self.tensors.items()
        return {name[len(prefix) :]: value for name, value in found if name.startswith(prefix)}


class StorageError(OSError):
    """The run's storage failed; that is no fault of the trial's. Has the system's `errno`."""

    @classmethod
    def of(cls, path: Path, error: Exception) -> StorageError:
        """What to raise for a file that could not be written."""
        number = error.errno if isinstance(error, OSError) else None
        if number is None and (said := re.search(r"os error (\d+)", str(error))):  # safetensors'
            number = int(said[1])
        return cls(number, f"{path} could not be written: {error}")

    def __str__(self) -> str:
        return str(self.strerror)


def save_whole(
    tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Written beside and renamed: a process that dies here leaves no half a file.

    Raises StorageError where the file system refuses.
    """
    beside = path.with_suffix(f".{os.getpid()}")
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, beside, metadata)
        os.replace(beside, path)
    except (SafetensorError, OSError) as error:  # the first is what a full disk comes as
        raise StorageError.of(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class SavedTraining:
    """Where a trial's checkpoint is kept, if anywhere, and a name for the trial and its data.

    `beside` is stored with it as JSON: what was found out about the trial before it trained.
    """

    path: Path | None
    of: str
    beside: dict[str, Any] = field(default_factory=dict)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write beside and rename; StorageError if the storage fails."""
        if self.path is None:
            return
        parts = {"progress": checkpoint.progress, "beside": self.beside}
        metadata = {"of": self.of} | {name: json.dumps(part) for name, part in parts.items()}
        save_whole(checkpoint.tensors, self.path, metadata)

    def load_beside(self) -> dict[str, Any]:
        """What was stored beside the checkpoint of the same trial; nothing where there is none."""
        return self._stored("beside") or {}

    def steps(self) -> int:
        """How many steps the checkpoint of the same trial has behind it; 0 where there is none."""
        return len((self._stored("progress") or {}).get("losses", ()))

    def _stored(self, part: str) -> dict[str, Any] | None:
        """What was stored as JSON with the tensors of the same trial."""
        if self.path is None or not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
            return json.loads(metadata.get(part, "{}")) if metadata["of"] == self.of else None
        except (OSError, SafetensorError, ValueError, KeyError):
            return None

    def load(self) -> Checkpoint | None:
        """What was saved for the same trial; None where there is nothing whole of it."""
        if self.path is None or not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                if metadata.get("of") != self.of:
                    return None
                names = file.keys()
                tensors = {name: file.get_tensor(name).clone() for name in names}
            return Checkpoint(tensors, json.loads(metadata["progress"]))
        except (OSError, SafetensorError, ValueError, KeyError):
            return None

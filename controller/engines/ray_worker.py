"""The Ray engine's worker: a supervisor in an actor, of which each step goes to the next rung.

The actor itself is light and does nothing but watch, so it answers whatever its trial does.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from ray import tune

from controller.supervisor import Supervisor, worker_name
from controller.trial_row import trial_of
from results import TrialRow


class TrialAsTrainable(tune.Trainable):
    """One worker; its process goes on to the next trial where the last one left it whole."""

    def setup(self, config: dict[str, Any], setup: Any = None, data: Any = None) -> None:
        self._supervisor = Supervisor(Path(setup["run"]), setup, data, worker_name())
        self._rows: Generator[TrialRow] | None = None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._leave()
        self.config = new_config
        return True

    def step(self) -> dict[str, Any]:
        if self._rows is None:
            self._rows = self._supervisor.rows(trial_of(self.config))
        row = next(self._rows)
        return {"trial": row.trial, "row": row.to_json(), "done": row.state != "pruned"}

    def cleanup(self) -> None:
        self._leave()
        self._supervisor.close()

    def _leave(self) -> None:
        """A trial that was stopped at a rung stays there."""
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the run's log is the state."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the run's log is the state."""

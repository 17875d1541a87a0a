"""Lost description: a run's run.json written anew from its configuration, task and rows.

Only for a search, and only where these say it all; versions and machine are gone for good.
"""

from __future__ import annotations

from pathlib import Path

from controller.config import load_config
from controller.run import read_task
from evaluator import Task
from results import read_run
from results.files import set_aside
from results.folder import CONFIG, DESCRIPTION, QUARANTINE
from results.lock import RunLock
from results.new_run import describe
from results.survey import survey


def describe_again(path: Path, damage: str) -> str:
    """What was done about a description that can't be read; `damage` says why not."""
    lock = RunLock(path)
    try:
        return _rebuilt(path)
    except (ValueError, OSError) as error:
        return f"not repaired: {damage} (it can't be rebuilt: {error})"
    finally:
        lock.release()


def _rebuilt(path: Path) -> str:
    """ValueError where it can't be done honestly."""
    config = load_config(path / CONFIG)
    marks = [mark for part in survey(path).in_force for mark in part.marks]
    if any(mark.asked_at < 0 for mark in marks):
        raise ValueError(
            "its rows were not made by a search, and only the description said by what"
        )
    task = Task.of(config.task, read_task(config))
    aside = ""
    if (path / DESCRIPTION).exists():
        copy = set_aside(path / DESCRIPTION, path / QUARANTINE)
        aside = f"; the damaged one is kept as {QUARANTINE}/{copy.name}"
    made_by = {
        "rebuilt": f"by attnas doctor from {CONFIG}",
        "vocabulary": task.vocabulary,
        "channels": task.channels,
        "data": task.fingerprint,
    }
    what = {
        "name": path.resolve().name,
        "created_at": (path / CONFIG).stat().st_mtime,
        "objectives": dict(config.objectives),
        "config": config.to_plain(),
    }
    describe(path, what | {"provenance": made_by})
    trained_on = {row for row in read_run(path).rows["data"].to_pylist() if row is not None}
    if len(trained_on) == 1 and trained_on != {task.fingerprint}:  # resume will say so
        describe(path, what | {"provenance": made_by | {"data": trained_on.pop()}})
    return (
        f"{DESCRIPTION} is written anew from {CONFIG}; versions and machine of the lost one are "
        f"not known any more{aside}"
    )

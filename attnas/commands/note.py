"""note: what people say of a trial, and the tags they give it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from rich.console import Console

from attnas.failures import UsageError
from results import find_run, read_run
from results.annotations import Annotation, annotate, read_annotations

RUNS = Path("runs")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a note may be a stranger's


def note_trial(
    name: str, trial: int, text: str | None, tag: list[str], untag: list[str], as_json: bool
) -> None:
    """Show a trial's note and tags, after setting what was given."""
    path = find_run(name, RUNS)
    trials = read_run(path, without=["design", "curve_tokens", "curve_loss", "gradients"]).rows
    numbers = set(trials["trial"].to_pylist())
    if trial not in numbers:
        have = f"trials 0 to {max(numbers)}" if numbers else "no trials yet"
        raise UsageError(f"{path} has no result of trial {trial}; it has {have}")
    if text is None and not tag and not untag:
        said = read_annotations(path).of(trial)
    else:
        said = annotate(path, trial, note=text, tag=tag, untag=untag)
    if as_json:
        plain = {"trial": trial, "note": said.note, "tags": list(said.tags), "at": said.at}
        print(json.dumps(plain, indent=2))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in _lines(trial, path, said):
        console.print(line)


def _lines(trial: int, path: Path, said: Annotation) -> list[str]:
    if not said:
        return [f"trial {trial} of {path} has no note and no tag"]
    when = "" if said.at is None else time.strftime(", %F %T", time.localtime(said.at))
    lines = [f"trial {trial} of {path}{when}"]
    lines += [f"tags: {', '.join(said.tags)}"] if said.tags else []
    return lines + (["note: " + UNPRINTABLE.sub("\ufffd", said.note)] if said.note else [])

"""search and resume: run, show progress, end with the Pareto table and what to type next."""

from __future__ import annotations

import re
import sys
from io import StringIO
from pathlib import Path

import typer
from ruamel.yaml import YAML

from attnas.commands.front import print_front
from attnas.failures import UsageError
from attnas.progress import watching
from controller import RunConfig, Session, load_config, planned, resume, start
from results import find_run
from results.object_store import is_address
from results.pull import moved_here
from search_space import Space
from search_space.design import ModelKind

RUNS = Path("runs")


def search_config(
    config: Path, name: str | None, overrides: list[str], address: str | None
) -> None:
    """A new run from a configuration."""
    loaded = load_config(config, overrides)
    path = new_run(name, config.stem)
    text = _merged_text(config, loaded, overrides)
    plan = planned(Space.from_config(loaded.space), loaded)
    print(f"run {path}: {plan.describe()}", flush=True)
    if warning := plan.warning():
        print(f"warning: {warning}", file=sys.stderr, flush=True)
    end(start(loaded, text, path, watching, address, _say))


def _say(sentence: str) -> None:
    print(sentence, flush=True)


def resume_run(run: str, address: str | None) -> None:
    """Go on with a run where it stands."""
    path = moved_here(run, RUNS) if is_address(run) else find_run(run, RUNS)
    print(f"run {path}", flush=True)
    end(resume(path, watching, address, _say))


def _merged_text(config: Path, loaded: RunConfig, overrides: list[str]) -> str:
    """What to keep beside the run: the file as it is, or with the command line's values in it."""
    if not overrides:
        return config.read_text(encoding="utf-8")
    merged = StringIO()
    YAML(typ="safe", pure=True).dump(loaded.to_plain(), merged)
    sets = "".join(f"# --set {override}\n" for override in overrides)
    return f"# {config} with\n{sets}{merged.getvalue()}"


def new_run(name: str | None, otherwise: str) -> Path:
    """runs/NAME; without a name `otherwise`, numbered from the second run on."""
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            raise UsageError(
                f"a run's name has letters, digits, dots, dashes and underscores, but got {name!r}"
            )
        if (RUNS / name).is_file():
            raise UsageError(f"{RUNS / name} is a file; choose another --name")
        return RUNS / name
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", otherwise).strip("-.") or "run"
    path, number = RUNS / stem, 1
    while path.exists():
        number += 1
        path = RUNS / f"{stem}-{number}"
    return path


def say_what_next(path: Path, pick: str, kind: ModelKind) -> None:
    """The next commands to type."""
    print(f"\nlook:    attnas dashboard {path.parent}")
    if kind == "decoder":  # exports are of these so far
        print(f"export:  attnas export {path} --pick {pick} --to out/{path.name}")


def end(session: Session) -> None:
    """The table, and the next commands."""
    path, search = session.path, session.search
    print_front(path)
    if search.exhausted:
        print("The space has no design left that was not tried.")
    if session.out_of_time:
        print(
            f"The {session.config.search.minutes:g} minutes were over after "
            f"{session.done_trials} of {session.config.search.trials} trials; "
            f"resume gives it as long again."
        )
    complete = any(row.state == "complete" for row in search.rows)
    if complete:
        say_what_next(path, "knee", session.config.space.kind)
    if search.draining or session.out_of_time:
        print(f"go on:   attnas resume {path}")
    if search.draining:
        raise typer.Exit(130)
    if not complete:
        raise typer.Exit(4)

"""doctor: check the environment, or a run's files, and repair what can be repaired."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import typer
from rich.table import Table

from attnas.commands.figures import wide_console
from attnas.failures import DOCTOR, UsageError
from results import RunError, find_run
from results.checkup import Finding, checkup
from results.folder import MANIFESTS, POINTER, read_description
from results.object_store import is_address
from results.repair import repair
from results.survey import survey

RUNS = Path("runs")
STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def see_doctor(run: str | None, mend: bool, quick: bool, as_json: bool) -> None:
    """The environment, or a run where one is given; exits with 4 where a problem remains."""
    if run is None:
        if mend:
            raise UsageError("--repair is for a run: attnas doctor RUN --repair")
        check_environment(quick, as_json)
    elif quick:
        raise UsageError("--quick is for the environment: attnas doctor --quick")
    elif mend and is_address(run):
        raise UsageError(
            f"{run} is repaired in its own folder, on the machine whose driver pushes it: "
            "attnas doctor RUN --repair there, and then attnas resume RUN pushes what changed"
        )
    else:
        check_run(_folder_of(run), mend, as_json, kept_here=not is_address(run))


def check_environment(quick: bool, as_json: bool) -> None:
    """This machine and its packages."""
    from attnas.commands.environment import environment

    found = list(environment(RUNS, quick))
    if as_json:
        print(json.dumps({"findings": [asdict(one) for one in found]}, indent=2))
    else:
        _print(found)
    _leave(found)


def check_run(path: Path, mend: bool, as_json: bool, *, kept_here: bool = True) -> None:
    """A run's files as they are, and with `mend` what is done and how they are then.

    Of a run that is kept elsewhere a copy is checked, and mending it would mend nothing.
    """
    found = checkup(survey(path))
    if not as_json:
        print(f"run {path}")
        _print(found)
    done: list[str] = []
    if mend:
        done = [*repair(path), *_described(path)]
        found = checkup(survey(path))
        if not as_json:
            print("\n".join(["", "repair:", *(f"  {said}" for said in done or ["nothing to do"])]))
            if done:
                print("\nafter it:")
                _print(found)
    if as_json:
        plain = {"run": str(path), "repaired": done, "findings": [asdict(one) for one in found]}
        print(json.dumps(plain, indent=2))
    elif not mend and any(one.level != "ok" for one in found):
        where = path if kept_here else "RUN"
        aside = "deletes nothing" if kept_here else "where its driver runs; deletes nothing"
        print(f"\nrepair:  attnas doctor {where} --repair   ({aside})")
    _leave(found)


def _described(path: Path) -> list[str]:
    """What was done about a description that is still lost."""
    try:
        read_description(path)
        return []
    except RunError as error:
        from controller.lost_description import describe_again  # takes torch along

        return [describe_again(path, str(error))]


def _print(found: Iterable[Finding]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        table.add_row(f"[{STYLES[one.level]}]{one.level}[/]", one.subject, _as_it_is(one.said))
    wide_console().print(table)


def _as_it_is(said: str) -> str:
    """Brackets in a sentence are no markup."""
    return said.replace("[", r"\[")


def _leave(found: Iterable[Finding]) -> None:
    if any(one.level == "problem" for one in found):
        raise typer.Exit(DOCTOR)


def _folder_of(name: str) -> Path:
    """A run's folder, also where the file is gone that makes it one."""
    for path in (Path(name), RUNS / name):
        if (path / POINTER).is_file() or (path / MANIFESTS).is_dir():
            return path
    return find_run(name, RUNS)

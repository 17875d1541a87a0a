"""Bad trials: one search by `attnas search` under Ray in which trial after trial misbehaves.

python benchmarks/bad_trials.py [--minutes 0.1] [--gigabytes 1] [--only "sleep for ever" ...]

Every kind is asked of one trial, whichever comes next, after a trial that ended well. For each:
the state and reason of that attempt, how the trial ended and after how many attempts, and the
seconds from the deed to the row. A hang has its time limit in that.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from bad_task import BAD

from results import RunError, load

TASK = Path(__file__).with_name("bad_task.py")
COMMAND = [sys.executable, "-c", "from attnas.cli import main; main()"]
PATIENCE_S = 120.0  # for one kind


def main() -> None:
    """Run the search, ask for one bad trial after another, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=0.1)
    parser.add_argument("--gigabytes", type=float, default=0.75)
    parser.add_argument("--only", nargs="*", default=list(BAD))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attnas-bad-") as name:
        folder = Path(name)
        (folder / "asked").mkdir()
        (folder / "bad.json").write_text(json.dumps(config(folder, given)))  # JSON is YAML
        command = [*COMMAND, "search", "bad.json", "--name", "bad"]
        with open(folder / "said", "w") as said:
            search = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
            try:
                found = [done(kind, folder, search) for kind in given.only]
            finally:
                search.terminate()  # drains
                code = search.wait(120)
        print_table(found, folder / "runs" / "bad")
        print(f"exit code {code}; it said last: {(folder / 'said').read_text().splitlines()[-1:]}")
    left = [p for p in psutil.process_iter() if "controller.keeper" in " ".join(cmdline(p))]
    print(f"processes left behind: {len(left)}")


def config(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """A search with many more trials than are needed; it is drained in the end."""
    layer = {
        "query_heads": {"choice": [2, 4, 8]},
        "kv_heads": {"choice": [1, 2], "place": "per-layer"},
        "head_dim": 8,
        "pattern": {"place": "per-layer", "choice": ["dense", {"sliding-window": {"window": 4}}]},
    }
    return {
        "space": {"width": 16, "depth": 4, "context": 32, "layer": layer},
        "task": {"own": {"file": str(TASK), "options": {"folder": str(folder / "asked")}}},
        "training": {"steps": 3},
        "measuring": {
            "prefill": [24],
            "decode": [24],
            "repeat": {"least": 6, "most": 6, "seconds": 0.05},
            "processes": 1,
        },
        "objectives": {"accuracy": "max", "kv_cache_bytes": "min"},
        "search": {"strategy": "random", "trials": 10_000, "presets": ["mha"], "finalists": 0},
        "engine": {"trial_minutes": given.minutes, "trial_gigabytes": given.gigabytes},
    }


def done(kind: str, folder: Path, search: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The row of the attempt that did it, once a trial has ended well after it."""
    began, run = folder / "asked" / "began", folder / "runs" / "bad"
    began.unlink(missing_ok=True)
    (folder / "asked" / "do-0").write_text(kind)
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up and search.poll() is None:
        time.sleep(0.2)
        if not began.exists() or len(words := began.read_text().split()) < 2:
            continue
        rows, at = rows_of(run), float(words[0])
        if rows.empty:
            continue
        here = rows["worker"].str.endswith(f":{words[1]}")
        its = rows[here & (rows["started_at"] <= at) & (rows["finished_at"] >= at)]
        since = rows[(rows["state"] == "complete") & (rows["finished_at"] > at)]
        ended = its[its["state"] != "passed"]
        if len(ended) and len(since) > 2:
            first = ended.iloc[0]
            seconds = first["finished_at"] - at
            return {"kind": kind, "seconds": seconds, **dict(first[["trial", "state", "reason"]])}
    return {"kind": kind, "trial": -1, "state": "NO ROW", "reason": "", "seconds": PATIENCE_S}


def rows_of(run: Path) -> pd.DataFrame:
    """Every row so far."""
    try:
        return load(run, every_row=True)
    except RunError:
        return pd.DataFrame()


def print_table(found: list[dict[str, Any]], run: Path) -> None:
    """What came of each kind, and of all trials."""
    rows = rows_of(run)
    print("| a trial with | state | seconds | attempts, then | reason |\n|---|---|---|---|---|")
    for one in found:
        attempts = rows[rows["trial"] == one["trial"]].sort_values("attempt")
        last = attempts["state"].iloc[-1] if len(attempts) else "-"
        reason = " ".join(str(one["reason"] or "").split())
        reason = reason if len(reason) <= 150 else f"{reason[:110]} ... {reason[-35:]}"
        print(
            f"| {one['kind']} | {one['state']} | {one['seconds']:.2f} "
            f"| {attempts['attempt'].nunique()}, {last} | {reason} |"
        )
    ends = rows.sort_values("attempt").groupby("trial").tail(1)
    print(f"\n{len(ends)} trials: {ends['state'].value_counts().to_dict()}")


def cmdline(process: psutil.Process) -> list[str]:
    """What it was started as; nothing if it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


if __name__ == "__main__":
    main()

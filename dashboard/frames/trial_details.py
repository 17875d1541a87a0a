"""Trial details: learning curves, rungs and logs of the trials that are selected."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.frames.derived import Identity
from dashboard.loading import Loaded
from results.outcomes import in_words

COLOURED = 8  # lines that are told apart by colour and dashes
MOST_LINES = 60
MOST_POINTS = 2400  # of all lines together
LOG_BYTES = 2**16  # of the end of a log
LOG_LINES = 200
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
CURVE = ["attempt", "seed", "rung", "state", "reason", "curve_tokens", "curve_loss"]
TIMES = ["started_at", "finished_at"]


@dataclass(frozen=True, slots=True)
class Histories:
    """What the rows of some trials tell, every rung and attempt of them."""

    curves: pd.DataFrame  # trial, tokens, loss: one line per trial
    rungs: pd.DataFrame  # trial, rung, tokens, loss, state: where each row ended
    rows: pd.DataFrame  # every row, as it is stored

    @property
    def has_rungs(self) -> bool:
        """Whether any trial was trained in more than one go."""
        return len(self.rows) > self.rows["trial"].nunique() if len(self.rows) else False


def histories_of(loaded: Loaded, trials: Sequence[int]) -> Histories:
    """Curves and rungs of the first `MOST_LINES` of these trials."""
    return _histories(loaded.identity, tuple(trials[:MOST_LINES]), loaded)


def histories(loaded: Loaded, trials: Sequence[int]) -> Histories:
    """The same, read from disk."""
    objectives = [o.column for o in loaded.run.objectives]
    rows = loaded.details(trials, [*CURVE, *TIMES, *objectives])
    rows = rows.sort_values(["trial", "attempt", "rung"], kind="stable", ignore_index=True)
    lines, ends = [], []
    for trial in trials:
        of_trial = rows[rows["trial"] == trial]
        for row in of_trial.to_dict("records"):
            if len(row["curve_tokens"]):
                ends.append(
                    {
                        "trial": trial,
                        "rung": int(row["rung"]),
                        "tokens": float(row["curve_tokens"][-1]),
                        "loss": float(row["curve_loss"][-1]),
                        "state": row["state"],
                    }
                )
        trained = of_trial[[len(tokens) > 0 for tokens in of_trial["curve_tokens"]]]
        if len(trained):
            last = trained.iloc[-1]  # it holds what the rungs before it saw
            line = pd.DataFrame({"tokens": last["curve_tokens"], "loss": last["curve_loss"]})
            lines.append(_thinned(line, MOST_POINTS // len(trials)).assign(trial=trial))
    nothing = pd.DataFrame({"tokens": [], "loss": [], "trial": []}, dtype=float)
    curves = pd.concat(lines, ignore_index=True) if lines else nothing
    columns = ["trial", "rung", "tokens", "loss", "state"]
    return Histories(curves, pd.DataFrame(ends, columns=columns), rows)


def rung_table(loaded: Loaded, history: Histories) -> pd.DataFrame:
    """A line for every row of the trials: what each rung and attempt came to."""
    rows = history.rows
    ends = [len(tokens) > 0 for tokens in rows["curve_tokens"]]
    table = {
        "Trial": rows["trial"],
        "Rung": rows["rung"] + 1,
        "Attempt": rows["attempt"] + 1,
        "State": [_outcome(row) for row in rows.to_dict("records")],
        "Tokens": [t[-1] if ok else None for t, ok in zip(rows["curve_tokens"], ends, strict=True)],
        "Loss": [v[-1] if ok else None for v, ok in zip(rows["curve_loss"], ends, strict=True)],
    }
    for objective in loaded.run.objectives:
        if objective.column in rows and objective.column.startswith("accuracy"):
            table[objective.column.capitalize()] = rows[objective.column]
    table["Duration (s)"] = rows["finished_at"] - rows["started_at"]
    return pd.DataFrame(table)


def last_of_log(run: Path, trial: int, attempt: int) -> tuple[Path, str | None]:
    """The file that a trial's output is in, and its last lines; None where there is none."""
    path = run / "logs" / f"trial-{trial}-{attempt}.log"
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            data = file.read(LOG_BYTES)
    except OSError:
        return path, None
    text = ESCAPES.sub("", data.decode(errors="replace").replace("\r\n", "\n"))
    lines = text.replace("\r", "\n").splitlines()
    left_out = size > LOG_BYTES or len(lines) > LOG_LINES
    shown = [UNPRINTABLE.sub("\ufffd", line[:2000]) for line in lines[-LOG_LINES:]]
    return path, "\n".join([*(["..."] if left_out else []), *shown])


def _outcome(row: Mapping[Hashable, Any]) -> str:
    reason = row["reason"]
    word = in_words(str(row["state"]), reason if isinstance(reason, str) else None)
    return "went on" if word == "passed" else word


def _thinned(line: pd.DataFrame, most: int) -> pd.DataFrame:
    """At most `most` points of a line, the last one among them."""
    step = max(1, -(-len(line) // max(2, most)))
    keep = line.iloc[::step]
    is_last = len(line) and keep.index[-1] == line.index[-1]
    return keep if is_last or line.empty else pd.concat([keep, line.iloc[-1:]])


@st.cache_resource(max_entries=16, show_spinner=False)
def _histories(identity: Identity, trials: tuple[int, ...], _loaded: Loaded) -> Histories:
    return histories(_loaded, trials)

"""Findings: what a run found, and what noise allows to say of it."""

from __future__ import annotations

import pandas as pd

from attnas.commands.figures import cell, heading, outcomes, percent, settings_in_words
from attnas.commands.front import shown_columns
from attnas.commands.front_remarks import gained, left_out
from attnas.run_report.document import Section, Table
from attnas.run_report.pictures import pictures
from results import (
    Noise,
    Objective,
    Run,
    against_presets,
    differences,
    estimate_noise,
    is_trained,
)
from results.designs import without_infeasible
from results.origins import RANDOM, STRATEGY, keys_from
from search_space import Design, in_words

PICKED_AND_AGAIN = ("when picked", "again")


def in_short(run: Run, report: pd.DataFrame, noise: Noise) -> Section:
    """The first lines: how much was tried, and what came of it."""
    frame = run.frame()
    front = report["on_front"].sum()
    knee = report[report["knee"]].iloc[0]
    figures = ", ".join(
        f"{heading(o.column)} {cell(knee, o.column, noise)}" for o in run.objectives
    )
    sentences = [
        f"{_count(len(frame), 'trial')} ({outcomes(frame)}) of {_count(len(report), 'design')}, "
        f"{front} of them on the front.",
        f"The knee is trial {knee['trial']}, {_words(knee)}: {figures}.",
        *gained(frame, run.objectives, noise),
    ]
    return Section("In short", sentences)


def front(run: Run, report: pd.DataFrame, noise: Noise) -> Section:
    """The front in pictures and as a table, presets beside it."""
    first = run.objectives[0]
    near = report["within_noise_of_front"].fillna(False).astype(bool)
    preset = report["origin"].str.contains("preset:")
    shown = report[report["on_front"] | near | preset]
    shown = shown.sort_values(first.column, ascending=first.direction == "min")
    columns = shown_columns(shown, run.objectives)
    rows = [
        [
            _standing(row, bool(near.at[index])),
            str(row["trial"]),
            _named(row),
            *(cell(row, column, noise) for column in columns),
            percent(row["front_probability"]),
            ", ".join(map(str, row["same_as"] or [])),
        ]
        for index, row in shown.iterrows()
    ]
    headings = ["", "trial", "design", *map(heading, columns), "on front in", "same as trials"]
    remarks = [
        "± is half a 95% interval for comparing designs of this run; ratios are to dense "
        "multi-head attention. The share “on front in” is of draws from the noise in which nothing "
        "dominates the design; “same as” names front designs that noise does not tell apart."
    ]
    return Section("The front", [], pictures(run, report, noise), [Table(headings, rows)], remarks)


def baselines(run: Run, noise: Noise) -> Section | None:
    """Every preset, and what was found against it; random designs at equal numbers."""
    frame = run.frame()
    sentences = gained(frame, run.objectives, noise)
    if not sentences:
        return None
    compared = against_presets(frame, run.objectives, noise)
    rows = [
        [
            gain.preset,
            str(gain.trial),
            ", ".join(map(str, gain.beaten_by)) or "none",
            gain.in_words(heading) if gain.best else "",
        ]
        for gain in compared.gains
    ]
    headings = ["preset", "trial", "beaten outright by", "the first of them"]
    remarks = [
        "A design beats a preset if it is better by more than noise in some objective and worse by "
        "more than noise in none; “better” is judged for all designs that could have been picked "
        "at once. Where finalists were trained again, only those fresh trainings count. The "
        "strongest preset comes first: it is most ahead of the others, by differences beyond noise."
    ]
    tables = [Table(headings, rows)] if rows else []
    return Section("Against the baselines", sentences, [], tables, remarks if rows else [])


def finalists(run: Run) -> Section | None:
    """Designs of the front trained again: what they were picked for, and what came of it."""
    frame = run.frame()
    if not keys_from(frame, STRATEGY, RANDOM):
        return None
    complete = without_infeasible(frame)
    complete = complete[complete["state"].eq("complete")]
    again = complete[complete["origin"].eq("finalist")]
    if again.empty:
        none = "No design was trained again, so the best are partly lucky."
        return Section("Finalists", [none], remarks=left_out(frame))
    noise = estimate_noise(frame)
    trained = next((o.column for o in run.objectives if is_trained(o.column)), None)
    others = [o.column for o in run.objectives if o.column != trained]
    rows = []
    for key, fresh in again.groupby("key", sort=False):
        before = complete[complete["key"].eq(key) & ~complete["origin"].eq("finalist")]
        latest = fresh.iloc[-1]
        rows.append(
            [
                str(before["trial"].min() if len(before) else latest["trial"]),
                _words(latest),
                *([] if trained is None else [_mean(before, trained), _mean(fresh, trained)]),
                *(cell(_one(latest), column, noise) for column in others),
                _processes(latest, run.objectives),
            ]
        )
    twice = [] if trained is None else [f"{heading(trained)} {of}" for of in PICKED_AND_AGAIN]
    headings = ["trial", "design", *twice, *map(heading, others), "processes"]
    text = (
        "Designs of the front, trained again under seeds that had no part in picking them; in "
        "brackets, of how many trainings a figure is the mean."
    )
    return Section("Finalists", [text], [], [Table(headings, rows)], left_out(frame))


def against_best_preset(run: Run, report: pd.DataFrame, noise: Noise) -> Section | None:
    """Each design of the front against the strongest preset, objective by objective."""
    compared = against_presets(run.frame(), run.objectives, noise)
    if not compared.gains:
        return None
    trial = compared.gains[0].trial
    preset = report[report["trial"] == trial].iloc[0]
    rows = [
        [
            str(row["trial"]),
            _words(row),
            *(
                d.in_words(lambda _: "").strip()
                for d in differences(row, preset, run.objectives, noise)
            ),
        ]
        for _, row in report[report["on_front"] & (report["trial"] != trial)].iterrows()
    ]
    headings = ["trial", "design", *(heading(o.column) for o in run.objectives)]
    caption = f"The front against {compared.gains[0].preset}, the strongest preset"
    return Section(caption, [], [], [Table(headings, rows)]) if rows else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _standing(row: pd.Series, near: bool) -> str:
    if row["knee"]:
        return "knee"
    return "front" if row["on_front"] else "within noise" if near else ""


def _named(row: pd.Series) -> str:
    """The design in words, a preset's name before it."""
    names = [o.removeprefix("preset:") for o in row["origin"].split(", ") if "preset:" in o]
    return f"{', '.join(names)}: {_words(row)}" if names else _words(row)


def _words(row: pd.Series) -> str:
    """The design, and the settings it was trained under where it has some."""
    settings = settings_in_words(row.get("settings"))
    return in_words(Design.from_json(str(row["design"]))) + (f" ({settings})" if settings else "")


def _mean(rows: pd.DataFrame, column: str) -> str:
    """The mean over trainings and how many they were."""
    if rows.empty:
        return "-"
    return f"{rows[column].mean():.3f} ({len(rows)})"


def _one(row: pd.Series) -> pd.Series:
    return pd.Series({**row.to_dict(), "seeds": 1})


def _processes(row: pd.Series, objectives: tuple[Objective, ...]) -> str:
    """In how many processes the timed objectives were measured."""
    names = [f"{o.column.removesuffix('_ratio')}_processes" for o in objectives]
    counts = [int(row[name]) for name in names if name in row and pd.notna(row[name])]
    return str(max(counts)) if counts else "-"

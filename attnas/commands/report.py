"""report: a run as one HTML file and the same as Markdown."""

from __future__ import annotations

import time
from pathlib import Path

from attnas.commands.front import designs_where, nothing_yet
from attnas.failures import UsageError
from attnas.run_report.document import Document
from attnas.run_report.findings import against_best_preset, baselines, finalists, front, in_short
from attnas.run_report.method import method, provenance
from attnas.run_report.written import as_html, as_markdown
from results import RunError, estimate_noise, find_run, read_run
from results.folder import attnas_version

RUNS = Path("runs")


def report_run(name: str, to: Path | None) -> None:
    """Write report.html and report.md beside the run, or where `to` says."""
    run = read_run(find_run(name, RUNS))
    report = designs_where(run, None)
    if report.empty:
        raise RunError(" ".join(nothing_yet(run)))
    noise = estimate_noise(run.frame())
    sections = [
        in_short(run, report, noise),
        front(run, report, noise),
        baselines(run, noise),
        against_best_preset(run, report, noise),
        finalists(run),
        method(run),
        provenance(run),
    ]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created_at))
    document = Document(
        f"Attention search: {run.name}",
        f"Begun {when}, written by attnas {attnas_version()}.",
        [section for section in sections if section is not None],
    )
    folder = run.path if to is None else to
    files = {"report.html": as_html(document), "report.md": as_markdown(document)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"can't write into {folder}: {error.strerror}; name another --to"
        ) from None
    for sentence in sections[0].sentences if sections[0] else []:
        print(sentence)
    print(f"\nwrote {folder / 'report.html'}\n      {folder / 'report.md'}")

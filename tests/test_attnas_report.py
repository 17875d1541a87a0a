"""report: a run as one file that needs nothing else, and says no more than noise allows."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from test_attnas_dry_run import CONFIG
from test_attnas_front import rows_at_rungs, run_of, trial_row

from attnas.commands.report import report_run
from attnas.failures import UsageError
from attnas.run_report.document import Document, Section, Table
from attnas.run_report.written import as_html, as_markdown
from results import RunError


class Page(HTMLParser):
    """What a browser would fetch, run, and show."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.shown = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.shown += data


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """Two presets under two seeds, a found design, and a finalist of it."""
    rows = [
        trial_row(i, name, seed, accuracy, origin=f"preset:{name}")
        for i, (name, seed, accuracy) in enumerate(
            [("mha", 0, 0.60), ("gqa", 0, 0.50), ("mha", 1, 0.61), ("gqa", 1, 0.51)]
        )
    ]
    rows.append(trial_row(4, "mqa", 0, 0.70, origin="strategy:evolution"))
    rows.append(trial_row(5, "mqa", 1, 0.66, origin="finalist"))
    lost = {"origin": "random", "state": "diverged", "reason": "<b>lost</b>"}
    rows.append(trial_row(6, "mqa", 2, 0.5, **lost))
    return run_of(tmp_path / "searched", rows)


def test_a_report_is_one_page_without_scripts_or_anything_fetched(
    searched: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report_run(str(searched), None)
    page = Page((searched / "report.html").read_text())
    assert "script" not in page.tags
    assert [link for link in page.fetched if not link.startswith("#")] == []
    assert page.tags.count("svg") == 1
    for heading in ("In short", "The front", "Against the baselines", "Finalists", "Method"):
        assert heading in page.shown
    said = capsys.readouterr().out
    assert "7 trials (6 complete, 1 diverged) of 3 designs, " in said
    assert "report.md" in said


def test_a_finalist_is_reported_by_what_came_of_it_again(searched: Path) -> None:
    report_run(str(searched), None)
    text = (searched / "report.md").read_text()
    line = next(line for line in text.splitlines() if "0.660 (1)" in line)
    assert "0.700 (1)" in line


def test_a_latency_that_comes_first_is_not_taken_for_what_was_trained(tmp_path: Path) -> None:
    rows = [trial_row(s, "mha", s, 0.6 + s / 100, origin="preset:mha") for s in (0, 1)]
    rows.append(trial_row(2, "gqa", 0, 0.7, origin="strategy:evolution"))
    rows.append(trial_row(3, "gqa", 1, 0.65, origin="finalist"))
    last = run_of(tmp_path / "last", rows, {"kv_cache_bytes": "min", "accuracy": "max"})
    report_run(str(last), None)
    text = (last / "report.md").read_text()
    assert "| trial | design | accuracy when picked | accuracy again | KV cache | proc" in text
    assert "| 0.700 (1) | 0.650 (1) | 488.3 KiB |" in text
    none = [replace(row, metrics={**row.metrics, "parameters": 2e5}) for row in rows]
    objectives = {"kv_cache_bytes": "min", "parameters": "min"}
    untrained = run_of(tmp_path / "none", none, objectives)
    report_run(str(untrained), None)
    text = (untrained / "report.md").read_text()
    assert "| trial | design | KV cache | params | processes |" in text
    assert "when picked" not in text


def test_a_finalist_that_broke_a_limit_is_reported_as_left_out(tmp_path: Path) -> None:
    rows = [
        trial_row(0, "mha", 0, 0.6, origin="preset:mha"),
        trial_row(1, "gqa", 0, 0.7, origin="strategy:evolution"),
        trial_row(2, "gqa", 1, 0, origin="finalist", state="infeasible", reason="slow", metrics={}),
    ]
    path = run_of(tmp_path / "run", rows)
    report_run(str(path), None)
    text = (path / "report.md").read_text()
    assert "- The design of trial 1 is left out: its trial 2 was infeasible: slow" in text
    assert "No design was trained again" in text


def test_a_run_that_searched_nothing_is_reported_without_a_word_on_the_search(
    tmp_path: Path,
) -> None:
    path = run_of(tmp_path / "run", [trial_row(s, "mha", s, 0.6, origin="given") for s in (0, 1)])
    report_run(str(path), None)
    text = (path / "report.md").read_text()
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["In short", "The front", "Method", "Provenance"]
    assert "preset" not in text
    assert "search" not in text.split("## In short")[1]


def test_nothing_of_a_run_is_markup_in_its_report(searched: Path) -> None:
    report_run(str(searched), None)
    page = Page((searched / "report.html").read_text())
    assert "b" not in page.tags
    assert "<b>lost</b>" in page.shown


def test_markdown_keeps_what_would_be_marks_as_text() -> None:
    table = Table(["a|b"], [["<i>*x*</i>\nnext"]])
    document = Document("A_title", "now", [Section("S", ["1 * 2 < 3"], tables=[table])])
    text = as_markdown(document)
    assert "# A\\_title" in text
    assert "| a\\|b |" in text
    assert "| \\<i>\\*x\\*\\</i> next |" in text
    assert "1 \\* 2 \\< 3" in text
    assert "<i>" not in Page(as_html(document)).tags


def test_a_report_goes_where_it_is_told(searched: Path, tmp_path: Path) -> None:
    report_run(str(searched), tmp_path / "new" / "place")
    assert {file.name for file in (tmp_path / "new" / "place").iterdir()} == {
        "report.html",
        "report.md",
    }
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="name another --to"):
        report_run(str(searched), tmp_path / "file")


def test_a_run_without_a_complete_trial_has_nothing_to_report(tmp_path: Path) -> None:
    path = run_of(tmp_path / "none", [trial_row(0, "mha", 0, 0.5, state="failed", reason="why")])
    with pytest.raises(RunError, match="no complete trial yet"):
        report_run(str(path), None)


@pytest.mark.parametrize("rungs", [{"factor": 2, "first": 0.25}, "none"])
def test_rungs_are_reported_where_there_were_some(tmp_path: Path, rungs: object) -> None:
    config = CONFIG | {"search": CONFIG["search"] | {"rungs": rungs}}
    report_run(str(run_of(tmp_path / "run", rows_at_rungs(), config=config)), None)
    text = (tmp_path / "run" / "report.md").read_text()
    assert "9 trials (4 pruned, 3 complete, 1 diverged, 1 on the way) of 3 designs" in text
    assert (
        "Trials could be stopped at rungs, after 25% and 50% of the training, from where about one "
        "in 2 goes on; 4 trials stand stopped there." in text
    ) == (rungs != "none")
    assert "- Trial 7: diverged, no number." in text
    assert "at this rung" not in text
    assert "passed" not in text.split("## Provenance")[0]


def test_what_holds_of_many_trials_is_remarked_once(tmp_path: Path) -> None:
    noted = {"prefill_64": "did not settle within 5%"}
    metrics = {"accuracy": 0.6, "kv_cache_bytes": 1e6, "prefill_64_ratio": 1.0}
    rows = [trial_row(t, "mha", t, 0, metrics=metrics, notes=noted) for t in range(12)]
    for t, share in ((0, 38), (1, 100)):
        drift = f"taken in {share}% of a's pairs; taken in 50% of b's pairs"
        rows[t] = replace(rows[t], notes=noted | {"drift": drift})
    lost = {"state": "failed", "reason": "no room", "metrics": {}}
    rows += [trial_row(t, "gqa", t, 0, **lost) for t in (12, 13)]
    report_run(str(run_of(tmp_path / "run", rows)), None)
    text = (tmp_path / "run" / "report.md").read_text()
    assert text.count("did not settle") == 1
    assert "- Trials 0, 1, 2, 3, 4, 5, 6, 7 and 4 more: prefill\\_64 did not settle" in text
    assert "- Trials 12 and 13: failed, no room." in text
    assert "- Trials 0 and 1: taken in 38% to 100% of a's pairs." in text
    assert "- Trials 0 and 1: taken in 50% of b's pairs." in text

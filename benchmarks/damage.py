"""Damage: cut journals, flipped bits and lost files of a stored run, read and repaired.

    python benchmarks/damage.py [--flips 20000] [--repairs 500] [--sectors 200]   (3 to 5 minutes)

A run with segments, an outdated manifest, pending asks and a journal of some hundred records. Then

    prefixes  every prefix of its journal, opened by a reader and a writer: the records that are
              whole in it, no other
    flips     one bit of journal, segment, manifest, pointer or description: refused by the reader
              or the very same rows; anything else counts as wrong. Of some of them the repair: all
              rows are there again, none changed
    sectors   512 bytes zeroed, which no checksum can give back: refused, and repaired to rows that
              were there, all but those of the record or segment that was hit, which may also be
              found in another file
    files     each file lost in turn, likewise
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from results import RunError, RunWriter, TrialRow, read_run
from results.checkup import checkup
from results.journal import parse_journal
from results.manifest import read_manifest
from results.repair import repair
from results.segments import read_segment
from results.survey import survey

FOLDED, JOURNALED = (60, 40, 50), 100  # rows of each segment, rows in the journal
SECTOR = 512
KINDS = ("journal", "segment", "manifest", "pointer", "description")
Rows = dict[int, dict[str, Any]]  # by trial


@dataclass
class Tally:
    """What came of one kind of damage."""

    right: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    repaired: int = 0
    rows_lost: int = 0
    bad_repairs: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of repairs


def main() -> None:
    """Make the run, damage copies of it, print the tables; exit 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flips", type=int, default=20_000)
    parser.add_argument("--repairs", type=int, default=500)
    parser.add_argument("--sectors", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="attnas-damage-") as name:
        run = make_run(Path(name) / "run")
        proof = Proof(run, Path(name) / "copy", random.Random(given.seed))
        cut = prefixes(run, Path(name) / "cut")
        print(f"{cut} prefixes of a journal of {JOURNALED} rows: none wrong")
        flips = proof.flips(given.flips, given.repairs)
        print_tally("one flipped bit in", flips)
        sectors = proof.sectors(given.sectors)
        print_tally(f"{SECTOR} bytes zeroed in", sectors)
        lost = proof.lost_files()
        print_tally("lost", lost)
    bad = [*flips.values(), *sectors.values(), *lost.values()]
    for said in [said for tally in bad for said in tally.wrong + tally.bad_repairs][:20]:
        print(said)
    raise SystemExit(any(tally.wrong or tally.bad_repairs for tally in bad))


def row_of(trial: int) -> TrialRow:
    """A result with all kinds of columns."""
    return TrialRow(
        trial=trial, seed=trial % 3, key=f"{trial:016x}", design=f'{{"layers": {trial}}}',
        origin="random" if trial % 5 else "strategy:auto", state="complete", started_at=trial + 0.5,
        finished_at=trial + 1.25, worker="w1", device="cpu", threads=1, data="d",
        metrics={"accuracy": trial / 7, "kv_cache_bytes": 1000.0 + trial, "loss": 1 / (1 + trial)},
        notes={"latency": "unsettled"} if trial % 4 == 0 else {},
        curve=[(100.0 * n, 3.0 / (n + 1 + trial)) for n in range(4)],
    )  # fmt: skip


def make_run(path: Path) -> Path:
    """As a driver that was killed leaves it: rows in segments and journal, trials on their way."""
    writer = RunWriter.create(
        path, config={"search": {"trials": 400}}, config_text="search: {trials: 400}\n",
        objectives={"accuracy": "max", "kv_cache_bytes": "min"}, provenance={"data": "d"},
        name="run",
    )  # fmt: skip
    trial = 0
    for count in FOLDED:
        for _ in range(count):
            tell(writer, row_of(trial))
            trial += 1
        writer.fold()
    for _ in range(JOURNALED):
        tell(writer, row_of(trial))
        trial += 1
    for late in range(trial, trial + 3):
        ask(writer, row_of(late))
    kept = path.with_name("killed")
    shutil.copytree(path, kept)
    writer.close()
    return kept


def ask(writer: RunWriter, row: TrialRow) -> None:
    """The trial goes out."""
    writer.ask(
        trial=row.trial, attempt=0, seed=row.seed, key=row.key, design=row.design, origin=row.origin
    )


def tell(writer: RunWriter, row: TrialRow) -> None:
    """The trial goes out and comes back."""
    ask(writer, row)
    writer.append(row)


def rows_of(run: Path) -> Rows:
    """Every row as a reader gets it; a trial that is there twice is an error of its own."""
    rows = read_run(run).rows.to_pylist()
    by_trial = {row["trial"]: row for row in rows}
    assert len(by_trial) == len(rows), "a row is there twice"
    return by_trial


def seen(run: Path) -> tuple[object, ...]:
    """All that a reader gets."""
    found = read_run(run)
    described = (found.name, found.created_at, found.config, found.objectives, found.provenance)
    return found.rows, found.pending, *described


def prefixes(run: Path, to: Path) -> int:
    """How many were tried; the first that is wrong ends it."""
    shutil.copytree(run, to)
    journal = to / read_manifest(to).journal
    data, folded = journal.read_bytes(), sum(FOLDED)
    ends = [0]
    while (end := data.find(b"\n", ends[-1])) >= 0:
        ends.append(end + 1)
    kinds = ["row" in record for record in parse_journal(data).records]
    for cut in range(len(data) + 1):
        journal.write_bytes(data[:cut])
        whole = sum(end <= cut for end in ends) - 1
        content = parse_journal(data[:cut])
        assert (content.good_bytes, content.damaged) == (ends[whole], None), cut
        if cut % 61 and cut not in ends and cut + 1 not in ends:  # the same code, much slower
            continue
        rows = folded + sum(kinds[:whole])
        assert len(rows_of(to)) == rows, cut
        if cut % 997 == 0:
            writer = RunWriter(to, _Unlocked())  # pyright: ignore[reportArgumentType]
            assert len(writer.events) >= rows
            assert journal.stat().st_size == ends[whole], cut
    return len(data) + 1


class _Unlocked:
    """The place of a lock: nobody else has this copy."""

    def release(self) -> None:
        pass


class Proof:
    """Damages a copy in one file at a time, and puts it right again."""

    def __init__(self, run: Path, copy: Path, chance: random.Random) -> None:
        self._run, self._copy, self._chance = run, copy, chance
        shutil.copytree(run, copy)
        self._right, self._seen = rows_of(run), seen(run)
        self._pending = {ask.trial for ask in read_run(run).pending}
        manifest = read_manifest(run)
        self._files = {
            "journal": [manifest.journal],
            "segment": [segment.file for segment in manifest.segments],
            "manifest": [manifest.file],
            "pointer": ["MANIFEST"],
            "description": ["run.json"],
        }
        self._trials_of = {
            segment.file: set(read_segment(run, segment, ["trial"])["trial"].to_pylist())
            for segment in manifest.segments
        }

    def flips(self, count: int, repairs: int) -> dict[str, Tally]:
        """`count` flipped bits over all kinds of files, every so many of them repaired."""
        tallies = {kind: Tally() for kind in KINDS}
        every = max(1, count // max(1, repairs))
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            name = self._chance.choice(self._files[kind])
            data = bytearray((self._run / name).read_bytes())
            bit = self._chance.randrange(8 * len(data))
            data[bit // 8] ^= 1 << bit % 8
            self._damaged(tallies[kind], name, data, f"bit {bit} of {name}",
                          mend=number // len(KINDS) % every == 0, most_lost=0)  # fmt: skip
        return tallies

    def sectors(self, count: int) -> dict[str, Tally]:
        """Zeroed stretches, each repaired."""
        tallies = {kind: Tally() for kind in KINDS[:3]}
        for number in range(count):
            kind = KINDS[number % 3]
            name = self._chance.choice(self._files[kind])
            data = bytearray((self._run / name).read_bytes())
            start = self._chance.randrange(max(1, len(data) // SECTOR)) * SECTOR
            data[start : start + SECTOR] = bytes(len(data[start : start + SECTOR]))
            most = {"journal": 4, "manifest": 0}.get(kind, len(self._trials_of.get(name, ())))
            self._damaged(tallies[kind], name, data, f"{SECTOR} bytes from {start} of {name}",
                          mend=True, most_lost=most)  # fmt: skip
        return tallies

    def lost_files(self) -> dict[str, Tally]:
        """Each file of the run, one at a time; the description can't come back."""
        files = [p for p in sorted(self._run.rglob("*")) if p.is_file() and p.name != "run.json"]
        tallies: dict[str, Tally] = {}
        for file in files:
            name = str(file.relative_to(self._run))
            most = len(self._trials_of.get(name, ()))
            most += JOURNALED if name in self._files["journal"] else 0
            tally = tallies.setdefault(name, Tally())
            self._damaged(tally, name, None, f"{name} lost", mend=True, most_lost=most)
        return tallies

    def _damaged(
        self,
        tally: Tally,
        name: str,
        data: bytearray | None,
        what: str,
        *,
        mend: bool,
        most_lost: int,
    ) -> None:
        file = self._copy / name
        if data is None:
            file.unlink()
        else:
            file.write_bytes(data)
        try:
            same = seen(self._copy) == self._seen
        except RunError:
            tally.refused += 1
        except Exception as error:
            tally.wrong.append(f"{what}: {type(error).__name__}: {error}")
        else:
            tally.right += same
            if not same:
                tally.wrong.append(f"{what}: other rows are read")
        if mend:
            self._repaired(tally, what, most_lost)
            shutil.rmtree(self._copy)
            shutil.copytree(self._run, self._copy)
        else:
            file.write_bytes((self._run / name).read_bytes())

    def _repaired(self, tally: Tally, what: str, most_lost: int) -> None:
        start = time.perf_counter()
        try:
            repair(self._copy)
            rows, pending = rows_of(self._copy), {a.trial for a in read_run(self._copy).pending}
            left = [one.said for one in checkup(survey(self._copy)) if one.level != "ok"]
        except Exception as error:
            tally.bad_repairs.append(f"{what}, repaired: {type(error).__name__}: {error}")
            return
        tally.seconds += time.perf_counter() - start
        tally.repaired += 1
        lost = len(self._right) - len(rows)
        tally.rows_lost += lost
        changed = [trial for trial, row in rows.items() if self._right.get(trial) != row]
        if changed or left or lost > most_lost or (not most_lost and pending != self._pending):
            tally.bad_repairs.append(
                f"{what}, repaired: {lost} rows lost of {most_lost} at most, {len(changed)} "
                f"changed, pending {sorted(pending)}, {left}"
            )


def print_tally(title: str, tallies: dict[str, Tally]) -> None:
    """One line per kind of file."""
    print(f"\n| {title} | read right | refused | **wrong** | repaired | rows lost | ms each |")
    print("|---|---|---|---|---|---|---|")
    for kind, one in tallies.items():
        each = f"{1000 * one.seconds / one.repaired:.0f}" if one.repaired else ""
        print(
            f"| {kind} | {one.right} | {one.refused} | {len(one.wrong) + len(one.bad_repairs)} | "
            f"{one.repaired} | {one.rows_lost} | {each} |"
        )


if __name__ == "__main__":
    main()

"""Soak: a search whose workers, disk and power fail as a seed says, until it is finished anyway.

Everything but time and training is real: the search, its strategy, the store in a real folder. A
session ends by a power cut, by a disk that fails, or by finishing; the next one goes on with what
the machine finds. The same seed gives the same story.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from controller.config import SearchConfig
from controller.search import Search, SearchFailed
from controller.simulation.engine import Clock, SimulatedEngine
from controller.simulation.failing_disks import FailingDisk, ForgetfulDisk, PowerCutError
from controller.simulation.memory_log import MemoryLog
from controller.simulation.problem import Problem
from controller.trial import Trial
from controller.waiting_log import Pause, WaitingLog
from results import Ask, RunWriter, TrialRow, read_run, write_result
from results.disk import watched_by
from results.folder import is_run
from results.schema import RowKey

ERRORS = ("EIO", "ENOSPC", "EINTR", "EMFILE", "short")
DIES, LEAVES_RESULT = 0.08, 0.5  # chance that a worker dies; of those, after its result was left
OPERATIONS = 200  # of the disk, at most, before something happens to it
SESSIONS = 200  # a story that is longer has gone wrong


@dataclass(slots=True)
class Story:
    """What happened, and what was acknowledged."""

    sessions: int = 0
    power_cuts: int = 0
    errors: int = 0
    deaths: int = 0
    acknowledged: set[tuple[RowKey, str]] = field(default_factory=set)  # with the state
    events: list[Ask | TrialRow] = field(default_factory=list)  # of the finished run


class Soak:
    """One story, in a folder of its own."""

    def __init__(self, seed: int, folder: Path, problem: Problem, config: SearchConfig) -> None:
        self._chance = random.Random(seed)
        self._folder, self._problem, self._config = folder, problem, config
        self._path = folder / "0"  # another one after each power cut
        self.story = Story()

    def live(self) -> Story:
        """To the end of the search; AssertionError where a promise was broken."""
        while not self._session():
            self.story.sessions += 1
            assert self.story.sessions < SESSIONS, "the search does not get to its end"
        with RunWriter.open(self._path) as writer:
            self.story.events = writer.events
        self._check()
        return self.story

    def _session(self) -> bool:
        """Go on until something ends it; whether the search is complete."""
        chance, at = self._chance, self._chance.randrange(OPERATIONS)
        power = ForgetfulDisk(self._path, at, chance.randrange(2**30))
        disk = power if chance.random() < 0.5 else FailingDisk(at, chance.choice(ERRORS))
        try:
            with watched_by(disk), self._opened() as writer:
                return self._searched(writer)
        except PowerCutError:
            self.story.power_cuts += 1
            if self._path.exists():
                found = self._folder / str(self.story.sessions + 1)
                power.after_the_cut(found)
                self._path = found
        except (OSError, SearchFailed):
            self.story.errors += 1
        return False

    def _opened(self) -> RunWriter:
        if is_run(self._path):
            return RunWriter.open(self._path)
        assert not self.story.acknowledged, "the run itself is lost"
        objectives = {o.column: o.direction for o in self._problem.objectives}
        said = {"config": {}, "config_text": "", "provenance": {}, "name": "soak"}
        return RunWriter.create(self._path, objectives=objectives, **said)

    def _searched(self, writer: RunWriter) -> bool:
        clock = Clock()
        problem, pause = self._problem, Pause(wait_s=0.0)
        log = _Acknowledged(writer, self.story)
        search = Search(
            problem.space, problem.objectives, self._config, WaitingLog(log, pause), clock=clock
        )
        search.collect()
        workers = _DyingWorkers(search, writer.path, self._chance, self.story)
        seed = self._chance.randrange(2**30)
        SimulatedEngine(workers, problem, clock, workers=3, crashes=0.02, seed=seed).run()
        return search.complete

    def _check(self) -> None:
        """Nothing acknowledged is lost, nothing is there twice, every choice is as replayed."""
        rows = [event for event in self.story.events if isinstance(event, TrialRow)]
        keys, states = [row.identity for row in rows], {(row.identity, row.state) for row in rows}
        assert len(keys) == len(set(keys)), "rows are doubled"
        assert self.story.acknowledged <= states, "acknowledged rows are lost"
        assert len(read_run(self._path).rows) == len(rows), "readers and the writer disagree"
        ordinals = [e.ordinal if isinstance(e, Ask) else e.told_at for e in self.story.events]
        assert ordinals == [*range(len(ordinals))], "events are missing"
        ended = {row.trial for row in rows if row.state not in ("lost", "passed")}
        given_up = {row.trial for row in rows if row.state == "lost" and row.attempt >= 2}
        asked = {event.trial for event in self.story.events if isinstance(event, Ask)}
        assert asked == ended | given_up, "trials were forgotten"
        for at, event in enumerate(self.story.events):
            if isinstance(event, Ask) and event.attempt == event.rung == 0:
                self._check_choice(self.story.events[:at], event)

    def _check_choice(self, before: Sequence[Ask | TrialRow], asked: Ask) -> None:
        log = MemoryLog(before)
        search = Search(self._problem.space, self._problem.objectives, self._config, log)
        trial = search.next_trial()
        while trial is not None and trial.trial < asked.trial:  # out when a session ended
            trial = search.next_trial()
        assert trial is not None, f"nothing is proposed in place of trial {asked.trial}"
        assert (trial.trial, trial.candidate.key) == (asked.trial, asked.key), (
            f"trial {asked.trial} is not what is proposed after the events before it"
        )


class _Acknowledged:
    """A log that notes which rows were acknowledged."""

    def __init__(self, writer: RunWriter, story: Story) -> None:
        self._writer, self._story = writer, story
        self.ask = writer.ask

    @property
    def events(self) -> Sequence[Ask | TrialRow]:
        """Those on disk."""
        return self._writer.events

    def append(self, row: TrialRow) -> TrialRow | None:
        """Store a row."""
        stored = self._writer.append(row)
        if stored is not None:
            self._story.acknowledged.add((stored.identity, stored.state))
        return stored

    def absorb_inbox(self) -> list[TrialRow]:
        """Store what workers left."""
        rows = self._writer.absorb_inbox()
        self._story.acknowledged |= {(row.identity, row.state) for row in rows}
        return rows


class _DyingWorkers:
    """A search whose workers leave their results in the inbox, and die now and then."""

    def __init__(self, search: Search, run: Path, chance: random.Random, story: Story) -> None:
        self._search, self._run, self._chance, self._story = search, run, chance, story
        self._out: dict[int, Trial] = {}
        self.rungs = search.rungs

    def next_trial(self) -> Trial | None:
        """What a free worker is given."""
        trial = self._search.next_trial()
        if trial is not None:
            self._out[trial.trial] = trial
        return trial

    def finish(self, row: TrialRow) -> None:
        """The end of a trial, or of its worker."""
        dies = self._chance.random() < DIES
        if not dies or self._chance.random() < LEAVES_RESULT:
            write_result(self._run, row)
            self._story.acknowledged.add((row.identity, row.state))
        if dies:
            self._story.deaths += 1
            self._search.lost(self._out[row.trial], "the worker died", row.worker)
        else:
            self._search.finish(row)
            self._search.collect()

    def report(self, row: TrialRow) -> bool:
        """A trial at a rung."""
        return self._search.report(row)

"""Trial: what a worker is asked to do; and the log that every trial and result goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from controller.candidates import Candidate, Settings
from results import Ask, TrialRow
from search_space import Design


@dataclass(frozen=True, slots=True)
class Trial:
    """What a worker is asked to do."""

    trial: int
    attempt: int
    seed: int
    design: Design
    origin: str
    settings: Settings = ()
    rung: int = 0  # the first one that it is to reach now

    @classmethod
    def of(cls, stored: Ask | TrialRow) -> Trial:
        """The trial of an ask, or that led to a row."""
        candidate = Candidate.of(stored)
        return cls(
            stored.trial,
            stored.attempt,
            stored.seed,
            candidate.design,
            stored.origin,
            candidate.settings,
            stored.rung,
        )

    @property
    def candidate(self) -> Candidate:
        """What the strategy proposed."""
        return Candidate(self.design, self.settings)

    def row_fields(self) -> dict[str, object]:
        """The fields that a result of this trial shares with it."""
        return {
            "trial": self.trial,
            "attempt": self.attempt,
            "seed": self.seed,
            "rung": self.rung,
            "origin": self.origin,
            "key": self.candidate.key,
            "design": self.design.to_json(),
            "settings": self.candidate.settings_json,
        }


class Log(Protocol):
    """Where events are kept before they are acted upon: a run's writer, or memory."""

    @property
    def events(self) -> Sequence[Ask | TrialRow]:
        """Every ask and row in the order they happened."""
        ...

    def ask(
        self,
        *,
        trial: int,
        attempt: int,
        seed: int,
        key: str,
        design: str,
        origin: str,
        settings: str | None = None,
        rung: int = 0,
    ) -> Ask:
        """Note that a trial goes out."""
        ...

    def append(self, row: TrialRow) -> TrialRow | None:
        """Keep a row; None for one that is there already."""
        ...

    def absorb_inbox(self) -> list[TrialRow]:
        """Keep what workers left behind, and say what it was."""
        ...

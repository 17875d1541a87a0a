"""What a strategy is: it proposes candidates, which follow from the seed and the log alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controller.candidates import Candidate, CandidateSpace
from results import Objective, TrialRow


class Strategy(Protocol):
    """Proposes candidates from what was handed out and what came back, in that order.

    `ask` changes nothing: the search calls `handed_out` for every candidate that goes out, whoever
    proposed it, and `tell` for every result. So a strategy is rebuilt by replaying the log.
    """

    def ask(self) -> Candidate | None:
        """A candidate that was not handed out before; None if there seem to be none left."""
        ...

    def handed_out(self, candidate: Candidate) -> None:
        """A candidate went out and is pending."""
        ...

    def tell(self, row: TrialRow) -> None:
        """A result came back."""
        ...


class MakeStrategy(Protocol):
    """How a registered strategy is made."""

    def __call__(
        self, space: CandidateSpace, objectives: Sequence[Objective], seed: int
    ) -> Strategy: ...

"""What a strategy is: it proposes designs, and its proposals follow from seed and log alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from results import Objective, TrialRow
from search_space import Design, Space


class Strategy(Protocol):
    """Proposes designs from what was handed out and what came back, in that order.

    `ask` changes nothing: the search calls `handed_out` for every design that goes out, whoever
    proposed it, and `tell` for every result. So a strategy is rebuilt by replaying the log.
    """

    def ask(self) -> Design | None:
        """A design that was not handed out before; None if there seem to be none left."""
        ...

    def handed_out(self, design: Design) -> None:
        """A design went out and is pending."""
        ...

    def tell(self, row: TrialRow) -> None:
        """A result came back."""
        ...


class MakeStrategy(Protocol):
    """How a registered strategy is made."""

    def __call__(self, space: Space, objectives: Sequence[Objective], seed: int) -> Strategy: ...

"""When a loss says that training on is of no use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

SPREAD_OVER = 20  # losses are judged by the median of a twentieth of the steps, five at least
FEWEST_STEPS = 40  # shorter trainings are over before anything can be said
BLOWN_UP = 2.0  # times the initial loss, or a guess's, whichever is larger


@dataclass(frozen=True, slots=True)
class LossWatch:
    """Judges the losses of all steps so far."""

    steps: int
    guess: float = 0.0  # the loss of one who knows nothing
    fresh: bool = True  # whether the weights were drawn; trained ones may have nothing to learn

    def verdict(self, losses: Sequence[float]) -> str | None:
        """Why training should end, as a sentence; None while it should go on.

        Blown up: above twice its beginning and a guess's. Stalled: half-way, no lower than it
        began, though the weights were fresh.
        """
        span = max(5, self.steps // SPREAD_OVER)
        done = len(losses)
        if self.steps < FEWEST_STEPS or done < 2 * span:
            return None
        begun, now = median(losses[:span]), median(losses[-span:])
        if now > BLOWN_UP * max(begun, self.guess):
            return (
                f"the loss rose from {begun:.3g} to {now:.3g} by step {done} of {self.steps}; a "
                "lower learning rate may help"
            )
        if self.fresh and done == self.steps // 2 and now >= begun:
            return (
                f"the loss stalled: it began at {begun:.3g} and was {now:.3g} at step {done} of "
                f"{self.steps}; another learning rate may help"
            )
        return None

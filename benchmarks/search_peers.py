"""Other libraries' optimizers as their own users run them, on the same problems.

Each axis is a parameter of the library: numbers by their place in the order, texts as categories.
What a library proposes twice is evaluated twice, as it would be for its users.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from peers.botorch_nehvi import BotorchNehvi  # pyright: ignore[reportMissingImports]
from peers.interface import AxisRandom, Peer  # pyright: ignore[reportMissingImports]
from peers.nni_tpe import NniTpe  # pyright: ignore[reportMissingImports]
from peers.optuna_study import Optuna  # pyright: ignore[reportMissingImports]
from peers.pymoo_nsga2 import PymooNsga2  # pyright: ignore[reportMissingImports]

from controller.simulation import Problem
from controller.trial import Trial
from results import TrialRow

FOUNDERS = 20  # structured points given to TPE first
POPULATION = 20


class PeerSearch:
    """A peer in the place of a search, for the simulated engine."""

    rungs: Sequence[float] = (1.0,)

    def __init__(self, peer: Peer, problem: Problem, seed: int, trials: int) -> None:
        self._peer, self._problem, self._seed, self._trials = peer, problem, seed, trials
        self._tokens: list[object] = []

    def next_trial(self) -> Trial | None:
        """The peer's next point."""
        if len(self._tokens) >= self._trials:
            return None
        asked = self._peer.ask()
        if asked is None:
            return None
        token, candidate = asked
        self._tokens.append(token)
        number = len(self._tokens) - 1
        return Trial(number, 0, self._seed, candidate.design, "peer", candidate.settings)

    def report(self, row: TrialRow) -> bool:
        """Peers have no rungs."""
        raise AssertionError("there is one rung, the last")

    def finish(self, row: TrialRow) -> None:
        """Tell the peer."""
        point = self._problem.point(row.metrics)
        signs = [1.0 if o.direction == "min" else -1.0 for o in self._problem.objectives]
        signed = None if point is None else [s * v for s, v in zip(signs, point, strict=True)]
        self._peer.tell(self._tokens[row.trial], signed)


def _optuna_tpe(problem: Problem, seed: int, founders: int = 0) -> Peer:
    return Optuna(problem, seed, lambda s, n: s.TPESampler(multivariate=True, seed=n), founders)


def _optuna_tpe_structured(problem: Problem, seed: int) -> Peer:
    return _optuna_tpe(problem, seed, FOUNDERS)


def _optuna_nsga2(problem: Problem, seed: int) -> Peer:
    return Optuna(problem, seed, lambda s, n: s.NSGAIISampler(population_size=POPULATION, seed=n))


def _optuna_gp(problem: Problem, seed: int) -> Peer:
    return Optuna(problem, seed, lambda s, n: s.GPSampler(seed=n))


PEERS: dict[str, Callable[[Problem, int], Peer]] = {
    "axes:random": AxisRandom,
    "optuna:tpe": _optuna_tpe,
    "optuna:tpe-structured": _optuna_tpe_structured,
    "optuna:nsga2": _optuna_nsga2,
    "optuna:gp": _optuna_gp,
    "pymoo:nsga2": PymooNsga2,
    "nni:tpe": NniTpe,
    "botorch:nehvi": BotorchNehvi,
}
SLOW = ("optuna:gp", "botorch:nehvi")  # a second or more per proposal

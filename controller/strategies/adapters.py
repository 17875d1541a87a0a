"""Adapters by name: strategies of other libraries, which are imported when one is made."""

from __future__ import annotations

from collections.abc import Sequence

from controller.strategies.interface import MakeStrategy, SearchSpace, Strategy
from results import Objective


def _optuna_tpe(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> Strategy:
    from controller.strategies.optuna_samplers import optuna_tpe

    return optuna_tpe(space, objectives, seed)


def _optuna_nsga2(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> Strategy:
    from controller.strategies.optuna_samplers import optuna_nsga2

    return optuna_nsga2(space, objectives, seed)


def _optuna_gp(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> Strategy:
    from controller.strategies.optuna_samplers import optuna_gp

    return optuna_gp(space, objectives, seed)


def _nni_tpe(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> Strategy:
    from controller.strategies.nni_tuners import NniTpe

    return NniTpe(space, objectives, seed)


def _nni_evolution(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> Strategy:
    from controller.strategies.nni_tuners import NniEvolution

    return NniEvolution(space, objectives, seed)


def _tune_optuna(space: SearchSpace, objectives: Sequence[Objective], seed: int) -> Strategy:
    from controller.strategies.ray_searchers import tune_optuna

    return tune_optuna(space, objectives, seed)


ADAPTERS: dict[str, MakeStrategy] = {
    "optuna-tpe": _optuna_tpe,
    "optuna-nsga2": _optuna_nsga2,
    "optuna-gp": _optuna_gp,
    "nni-tpe": _nni_tpe,
    "nni-evolution": _nni_evolution,
    "tune-optuna": _tune_optuna,
}

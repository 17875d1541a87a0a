"""Strategies by the name that YAML uses."""

from controller.strategies.adapters import ADAPTERS
from controller.strategies.auto import Auto
from controller.strategies.evolution import Evolution
from controller.strategies.grid import GridSearch
from controller.strategies.interface import (
    JudgesCosts,
    MakeStrategy,
    Proposal,
    SearchSpace,
    Strategy,
)
from controller.strategies.model_based import ModelBased
from controller.strategies.nsga2 import Nsga2
from controller.strategies.random_search import RandomSearch
from controller.strategies.structured import StructuredSearch

STRATEGIES: dict[str, MakeStrategy] = {
    "auto": Auto,
    "model": ModelBased,
    "evolution": Evolution,
    "nsga2": Nsga2,
    "structured": StructuredSearch,
    "random": RandomSearch,
    "grid": GridSearch,
    **ADAPTERS,
}

# those that may give a candidate back when its costs have been measured
JUDGES = [
    name
    for name, made in STRATEGIES.items()
    if isinstance(made, type) and issubclass(made, JudgesCosts)
]

__all__ = [
    "JUDGES",
    "STRATEGIES",
    "JudgesCosts",
    "MakeStrategy",
    "Proposal",
    "SearchSpace",
    "Strategy",
]

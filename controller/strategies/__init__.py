"""Strategies by the name that YAML uses."""

from controller.strategies.evolution import Evolution
from controller.strategies.interface import MakeStrategy, Proposal, SearchSpace, Strategy
from controller.strategies.random_search import RandomSearch

STRATEGIES: dict[str, MakeStrategy] = {
    "evolution": Evolution,
    "random": RandomSearch,
}

__all__ = ["STRATEGIES", "MakeStrategy", "Proposal", "SearchSpace", "Strategy"]

"""How a query and a key are compared, by the name that JSON and YAML use."""

from search_space.scores.additive import Additive
from search_space.scores.cosine import Cosine
from search_space.scores.dot import Dot
from search_space.scores.interface import Score
from search_space.scores.scaled_dot import ScaledDot

SCORES: dict[str, type[Score]] = {cls.name: cls for cls in (ScaledDot, Dot, Cosine, Additive)}

__all__ = ["SCORES", "Additive", "Cosine", "Dot", "ScaledDot", "Score"]

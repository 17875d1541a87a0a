"""The patterns the language knows, by the name that JSON and YAML use."""

from search_space.patterns.dense import Dense
from search_space.patterns.sliding_window import SlidingWindow

AnyPattern = Dense | SlidingWindow

PATTERNS: dict[str, type[AnyPattern]] = {cls.name: cls for cls in (Dense, SlidingWindow)}

__all__ = ["PATTERNS", "AnyPattern", "Dense", "SlidingWindow"]

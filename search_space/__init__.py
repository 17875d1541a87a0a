"""What may be built: layers, designs, their counts, and the spaces a search samples."""

from search_space.design import Design
from search_space.errors import ConfigError, DesignError, Problem
from search_space.heads import Heads
from search_space.layer import LayerDesign
from search_space.patterns import PATTERNS, AnyPattern, Dense, SlidingWindow
from search_space.positions import POSITIONS, AnyPosition, Rotary
from search_space.presets import PRESETS, Preset, preset

__all__ = [
    "PATTERNS",
    "POSITIONS",
    "PRESETS",
    "AnyPattern",
    "AnyPosition",
    "ConfigError",
    "Dense",
    "Design",
    "DesignError",
    "Heads",
    "LayerDesign",
    "Preset",
    "Problem",
    "Rotary",
    "SlidingWindow",
    "preset",
]

"""What may be built: layers, designs, their counts, and the spaces a search samples."""

from search_space.design import Design
from search_space.errors import ConfigError, DesignError, Problem
from search_space.heads import Heads
from search_space.layer import LayerDesign
from search_space.overrides import apply_override
from search_space.patterns import PATTERNS, AnyPattern, Dense, SlidingWindow
from search_space.positions import POSITIONS, AnyPosition, Rotary
from search_space.presets import PRESETS, Preset, preset
from search_space.sampling import Structure
from search_space.sizes import Size
from search_space.space import Space, load_space
from search_space.space_config import SpaceConfig, SpaceFile
from search_space.strict_yaml import Document, load_yaml, parse_yaml
from search_space.validation import validate
from search_space.words import in_words

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
    "Document",
    "Heads",
    "LayerDesign",
    "Preset",
    "Problem",
    "Rotary",
    "Size",
    "SlidingWindow",
    "Space",
    "SpaceConfig",
    "SpaceFile",
    "Structure",
    "apply_override",
    "in_words",
    "load_space",
    "load_yaml",
    "parse_yaml",
    "preset",
    "validate",
]

"""What may be built: layers, designs, their counts, and the spaces a search samples."""

from search_space.design import Design
from search_space.errors import ConfigError, DesignError, Problem
from search_space.gates import GATES, Gate, HeadGate, NoGate
from search_space.heads import Heads
from search_space.layer import LayerDesign, Part, Split
from search_space.overrides import apply_override
from search_space.patterns import (
    KINDS,
    PATTERNS,
    BigBird,
    BlockLocal,
    Dense,
    DilatedWindow,
    GatedLinear,
    GlobalWindow,
    Hierarchical,
    Kind,
    Linear,
    LowRank,
    Pattern,
    SinkWindow,
    SlidingWindow,
    Strided,
)
from search_space.positions import POSITIONS, Alibi, NoPosition, Position, Rotary
from search_space.presets import DEFAULT_PRESETS, PRESETS, Preset, preset
from search_space.scores import SCORES, Additive, Cosine, Dot, ScaledDot, Score
from search_space.sharing import SHARINGS, LatentKV, OneTensor, OwnKV, ReusedKV, Sharing
from search_space.sizes import Size
from search_space.space import Space, load_space
from search_space.space_config import SpaceConfig, SpaceFile
from search_space.strict_yaml import Document, load_yaml, parse_yaml
from search_space.structure import Structure
from search_space.validation import validate
from search_space.words import in_words

__all__ = [
    "DEFAULT_PRESETS",
    "Additive",
    "Alibi",
    "BigBird",
    "BlockLocal",
    "ConfigError",
    "Cosine",
    "Dense",
    "Design",
    "DesignError",
    "DilatedWindow",
    "Document",
    "Dot",
    "GATES",
    "Gate",
    "GatedLinear",
    "GlobalWindow",
    "HeadGate",
    "Heads",
    "Hierarchical",
    "KINDS",
    "Kind",
    "LatentKV",
    "LayerDesign",
    "Linear",
    "LowRank",
    "NoGate",
    "NoPosition",
    "OneTensor",
    "OwnKV",
    "PATTERNS",
    "POSITIONS",
    "PRESETS",
    "Part",
    "Pattern",
    "Position",
    "Preset",
    "Problem",
    "ReusedKV",
    "Rotary",
    "SCORES",
    "SHARINGS",
    "ScaledDot",
    "Score",
    "Sharing",
    "SinkWindow",
    "Size",
    "SlidingWindow",
    "Space",
    "SpaceConfig",
    "SpaceFile",
    "Split",
    "Strided",
    "Structure",
    "apply_override",
    "in_words",
    "load_space",
    "load_yaml",
    "parse_yaml",
    "preset",
    "validate",
]

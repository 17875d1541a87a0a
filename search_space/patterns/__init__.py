"""The patterns the language knows, by the name that JSON and YAML use."""

from search_space.patterns.big_bird import BigBird
from search_space.patterns.block_local import BlockLocal
from search_space.patterns.dense import Dense
from search_space.patterns.dilated_window import DilatedWindow
from search_space.patterns.gated_linear import GatedLinear
from search_space.patterns.global_window import GlobalWindow
from search_space.patterns.hierarchical import Hierarchical
from search_space.patterns.interface import KINDS, Kind, Pattern
from search_space.patterns.linear import Linear
from search_space.patterns.low_rank import LowRank
from search_space.patterns.sink_window import SinkWindow
from search_space.patterns.sliding_window import SlidingWindow
from search_space.patterns.strided import Strided

PATTERNS: dict[str, type[Pattern]] = {
    cls.name: cls
    for cls in (
        Dense,
        SlidingWindow,
        DilatedWindow,
        BlockLocal,
        Strided,
        SinkWindow,
        GlobalWindow,
        BigBird,
        Hierarchical,
        Linear,
        GatedLinear,
        LowRank,
    )
}

__all__ = [
    "KINDS",
    "PATTERNS",
    "BigBird",
    "BlockLocal",
    "Dense",
    "DilatedWindow",
    "GatedLinear",
    "GlobalWindow",
    "Hierarchical",
    "Kind",
    "Linear",
    "LowRank",
    "Pattern",
    "SinkWindow",
    "SlidingWindow",
    "Strided",
]

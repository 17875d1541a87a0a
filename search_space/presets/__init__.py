"""The hand-designed points that users know, at any width, depth and context."""

from search_space.presets.preset import Preset
from search_space.presets.registry import DEFAULT_PRESETS, PRESETS, preset

__all__ = ["DEFAULT_PRESETS", "PRESETS", "Preset", "preset"]

"""How a layer knows positions, by the name that JSON and YAML use."""

from search_space.positions.alibi import Alibi
from search_space.positions.interface import Position
from search_space.positions.none import NoPosition
from search_space.positions.rotary import Rotary

POSITIONS: dict[str, type[Position]] = {cls.name: cls for cls in (Rotary, Alibi, NoPosition)}

__all__ = ["POSITIONS", "Alibi", "NoPosition", "Position", "Rotary"]

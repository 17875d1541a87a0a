"""Axes: named choices in a fixed order, some of them per layer, and a point of them as codes.

A code is the position of a value in its axis. Layers beyond the depth are inactive and have code 0
in every axis, so that equal functions have equal candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

from controller.candidates import Candidate
from search_space import Design, DesignError, Heads, LayerDesign
from search_space.axis_config import Value

Codes = list[int]

# Every point of a foreign space carries this design; its coordinates are the settings.
PLACEHOLDER = Design(8, 8, (LayerDesign(Heads.multi(1, dim=8)),))


class Axes:
    """Which values there are, where layers have theirs, and which layers are active."""

    def __init__(
        self,
        shared: Mapping[str, Sequence[Value]],
        families: Mapping[str, Sequence[Value]],
        depth: str | int,
    ) -> None:
        self.depth_name = depth if isinstance(depth, str) else None
        depths = self._depths(shared, families, depth)
        deepest = max(depths, default=0) if families else 0
        named = {name: ordered(values) for name, values in shared.items()}
        names = {f: [f"{f}.{i:02d}" for i in range(deepest)] for f in families}
        for family, values in families.items():
            named |= dict.fromkeys(names[family], ordered(values))
        self.names = sorted(named)
        self.values = [named[name] for name in self.names]
        self.counts = [len(values) for values in self.values]
        at = {name: i for i, name in enumerate(self.names)}
        self.shared = [at[name] for name in sorted(shared)]
        self.families = {f: [at[name] for name in names[f]] for f in sorted(families)}
        self.depth_at = None if self.depth_name is None else at[self.depth_name]
        self.depths = tuple(depths)  # number of active layers by code of the depth axis
        self.deepest = deepest
        self._pairs = [
            [(n, v) for v in own] for n, own in zip(self.names, self.values, strict=True)
        ]
        self._codes = [{pair: code for code, pair in enumerate(own)} for own in self._pairs]

    def _depths(
        self,
        shared: Mapping[str, Sequence[Value]],
        families: Mapping[str, Sequence[Value]],
        depth: str | int,
    ) -> list[int]:
        if isinstance(depth, int):
            return [depth]
        if depth not in shared or not families:
            raise ValueError(
                f"the depth axis must be a shared axis of a space with layers, but got {depth!r} "
                f"with shared axes {', '.join(shared)}; name one of these or give a whole number"
            )
        return [int(value) for value in ordered(shared[depth])]

    def depth(self, codes: Codes) -> int:
        """Number of active layers."""
        return self.depths[0 if self.depth_at is None else codes[self.depth_at]]

    def active(self, depth: int) -> list[int]:
        """Positions of the axes that count at this depth."""
        return self.shared + [at for own in self.families.values() for at in own[:depth]]

    def settle(self, codes: Codes) -> Codes:
        """The same codes with inactive layers at 0, in place."""
        depth = self.depth(codes)
        if depth < self.deepest:
            for own in self.families.values():
                for at in own[depth:]:
                    codes[at] = 0
        return codes

    def at_depth(self, codes: Codes, code: int) -> Codes:
        """The point at another depth: each layer like the one at its relative height."""
        assert self.depth_at is not None
        old, new = self.depth(codes), self.depths[code]
        moved = list(codes)
        moved[self.depth_at] = code
        for own in self.families.values():
            for i in range(new):
                moved[own[i]] = codes[own[i * old // new]]
        return self.settle(moved)

    def with_code(self, codes: Codes, at: int, code: int) -> Codes:
        """The point with one axis at another code."""
        if at == self.depth_at:
            return self.at_depth(codes, code)
        return [*codes[:at], code, *codes[at + 1 :]]

    def candidate(self, codes: Codes) -> Candidate:
        """What strategies handle."""
        pairs = [own[code] for own, code in zip(self._pairs, codes, strict=True)]
        return Candidate(PLACEHOLDER, tuple(pairs))

    def codes(self, candidate: Candidate) -> Codes:
        """The codes of a candidate of this space; the nearest ones for one from outside."""
        try:
            pairs = zip(self._codes, candidate.settings, strict=True)
            return [own[pair] for own, pair in pairs]
        except (KeyError, ValueError):
            return self.nearest(dict(candidate.settings))

    def nearest(self, values: Mapping[str, Value]) -> Codes:
        """The codes of these values, missing ones at 0 and numbers at the nearest there is."""
        codes = [
            self._nearest(name, own, values[name]) if name in values else 0
            for name, own in zip(self.names, self.values, strict=True)
        ]
        return self.settle(codes)

    def _nearest(self, name: str, own: tuple[Value, ...], value: Value) -> int:
        if value in own:
            return own.index(value)
        if isinstance(value, str) or not is_ordered(own):
            allowed = ", ".join(map(repr, own))
            raise DesignError(f"{name} must be one of {allowed}, but got {value!r}")
        return min(range(len(own)), key=lambda code: abs(float(own[code]) - value))

    def distinct(self) -> list[int]:
        """Number of distinct points at each depth."""
        free = prod(self.counts[at] for at in self.shared if at != self.depth_at)
        layer = prod(self.counts[own[0]] for own in self.families.values() if own)
        return [free * layer**depth for depth in self.depths]

    def all(self) -> Iterator[Codes]:
        """Every distinct point once, shallow ones first."""
        for code, depth in enumerate(self.depths):
            ranges = [range(1)] * len(self.names)
            for at in self.active(depth):
                ranges[at] = range(self.counts[at])
            if self.depth_at is not None:
                ranges[self.depth_at] = range(code, code + 1)
            for codes in product(*ranges):
                yield list(codes)


def ordered(values: Sequence[Value]) -> tuple[Value, ...]:
    """Numbers from small to large; texts as they come."""
    if not values or len(set(values)) < len(values):
        raise ValueError(f"an axis needs distinct values, but got {list(values)}")
    return tuple(sorted(values, key=float)) if is_ordered(values) else tuple(values)


def is_ordered(values: Sequence[Value]) -> bool:
    """Whether some values are nearer to each other than others: numbers are, texts are not."""
    return not any(isinstance(value, str) for value in values)

"""Candidate: what a strategy proposes, a design together with the settings it is trained under.

Where a space has no settings, a candidate is its design: no number is drawn beside those of the
space, and the keys are the designs' own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import product

import numpy as np

from results import Ask, TrialRow
from search_space import Design, DesignError, Size, Space
from search_space.axis_config import Value
from search_space.encoding import Column, Vectors, columns_of
from search_space.moves import pick

Settings = tuple[tuple[str, Value], ...]  # by name, sorted

SETTING_MOVES = 0.5  # share of mutations that change a setting and leave the design
NEAR = 0.7  # of those, share that go to a neighbouring value; as for the axes of a layer
DRAWS, MOVES = 100, 20  # tries before one that is not allowed is let through
MOST_COUNTED = 20_000  # designs whose costs are remembered
JUDGED = 300  # draws that show whether trying is of use
RARE = 0.02  # share of uniform draws that are allowed, below which structured ones are taken


class Candidate:
    """A design and its settings; none for a preset trained under settings that the space lacks.

    One that comes from a run's log has its design as text until it is asked for, and its key.
    """

    __slots__ = ("_design", "_key", "_text", "settings")

    def __init__(self, design: Design, settings: Settings = ()) -> None:
        self.settings = settings
        self._design: Design | None = design
        self._text = self._key = ""

    @classmethod
    def of(cls, stored: Ask | TrialRow) -> Candidate:
        """The candidate of an ask or of a row."""
        candidate = cls.__new__(cls)
        candidate.settings = settings_of(stored.settings)
        candidate._design, candidate._text, candidate._key = None, stored.design, stored.key
        return candidate

    @property
    def design(self) -> Design:
        """What is trained."""
        if self._design is None:
            self._design = Design.from_json(self._text)
        return self._design

    @property
    def key(self) -> str:
        """16 hex digits, equal for candidates whose trials differ in seed and noise alone."""
        if not self._key:
            both = f"{self.design.key} {self.settings_json}"
            key = hashlib.sha256(both.encode()).hexdigest()[:16]
            self._key = key if self.settings else self.design.key
        return self._key

    @property
    def settings_json(self) -> str | None:
        """The settings as one JSON object, None where there are none."""
        return json.dumps(dict(self.settings), sort_keys=True) if self.settings else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Candidate) and (
            (self.settings, self.design) == (other.settings, other.design)
        )

    def __hash__(self) -> int:
        return hash((self.design, self.settings))

    def __repr__(self) -> str:
        return f"Candidate({self.design!r}, {self.settings!r})"


def settings_of(text: str | None) -> Settings:
    """The settings that `Candidate.settings_json` wrote."""
    return tuple(sorted(json.loads(text).items())) if text else ()


class CandidateSpace:
    """The candidates of a space: its designs, each under every combination of settings.

    Those whose known costs are not `allowed` are left out. Where hardly any is allowed, a draw or
    a move gives up and returns one that is not, for the evaluator to refuse.
    """

    def __init__(
        self,
        space: Space,
        known: Callable[[Design], Mapping[str, float]] | None = None,
        allowed: Callable[[Mapping[str, float]], bool] | None = None,
    ) -> None:
        self.space, self._known, self._allowed = space, known, allowed
        self._counted: dict[Design, Mapping[str, float]] = {}
        self.axes: Mapping[str, tuple[Value, ...]] = dict(sorted(space.settings.items()))
        self._varying = [name for name, values in self.axes.items() if len(values) > 1]

    def sample(self, rng: np.random.Generator) -> Candidate:
        """Drawn uniformly over the distinct legal ones.

        Where hardly any of them is allowed, a move from a structured one that is.
        """
        if not self._is_rare:
            return self._with_drawn(self._tried(lambda: self.space.sample(rng), DRAWS), rng)
        return self.mutate(self.sample_structured(rng), rng)

    def sample_structured(self, rng: np.random.Generator) -> Candidate:
        """A design with repeated layers, under settings drawn uniformly."""
        return self._with_drawn(self._tried(lambda: self.space.sample_structured(rng), DRAWS), rng)

    def mutate(self, candidate: Candidate, rng: np.random.Generator) -> Candidate:
        """Another one near this one: the design moved, or one setting changed."""
        settings = self._completed(candidate.settings, rng)
        if self._varying and rng.random() < SETTING_MOVES:
            return self._with_moved_setting(candidate.design, settings, rng)
        try:
            moved = self._tried(lambda: self.space.mutate(candidate.design, rng), MOVES)
            return Candidate(moved, settings)
        except DesignError:  # a space of one design has no other to move to
            if not self._varying:
                raise
            return self._with_moved_setting(candidate.design, settings, rng)

    def cross(self, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate:
        """A design made of parts of two, each setting from either."""
        design = self._tried(lambda: self.space.cross(a.design, b.design, rng), MOVES)
        both = (self._completed(a.settings, rng), self._completed(b.settings, rng))
        drawn = tuple(pair[int(rng.integers(2))] for pair in zip(*both, strict=True))
        return Candidate(design, drawn)

    def size(self) -> Size:
        """Number of distinct legal candidates, not allowed ones included."""
        size = self.space.size()
        return Size(size.count * self.combinations, size.exact, size.relative_error)

    @property
    def combinations(self) -> int:
        """Of settings, for each design."""
        return math.prod(len(values) for values in self.axes.values())

    def enumerate(self) -> Iterator[Candidate]:
        """Every distinct legal candidate once; for small spaces."""
        for design in filter(self._may_be, self.space.enumerate()):
            for values in product(*self.axes.values()):
                yield Candidate(design, tuple(zip(self.axes, values, strict=True)))

    def neighbours(self, candidate: Candidate) -> Iterator[Candidate]:
        """Every distinct one a step away in its design or in one setting."""
        settings = dict(self._completed(candidate.settings, np.random.default_rng(0)))
        for design in filter(self._may_be, self.space.neighbours(candidate.design)):
            yield Candidate(design, tuple(settings.items()))
        for name in self._varying:
            for value in self.axes[name]:
                if value != settings[name]:
                    yield Candidate(candidate.design, tuple((settings | {name: value}).items()))

    @property
    def groups(self) -> Sequence[str]:
        """For each column of `encode`, the axis that it belongs to."""
        return [*self.space.encoding.groups, *(column.axis for column in self._columns)]

    def encode(self, candidates: Sequence[Candidate]) -> Vectors:
        """Designs as `Space.encoding` has them, then settings; a half where there is none."""
        designs = self.space.encoding.encode([c.design for c in candidates])
        return np.hstack([designs, self._encoded_settings(candidates)])

    def _encoded_settings(self, candidates: Sequence[Candidate]) -> Vectors:
        settings = [dict(candidate.settings) for candidate in candidates]
        rows = [[column.of(values) for column in self._columns] for values in settings]
        return np.array(rows).reshape(len(candidates), len(self._columns))

    @cached_property
    def _columns(self) -> list[Column]:
        return columns_of([{name: v} for name, values in self.axes.items() for v in values])

    def known(self, candidate: Candidate) -> Mapping[str, float]:
        """What counting says of the design; no setting is part of it."""
        return self._costs(candidate.design)

    @property
    def choices(self) -> Mapping[str, tuple[Value, ...]]:
        """The variables of the space, then the settings that vary."""
        return self.space.variables.choices | {name: self.axes[name] for name in self._varying}

    def of_values(self, values: Mapping[str, Value]) -> Candidate:
        """The candidate of these values, or the nearest that the space has."""
        settings = tuple((name, values.get(name, own[0])) for name, own in self.axes.items())
        return Candidate(self.space.variables.design_of(values), settings)

    def values_of(self, candidate: Candidate) -> dict[str, Value]:
        """A value for every choice."""
        values = self.space.variables.values_of(candidate.design)
        settings = dict(candidate.settings)
        return values | {n: settings.get(n, self.axes[n][0]) for n in self._varying}

    def allowed(self, candidate: Candidate) -> bool:
        """Whether nothing known forbids it."""
        return self._may_be(candidate.design)

    def _may_be(self, design: Design) -> bool:
        return self._allowed is None or self._allowed(self._costs(design))

    def _costs(self, design: Design) -> Mapping[str, float]:
        """What is known of a design, counted once."""
        if design not in self._counted:
            if len(self._counted) > MOST_COUNTED:
                self._counted.clear()
            self._counted[design] = {} if self._known is None else self._known(design)
        return self._counted[design]

    def _tried(self, draw: Callable[[], Design], tries: int) -> Design:
        """The first draw that may be, or the last one."""
        for _ in range(tries - 1 if self._allowed and not self._is_hopeless else 0):
            design = draw()
            if self._may_be(design):
                return design
        return draw()

    @cached_property
    def _is_rare(self) -> bool:
        """Whether uniform draws are hardly ever allowed; by draws of their own."""
        if self._allowed is None or self._is_hopeless:
            return False
        rng = np.random.default_rng(0)
        allowed = sum(self._may_be(self.space.sample(rng)) for _ in range(JUDGED))
        return allowed < RARE * JUDGED

    @cached_property
    def _is_hopeless(self) -> bool:
        """Whether not even a structured draw is ever allowed."""
        if self._allowed is None:
            return False
        rng = np.random.default_rng(1)
        return not any(self._may_be(self.space.sample_structured(rng)) for _ in range(JUDGED))

    def _with_drawn(self, design: Design, rng: np.random.Generator) -> Candidate:
        return Candidate(design, self._completed((), rng))

    def _completed(self, settings: Settings, rng: np.random.Generator) -> Settings:
        """A value for every axis: a preset has none, so its children draw theirs."""
        given = dict(settings)
        return tuple(
            (name, given[name] if given.get(name) in values else pick(values, rng))
            for name, values in self.axes.items()
        )

    def _with_moved_setting(
        self, design: Design, settings: Settings, rng: np.random.Generator
    ) -> Candidate:
        """One setting at another value, mostly the next one where values have an order."""
        name = pick(self._varying, rng)
        values, old = self.axes[name], dict(settings)[name]
        others = tuple(value for value in values if value != old)
        near = _neighbours(values, old)
        if near and rng.random() < NEAR:
            others = near
        new = dict(settings) | {name: pick(others, rng)}
        return Candidate(self.space.nearest(design), tuple(new.items()))


def _neighbours(values: tuple[Value, ...], value: Value) -> tuple[Value, ...]:
    """The next smaller and the next larger number; none among texts."""
    if any(isinstance(v, str) for v in values):
        return ()
    ordered: list[Value] = sorted(values, key=float)
    at = ordered.index(value)
    return (*ordered[max(0, at - 1) : at], *ordered[at + 1 : at + 2])

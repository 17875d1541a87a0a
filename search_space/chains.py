"""Chains: sequences of layers in which some lean on an earlier one, counted and drawn exactly.

A chain has a list of options for each position. An independent option is always allowed and
becomes the anchor; a leaning one (keys reused, weights tied) is allowed where it suits the anchor.
With W(i, a) ways to go on from position i behind anchor a, F(i) = sum over independent options o of
W(i + 1, o), and d(i, a) leaning options that suit a: W(i, a) = F(i) + d(i, a) W(i + 1, a).
Anchors with equal d at every position are counted together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import numpy as np

Layers = tuple[int, ...]  # layers by their numbers in a stack
Takers = Callable[[int], Layers]  # the leaning ones among some options that suit an anchor
Class = tuple[int, ...]  # of an anchor: how many leaning options of each list suit it


class Chain:
    """All legal sequences over some lists of options, one list per position."""

    def __init__(
        self,
        lists: Sequence[Layers],
        independent: Callable[[int], bool],
        takers_among: Callable[[Layers], Takers],
    ) -> None:
        kinds: dict[int, Layers] = {id(options): options for options in lists}
        column = {of: i for i, of in enumerate(kinds)}
        self._columns = [column[id(options)] for options in lists]
        self._takers = [takers_among(options) for options in kinds.values()]
        free = [[o for o in options if independent(o)] for options in kinds.values()]
        self._class_of: dict[int, Class] = {
            anchor: tuple(len(takers(anchor)) for takers in self._takers)
            for anchor in dict.fromkeys(o for options in free for o in options)
        }
        self._by_class: list[dict[Class, list[int]]] = [{} for _ in kinds]
        for members, options in zip(self._by_class, free, strict=True):
            for option in options:
                members.setdefault(self._class_of[option], []).append(option)
        self._count()
        self._shares: dict[int, tuple[list[Class], list[float]]] = {}

    def _count(self) -> None:
        """W and F of the formula, from the last position to the first."""
        ways = [dict.fromkeys(set(self._class_of.values()), 1)]
        free: list[int] = []
        for column in reversed(self._columns):
            after = ways[-1]
            own = self._by_class[column]
            fresh = sum(len(members) * after[c] for c, members in own.items())
            free.append(fresh)
            ways.append({c: fresh + c[column] * after[c] for c in after})
        self._ways, self._free = ways[::-1], free[::-1]

    @property
    def total(self) -> int:
        """Number of sequences; the first position has no anchor."""
        return self._free[0]

    def draw(self, rng: np.random.Generator) -> Layers:
        """A sequence, uniformly."""
        chances = rng.random((len(self._columns), 2)).tolist()
        picked: list[int] = []
        anchor: int | None = None
        for i, (chance, which) in enumerate(chances):
            column, fresh = self._columns[i], 1.0
            if anchor is not None and self._class_of[anchor][column]:
                fresh = self._free[i] / self._ways[i][self._class_of[anchor]]
            if anchor is not None and chance >= fresh:
                takers = self._takers[column](anchor)
                picked.append(takers[int(which * len(takers))])
                continue
            names, shares = self._class_shares(i)
            picked_class = names[bisect_right(shares, chance / fresh, hi=len(shares) - 1)]
            members = self._by_class[column][picked_class]
            anchor = members[int(which * len(members))]
            picked.append(anchor)
        return tuple(picked)

    def _class_shares(self, i: int) -> tuple[list[Class], list[float]]:
        """Classes of the next anchor at position i, and their shares summed up to each."""
        if i not in self._shares:
            after, own = self._ways[i + 1], self._by_class[self._columns[i]]
            weights = [len(members) * after[c] for c, members in own.items()]
            total = sum(weights)
            self._shares[i] = list(own), [part / total for part in accumulate(weights)]
        return self._shares[i]

    def every(self) -> Iterator[Layers]:
        """Every sequence, in a fixed order."""
        walks = [self._choices(0, None)]  # one per layer chosen so far, and one for the next
        picked: list[int] = []
        while walks:
            chosen = next(walks[-1], None)
            if chosen is None:
                walks.pop()
                if picked:
                    picked.pop()
            elif len(walks) == len(self._columns):
                yield (*picked, chosen[0])
            else:
                picked.append(chosen[0])
                walks.append(self._choices(len(picked), chosen[1]))

    def _choices(self, i: int, anchor: int | None) -> Iterator[tuple[int, int]]:
        """Layers that may come at position i, and the anchor after each."""
        for members in self._by_class[self._columns[i]].values():
            yield from ((option, option) for option in members)
        if anchor is not None:
            yield from ((option, anchor) for option in self._takers[self._columns[i]](anchor))

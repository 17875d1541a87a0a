"""Preset gains: what was found against the presets, as figures and as sentences."""

from __future__ import annotations

from dataclasses import dataclass

from results.comparison import Difference, Name


@dataclass(frozen=True, slots=True)
class PresetGain:
    """What was found against one preset."""

    preset: str
    trial: int  # the preset's first
    beaten_by: tuple[int, ...]  # trials: those that add first, then by what they are ahead of it
    best: tuple[Difference, ...]  # of the first of them against the preset; empty if there is none

    def in_words(self, name: Name = str) -> str:
        """`trial 12 against gqa: accuracy +0.031 (0.010 to 0.052), kv_cache_bytes × 0.50`."""
        if not self.best:
            return f"no found design beats {self.preset}"
        figures = ", ".join(each.in_words(name) for each in self.best)
        return f"trial {self.beaten_by[0]} against {self.preset}: {figures}"


@dataclass(frozen=True, slots=True)
class PresetComparison:
    """What was found against all presets, the strongest first."""

    gains: tuple[PresetGain, ...]  # one per preset
    found: int  # designs that were compared
    fresh: bool  # whether they count by seeds that did not pick them
    adding: tuple[int, ...]  # trials of designs that add to the presets, as `beaten_by` has them
    first: tuple[Difference, ...]  # the first of them against the strongest preset
    reason: str | None = None  # why nothing can be said

    @property
    def gained(self) -> bool:
        """Whether any design is a trade-off that, beyond noise, no preset offers."""
        return bool(self.adding)

    def sentences(self, name: Name = str) -> list[str]:
        """What comes of it, for people: at most two."""
        if self.reason is not None:
            return [f"Nothing can be said of the search against the presets: {self.reason}."]
        again = "trained again" if self.fresh else "of one training, in part lucky"
        found = f"{self.found} found design{'' if self.found == 1 else 's'} compared, {again}"
        if not self.gained:
            return [f"Against the presets the search gained nothing beyond noise ({found})."]
        figures = ", ".join(each.in_words(name) for each in self.first)
        count = len(self.adding)
        offered = "a trade-off" if count == 1 else f"{count} trade-offs"
        added = (
            f"The search found {offered} that no preset offers ({found}); "
            f"trial {self.adding[0]} against {self.gains[0].preset}, the "
            f"strongest preset: {figures}."
        )
        return [added, self._beaten()]

    def _beaten(self) -> str:
        """Which presets, and by what; `mha, gqa by trial 12; mqa by trial 14`."""
        by: dict[int, list[str]] = {}
        for gain in self.gains:
            # What beats one preset and adds nothing is what another preset does as well.
            if gain.beaten_by and gain.beaten_by[0] in self.adding:
                by.setdefault(gain.beaten_by[0], []).append(gain.preset)
        if not by:
            return "No preset is beaten outright."
        count = f"{sum(map(len, by.values()))} of {len(self.gains)}"
        named = "; ".join(f"{', '.join(presets)} by trial {trial}" for trial, presets in by.items())
        return f"{count} presets are beaten outright: {named}."

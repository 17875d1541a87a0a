"""Origins: who proposed a design.

A row's origin is one of `preset:NAME`, `given:...`, `strategy:NAME`, `random`, `warm:RUN` and
`finalist`, several joined by commas where they agree on the design. Presets and given designs are
people's; `warm:RUN` is a design that an earlier run found, which is neither a person's nor shows
what this search or chance can do; a finalist is a design of the front under another seed, which
nobody proposed anew.
"""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt
import pandas as pd

PRESET, STRATEGY, RANDOM, FINALIST = "preset:", "strategy:", "random", "finalist"
WARM = "warm:"


def preset_names(origin: str) -> list[str]:
    """`mha` for `preset:mha`; nothing for other origins."""
    return [o.removeprefix(PRESET) for o in origin.split(", ") if o.startswith(PRESET)]


def is_from(frame: pd.DataFrame, *origins: str) -> npt.NDArray[np.bool_]:
    """Which rows have an origin that begins so; there are few origins, each is looked at once."""
    codes, names = pd.factorize(frame["origin"].astype(str))
    wanted = [any(part.startswith(origins) for part in str(name).split(", ")) for name in names]
    return np.array([*wanted, False], dtype=bool)[codes]


def keys_from(frame: pd.DataFrame, *origins: str) -> set[Hashable]:
    """The designs of which a row has an origin that begins so."""
    return set(frame["key"][is_from(frame, *origins)])


def names_of_presets(frame: pd.DataFrame) -> dict[Hashable, str]:
    """The names of each preset's design by key, joined where presets are the same design."""
    rows = frame[is_from(frame, PRESET)].drop_duplicates(["key", "origin"])
    named: dict[Hashable, list[str]] = {}
    for key, origin in zip(rows["key"], rows["origin"].astype(str), strict=True):
        for name in preset_names(origin):
            if name not in named.setdefault(key, []):
                named[key].append(name)
    return {key: ", ".join(names) for key, names in named.items()}

"""Origins: who proposed a design.

A row's origin is one of `preset:NAME`, `given:...`, `strategy:NAME`, `random`, `warm:RUN` and
`finalist`, several joined by commas where they agree on the design. Presets and given designs are
people's; `warm:RUN` is a design that an earlier run found, which is neither a person's nor shows
what this search or chance can do; a finalist is a design of the front under another seed, which
nobody proposed anew.
"""

from __future__ import annotations

import pandas as pd

PRESET, STRATEGY, RANDOM, FINALIST = "preset:", "strategy:", "random", "finalist"
WARM = "warm:"


def preset_names(origin: str) -> list[str]:
    """`mha` for `preset:mha`; nothing for other origins."""
    return [o.removeprefix(PRESET) for o in origin.split(", ") if o.startswith(PRESET)]


def keys_from(frame: pd.DataFrame, *origins: str) -> set[str]:
    """The designs of which a row has an origin that begins so."""
    named = frame["origin"].astype(str).str.split(", ").explode().str.startswith(origins)
    return set(frame["key"][named.groupby(level=0).any()])


def names_of_presets(frame: pd.DataFrame) -> dict[str, str]:
    """The names of each preset's design by key, joined where presets are the same design."""
    rows = frame.drop_duplicates(["key", "origin"])
    named: dict[str, list[str]] = {}
    for key, origin in zip(rows["key"], rows["origin"].astype(str), strict=True):
        for name in preset_names(origin):
            if name not in named.setdefault(key, []):
                named[key].append(name)
    return {key: ", ".join(names) for key, names in named.items()}

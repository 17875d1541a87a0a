"""Time series of several channels with a class each, from a .ts file.

The format of the UEA archive: Bagnall et al. 2018, arXiv:1811.00075. A header of lines that start
with @, then one item a line: channels between colons, numbers between commas, the class at the end.

Shapes: N series, L frames of one series, F features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evaluator.sources.paths import bytes_of, decoded

Frames = npt.NDArray[np.float32]


class Series(NamedTuple):
    """One item."""

    frames: Frames  # (L, F)
    label: str


def read_series(file: str) -> list[Series]:
    """The file's items; ValueError, one sentence with file and line, for what can't be read."""
    items: list[Series] = []
    in_data = False
    for number, line in enumerate(decoded(bytes_of(file), file).splitlines(), 1):
        text = line.strip()
        if not text or text[0] in "#%":
            continue
        if not in_data:
            _check_header(text, f"{file}, line {number}")
            in_data = text.lower() == "@data"
            continue
        items.append(_item(text, f"{file}, line {number}"))
        if items[-1].frames.shape[1] != items[0].frames.shape[1]:
            raise ValueError(
                f"{file}, line {number} has {items[-1].frames.shape[1]} channels, but the first "
                f"item has {items[0].frames.shape[1]}; give all items the same channels"
            )
    if not items:
        raise ValueError(f"{file} holds no series behind a line `@data`; add some, one a line")
    return items


def _check_header(text: str, place: str) -> None:
    if not text.startswith("@"):
        raise ValueError(f"{place} is in the header but does not start with @; check the format")
    if text.lower().split() == ["@timestamps", "true"]:
        raise ValueError(f"{place} says that frames carry times; write a file of plain values")


def _item(text: str, place: str) -> Series:
    *channels, label = text.split(":")
    if not channels or not label.strip():
        raise ValueError(f"{place} has no class behind its last colon; add it")
    try:
        rows = [np.array(channel.split(","), dtype=np.float32) for channel in channels]
    except ValueError as error:
        raise ValueError(f"{place} has a value that is no number ({error}); mend it") from None
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"{place} has channels of different lengths; make them equal")
    frames = np.stack(rows, axis=1)  # (L, F)
    if not np.isfinite(frames).all():
        raise ValueError(f"{place} has a value that is not finite; mend it or leave the item out")
    return Series(frames, label.strip())

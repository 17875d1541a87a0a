"""Searches through power cuts, failing disks and dying workers, one story after another.

    python benchmarks/soak.py [--minutes 10] [--seed 0]

Every story is a whole search of 40 trials on a real folder with simulated time, told by its seed.
It ends with every trial accounted for, every acknowledged row once, and every choice equal to that
of a search which was told the same events; the first one that does not is named by its seed, and
`--seed N --stories 1` tells it again.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from controller.config import SearchConfig
from controller.rungs import RungsConfig
from controller.simulation.counted_problem import counted_problem
from controller.simulation.soak import Soak

KINDS = ({"strategy": "random"}, {"strategy": "evolution"}, {"strategy": "nsga2"})


def config_of(seed: int) -> SearchConfig:
    """Every third story has rungs."""
    rungs = {"rungs": RungsConfig().model_dump()} if seed % 3 == 0 else {}
    search = {"presets": [], "finalists": 4, "trials": 40, "seed": seed}
    return SearchConfig.model_validate(search | KINDS[seed % len(KINDS)] | rungs)


def main() -> None:
    """Stories until the time is over."""
    parser = argparse.ArgumentParser(description="Searches whose disk, power and workers fail.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the first story")
    parser.add_argument("--stories", type=int, help="at most")
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    problem, told = counted_problem(), Counter[str]()
    for seed in itertools.count(arguments.seed):
        if time.monotonic() > end or told["stories"] == arguments.stories:
            break
        with tempfile.TemporaryDirectory(prefix="attnas-soak-") as folder:
            try:
                story = Soak(seed, Path(folder), problem, config_of(seed)).live()
            except Exception as error:
                sys.exit(f"story {seed}: {type(error).__name__}: {error}")
        told += Counter(
            stories=1,
            sessions=story.sessions + 1,
            rows=len(story.acknowledged),
            deaths=story.deaths,
            errors=story.errors,
            cuts=story.power_cuts,
        )
    print(
        f"{told['stories']} stories of {told['sessions']} sessions: {told['cuts']} power cuts, "
        f"{told['errors']} sessions ended by an error, {told['deaths']} dead workers; "
        f"{told['rows']} rows acknowledged, none lost, none doubled, every choice as replayed"
    )


if __name__ == "__main__":
    main()

"""Hostile YAML documents in bulk: what came of them, the slowest, and every fault found.

    python benchmarks/hostile_yaml.py [--documents 10000] [--seed 0] [--slow 1] [--json]

Document i of a kind is drawn from the seed, the kind and i, so a fault can be looked at alone:
`--only plausible:0:69` prints that document and what comes of it.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # where the documents are made

from hostile_documents import KINDS, judge  # pyright: ignore[reportMissingImports]

LIMIT_SECONDS = 30  # for one document; then it counts as a fault


class TooSlow(BaseException):
    """Not an Exception, so that no handler on the way takes it."""


@dataclass(frozen=True)
class Result:
    """One document."""

    name: str  # kind:seed:number
    outcome: str
    faults: list[str]
    read_seconds: float
    sample_seconds: float


def document(name: str) -> str:
    """The text that a name stands for."""
    return KINDS[name.split(":")[0]](Random(name))


def result(name: str) -> Result:
    """Judge one document, within the limit."""
    text = document(name)
    signal.alarm(LIMIT_SECONDS)
    try:
        verdict = judge(text)
    except TooSlow:
        return Result(name, "too slow", [f"took over {LIMIT_SECONDS} s"], 0, LIMIT_SECONDS)
    finally:
        signal.alarm(0)
    if verdict.read_seconds > 1:
        verdict.faults.append(f"took {verdict.read_seconds:.1f} s to read")
    return Result(
        name, verdict.outcome, verdict.faults, verdict.read_seconds, verdict.sample_seconds
    )


def too_slow(signum: int, frame: object) -> None:
    """End the document that runs."""
    raise TooSlow


def report(results: list[Result], slow: float) -> str:
    """For people: counts, the slowest, faults."""
    counted = Counter((found.name.split(":")[0], found.outcome) for found in results)
    lines = [f"{kind} {outcome}: {number}" for (kind, outcome), number in sorted(counted.items())]
    read = max(results, key=lambda found: found.read_seconds)
    drawn = max(results, key=lambda found: found.sample_seconds)
    lines.append(f"slowest to read: {1000 * read.read_seconds:.0f} ms, {read.name}")
    lines.append(f"slowest to draw from: {drawn.sample_seconds:.1f} s, {drawn.name}")
    over = sorted(results, key=lambda found: -found.sample_seconds)
    names = [found.name for found in over if found.sample_seconds > slow]
    lines.append(f"drawn from in over {slow:g} s: {len(names)} {' '.join(names[:8])}".rstrip())
    faults = [f"{found.name}: {fault}" for found in results for fault in found.faults]
    return "\n".join([*lines, f"faults: {len(faults)}", *faults])


def main() -> None:
    """Judge documents of every kind in turn."""
    parser = argparse.ArgumentParser(description="hostile YAML documents in bulk")
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=float, default=1, help="seconds; slower spaces are listed")
    parser.add_argument("--only", help="the name of one document, to print it")
    parser.add_argument("--json", action="store_true", help="results for programs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, too_slow)
    if arguments.only:
        print(document(arguments.only))
        print(result(arguments.only))
        return
    kinds = list(KINDS)
    names = [f"{kinds[i % 3]}:{arguments.seed}:{i}" for i in range(arguments.documents)]
    results = [result(name) for name in names]
    if arguments.json:
        print(json.dumps([vars(found) for found in results]))
    else:
        print(report(results, arguments.slow))
    sys.exit(any(found.faults for found in results))


if __name__ == "__main__":
    main()

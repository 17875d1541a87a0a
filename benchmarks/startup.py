"""Seconds until `attnas --help` has printed, over a bare Python start, medians of fresh processes.

python benchmarks/startup.py [--runs 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Alternate help and a bare interpreter; print medians and their ratio."""
    parser = argparse.ArgumentParser(description="time of attnas --help")
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    call = [
        sys.executable,
        "-c",
        "import sys; sys.argv = ['attnas', '--help']\nfrom attnas.cli import main; main()",
    ]
    bare = [sys.executable, "-c", "pass"]
    seconds(call)
    pairs = [(seconds(call), seconds(bare)) for _ in range(runs)]
    helped, empty = (statistics.median(values) for values in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"attnas --help {helped:.3f} s, bare Python {empty:.3f} s, ratio {ratio:.1f} ({runs} pairs)"
    )


if __name__ == "__main__":
    main()

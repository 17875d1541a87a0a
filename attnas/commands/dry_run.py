"""search --dry-run: what would happen, what it would cost, and how sure that is; nothing starts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from attnas.commands.figures import size
from controller import load_config
from controller.forecast import Forecast, Range, forecast
from controller.rung_forecast import FORETOLD
from evaluator.memory_limit import memory_limit
from search_space import Space


def say_what_would_happen(config: Path, overrides: list[str], name: str | None) -> None:
    """Try the parts of a search for some seconds, and print what they add up to."""
    loaded = load_config(config, overrides)
    space = Space.from_config(loaded.space)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    with Console(stderr=True).status("trying the parts of a trial for some seconds"):
        found = forecast(loaded, space)
    for heading, text in lines(found):
        console.print(f"{heading:9} {text}")
    for warning in [*space.warnings(), *filter(None, [found.plan.warning()])]:
        console.print(f"warning: {warning}")
    console.print(f"nothing was started; to start it:  {command(config, overrides, name)}")


def command(config: Path, overrides: list[str], name: str | None) -> str:
    """What to type to really start."""
    words = ["attnas", "search", str(config), *(["--name", name] if name else [])]
    return shlex.join([*words, *(word for given in overrides for word in ("--set", given))])


def lines(found: Forecast) -> Iterator[tuple[str, str]]:
    """The forecast for people, a heading before each line."""
    config, plan = found.config, found.plan
    yield "trials", f"{config.search.trials}: {plan.describe()}, by {config.search.strategy}"
    for sentence in found.warm:
        yield "begins", sentence
    yield "rungs", rungs(found)
    yield "training", training(found)
    yield "time", whole_time(found)
    for part, draws in found.parts.items():
        yield "", f"  {part}: {spelled_range(Range.of(draws))}"
    cores, (kept, largest) = found.core_hours, found.disk_bytes
    disk = f"{size(kept)} on disk" + (f" ({size(largest)} on the way)" if largest > kept else "")
    uncut = ""
    if found.cut_short:
        uncut = "; tokens, FLOPs and disk are of all trials, if none is cut off"
    yield (
        "cost",
        f"{cores.low:.2g} to {cores.high:.2g} core hours, {found.tokens:,.0f} training tokens, "
        f"{found.flops:.2g} training FLOPs, {disk}{uncut}",
    )
    peak, limit = found.timings.peak_bytes, memory_limit()
    yield (
        "memory",
        f"{size(peak)} of tensors at the peak of the dearest preset, for each of "
        f"{config.workers} worker(s); this machine has {size(limit)}",
    )
    tokens = "" if found.reach else "tokens, "  # rungs make them a guess
    yield "known", f"trials, {tokens}FLOPs of the timed designs, peak bytes of tensors"
    yield "timed", timed(found)
    yield "guessed", guessed(found)
    yield "wrong if", wrong_if(found)


def rungs(found: Forecast) -> str:
    """What rungs save, or that there are none."""
    reach = found.reach
    if reach is None:
        return "none: every trial is trained to its end"
    at = ", ".join(
        f"{share:.0%} of the training: {middle:.0f} ({low:.0f} to {high:.0f})"
        for share, low, middle, high in zip(
            reach.shares, reach.least, reach.middle, reach.most, strict=True
        )
    )
    whole, each = found.config.search.trials, found.tokens_a_trial
    share = float(np.median(found.trainings)) / whole
    return (
        f"trials that reach {at}; {share:.0%} of the {whole * each:,.0f} training tokens that it "
        f"takes without rungs"
    )


def training(found: Forecast) -> str:
    """What a trial learns from."""
    folds = found.config.training.folds
    crossed = f" in each of {folds} folds" if folds > 1 else ""
    return (
        f"{found.steps:,} steps of {found.task.tokens_per_step():,} tokens a trial{crossed}, "
        f"{found.tokens:,.0f} tokens in all"
    )


def whole_time(found: Forecast) -> str:
    """The interval first; a point is what nobody can know."""
    s, minutes = found.seconds, found.config.search.minutes
    limit = ""
    if minutes is not None:
        limit = (
            f"; no trial starts after {minutes:g} minutes, which end the search before its trials "
            f"do with a chance of {found.cut_short:.0%}"
        )
    return (
        f"{spelled(s.low)} to {spelled(s.high)} in all on {found.config.workers} worker(s), in 9 "
        f"of 10 cases; {spelled(s.middle)} in the middle{limit}"
    )


def timed(found: Forecast) -> str:
    """What the seconds rest on."""
    timings = found.timings
    steps = [1000 * one.mean_s for one in timings.all]
    names = ", ".join(one.name for one in timings.presets)
    return (
        f"steps of {names} and {len(timings.drawn)} drawn designs, {min(steps):.3g} to "
        f"{max(steps):.3g} ms each, which a second pass changed by {timings.noise:.0%}; scoring "
        f"({timings.scoring_s:.2g} s), counting memory ({timings.counting_s:.2g} s), a pair of "
        f"samples of each measured cell; {timings.took_s:.0f} s in all"
    )


def guessed(found: Forecast) -> str:
    """What no trying can tell, with the numbers that are used."""
    low, high = found.measuring_s
    load, crowded = found.load, found.crowded
    parts = [
        f"how busy the machine will be against now, at a load of {found.timings.load:.1f} "
        f"({load[0]:.2g} to {load[1]:.2g} of these times)",
        f"when latencies settle ({spelled(low)} to {spelled(high)} of measuring, one design at a "
        f"time whatever the workers)",
        "how long workers take to start",
    ]
    if found.config.workers > 1:
        parts.insert(1, f"what workers take from each other ({crowded[0]:.2g} to {crowded[1]:.2g})")
    if found.reach:
        parts.append(
            f"how well a rung foretells the end (correlations of {FORETOLD[0]:g} to "
            f"{FORETOLD[-1]:g}), and with it the training tokens"
        )
    return "; ".join(parts)


def wrong_if(found: Forecast) -> str:
    """What would make it another search."""
    parts = [
        "the search comes to prefer designs much dearer or cheaper than those timed",
        "other programs come or go",
        "trials diverge or break a limit, which ends them early",
    ]
    if found.config.space.settings:
        parts.append("steps or batches that are settings are not at their mean on average")
    return "; ".join(parts)


def spelled_range(s: Range) -> str:
    """Both ends."""
    return f"{spelled(s.low)} to {spelled(s.high)}"


def spelled(seconds: float) -> str:
    """To two digits or so: 0.4 s, 45 s, 4 min 10 s, 3.2 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 600:
        minutes, rest = divmod(10 * round(seconds / 10), 60)
        return f"{minutes} min {rest} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"

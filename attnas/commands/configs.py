"""init, validate and presets: what there is to start from, and whether it holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from attnas.failures import UsageError
from attnas.starters import STARTERS, starter_text
from controller import CandidateSpace, load_config, planned
from controller.config import RunConfig, json_schema
from controller.cost import estimated_cost
from search_space import (
    PRESETS,
    ConfigError,
    Space,
    SpaceFile,
    apply_override,
    counts,
    in_words,
    load_yaml,
    validate,
)
from search_space.validation import or_list

SAMPLES = 200  # designs that the counts' ranges are read from


def init_config(task: str, to: Path) -> None:
    """Write the starter for a task to a new file."""
    if task not in STARTERS:
        raise UsageError(f"there is no starter {task!r}; the starters are {', '.join(STARTERS)}")
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(starter_text(task))
    except FileExistsError:
        raise UsageError(f"{to} exists; choose another file with --to") from None
    except OSError as error:
        raise UsageError(f"{to} can't be written ({error.strerror}); choose another") from None
    print(f"wrote {to}\nnext: attnas validate {to}\n      attnas search {to}")


def validate_config(path: Path, overrides: list[str], as_json: bool) -> None:
    """Every error with its line, or the space's size, an example, ranges and warnings.

    A file with a space and nothing else is checked as a space, whether it can be trained or not.
    """
    document = load_yaml(path)
    for override in overrides:
        document = apply_override(document, override)
    alone = isinstance(document.data, dict) and list(document.data) == ["space"]
    if alone:
        config, untrained = None, None
        space = Space.from_config(validate(SpaceFile, document).space)
        try:
            config = load_config(path, overrides)
        except ConfigError as error:
            own = [problem for problem in error.problems if "`space.settings" in problem.message]
            if own:
                raise ConfigError(own) from None
            untrained = error.problems[0].message
    else:
        config, untrained = load_config(path, overrides), None
        space = Space.from_config(config.space)
    longest = max(int(c) for c in space.size_axes[1].values)
    measured = max(config.measuring.lengths(config.space.kind)) if config else longest
    facts = _space_facts(space, measured)
    if config:
        facts |= _plan_facts(space, config)
    if as_json:
        hidden = ("words", "size_in_words", "plan_in_words", "cost_in_words")
        plain = {name: value for name, value in facts.items() if name not in hidden}
        print(json.dumps({"valid": True, **plain, "untrained": untrained}, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(f"{path} is valid")
    console.print(f"space: {facts['size_in_words']}")
    if space.settings:
        axes = "; ".join(f"{name}: {or_list(values)}" for name, values in space.settings.items())
        ways = CandidateSpace(space).combinations
        console.print(f"settings: {axes} ({ways:,} combinations for each design)")
    console.print(f"example: {facts['words']}")
    for name, (low, high) in facts["ranges"].items():
        console.print(f"{name}: {low:,} to {high:,} over {SAMPLES} samples")
    if config:
        console.print(f"search: {facts['plan_in_words']}, by {config.search.strategy}")
        console.print(f"cost: {facts['cost_in_words']}")
    for warning in facts["warnings"]:
        console.print(f"warning: {warning}")
    if untrained:
        console.print(f"to search it as it is: {untrained}")


def _space_facts(space: Space, length: int) -> dict[str, Any]:
    """Size, an example and the ranges of counts at a length."""
    rng = np.random.default_rng(0)
    designs = [space.sample(rng) for _ in range(SAMPLES)]
    counted = {
        "parameters without embeddings": [counts.parameters(d, 0) for d in designs],
        f"KV-cache bytes at {length}": [counts.kv_cache_bytes(d, length) for d in designs],
        f"prefill FLOPs at {length}": [counts.prefill_flops(d, length, 0) for d in designs],
    }
    if space.config.kind == "encoder":
        del counted[f"KV-cache bytes at {length}"]  # it keeps none
    size = space.size()
    return {
        "size": size.count,
        "size_is_exact": size.exact,
        "size_in_words": str(size),
        "settings": {name: list(values) for name, values in space.settings.items()},
        "example": json.loads(designs[0].to_json()),
        "words": in_words(designs[0]),
        "ranges": {name: [min(values), max(values)] for name, values in counted.items()},
        "warnings": space.warnings(),
    }


def _plan_facts(space: Space, config: RunConfig) -> dict[str, Any]:
    """How the budget would be spent, and what that costs."""
    plan, cost = planned(space, config), estimated_cost(config, space)
    warning = plan.warning()
    return {
        "plan": asdict(plan),
        "plan_in_words": plan.describe(),
        "estimated_minutes": cost.minutes,
        "cost_in_words": cost.describe(),
        "warnings": [*space.warnings(), *([warning] if warning else [])],
    }


def list_presets(as_json: bool) -> None:
    """The presets with the kinds of model they exist for and their sources."""
    if as_json:
        plain = [
            {"name": p.name, "what": p.what, "kinds": list(p.kinds), "source": p.source}
            for p in PRESETS.values()
        ]
        print(json.dumps(plain, indent=2))
        return
    table = Table("preset", "what", "models", "source", box=None, pad_edge=False)
    for preset in PRESETS.values():
        table.add_row(preset.name, preset.what, ", ".join(preset.kinds), preset.source)
    Console(highlight=False).print(table)


def print_schema() -> None:
    """The JSON schema of a configuration, for editors."""
    print(json.dumps(json_schema(), indent=2))

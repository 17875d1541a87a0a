"""init, validate and presets: what there is to start from, and whether it holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from attnas.failures import UsageError
from attnas.starters import STARTERS, starter_text
from controller import load_config, planned
from controller.config import json_schema
from controller.cost import estimated_cost
from search_space import PRESETS, Space, counts, in_words

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
    """Every error with its line, or the space's size, an example, ranges and warnings."""
    config = load_config(path, overrides)
    space = Space.from_config(config.space)
    rng = np.random.default_rng(0)
    designs = [space.sample(rng) for _ in range(SAMPLES)]
    longest = config.measuring.longest
    ranges = {
        "parameters without embeddings": [counts.parameters(d, 0) for d in designs],
        f"KV-cache bytes at {longest}": [counts.kv_cache_bytes(d, longest) for d in designs],
        f"prefill FLOPs at {longest}": [counts.prefill_flops(d, longest, 0) for d in designs],
    }
    size, warnings, plan = space.size(), space.warnings(), planned(space, config)
    if warning := plan.warning():
        warnings = [*warnings, warning]
    cost = estimated_cost(config, space)
    if as_json:
        summary = {
            "valid": True,
            "size": size.count,
            "size_is_exact": size.exact,
            "example": json.loads(designs[0].to_json()),
            "ranges": {name: [min(values), max(values)] for name, values in ranges.items()},
            "plan": asdict(plan),
            "estimated_minutes": cost.minutes,
            "warnings": warnings,
        }
        print(json.dumps(summary, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{path} is valid")
    console.print(f"space: {size}")
    console.print(f"example: {in_words(designs[0])}")
    for name, values in ranges.items():
        console.print(f"{name}: {min(values):,} to {max(values):,} over {SAMPLES} samples")
    console.print(f"search: {plan.describe()}, by {config.search.strategy}")
    console.print(f"cost: {cost.describe()}")
    for warning in warnings:
        console.print(f"warning: {warning}")


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

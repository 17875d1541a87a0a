"""maps: look inside a trained trial, the attention weights of each head on chosen inputs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from attnas.failures import UsageError
from attnas.readings import Reading, task_readings, text_reading
from controller.parents import parent_of
from evaluator.attention_maps import AttentionMap, attention_maps
from evaluator.head_summaries import head_summaries
from evaluator.inherit import Parent
from evaluator.model import AnyModel, model_of
from results import Run, RunError, find_run, read_run
from results.maps import HeadMap, write_maps
from search_space import Design, Hierarchical

RUNS = Path("runs")
HEADINGS = {
    "layer": "layer",
    "head": "head",
    "pattern": "pattern",
    "entropy_bits": "entropy",
    "distance_tokens": "distance",
    "first_share": "first 4",
    "own_share": "itself",
    "previous_share": "previous",
    "word": "in a word",
}
LEGEND = (
    "entropy in bits and distance in tokens are means over the queries; the shares are of the "
    "weight on the first 4 tokens, on the query's own and on the one before"
)
WORDS = ("pattern", "word")  # columns that hold no number


def map_trial(
    name: str, trial: int, text: str | None, sample: int | None, length: int, as_json: bool
) -> None:
    """Write the maps of a trial beside its run, and print what each head does."""
    if text is not None and sample is not None:
        raise UsageError("--text and --sample are two inputs; give one of them")
    run = read_run(find_run(name, RUNS, weights=True))
    parent = parent_of(run, trial)
    torch.set_num_threads(1)
    model = _trained(run, trial, parent)
    most, same_data = min(length, parent.design.context), True
    if text is None:
        readings, same_data = task_readings(run, parent.symbols, sample or 1, most)
    elif parent.design.kind == "encoder-decoder":
        raise UsageError("--text is one sequence, but this model reads two; use --sample")
    else:
        readings = [text_reading(text, parent.symbols, most, run)]
    heads = [head for reading in readings for head in heads_on(reading, parent.design, model)]
    path = write_maps(run.path, trial, heads)
    remarks = list(_remarks(run, readings, same_data))
    if as_json:
        plain = {
            "run": str(run.path),
            "trial": trial,
            "file": str(path),
            "remarks": remarks,
            "heads": [head.to_plain() for head in heads],
        }
        print(json.dumps(plain, indent=2))
        return
    _print(heads, remarks)
    print(f"wrote {path} ({path.stat().st_size / 1024:,.0f} KiB)")


def _trained(run: Run, trial: int, parent: Parent) -> AnyModel:
    """The trial's model as it was measured."""
    features = parent.weights.get("model.embed_features.weight")
    channels = 0 if features is None else features.shape[1]
    model = model_of(parent.design, len(parent.symbols), channels)
    try:
        model.load_state_dict(dict(parent.weights))
    except RuntimeError as error:
        raise RunError(
            f"the weights of trial {trial} of {run.path} don't suit its design; the run may be of "
            "another version of attnas"
        ) from error
    return model


def heads_on(reading: Reading, design: Design, model: AnyModel) -> Iterator[HeadMap]:
    """Every head's map and figures on one input."""
    for found in attention_maps(design, model, reading.inputs, reading.source):
        of_source = design.kind == "encoder-decoder" and found.layer.kind != "causal"
        looked_at = reading.source_symbols if of_source else reading.symbols
        asking = reading.source_symbols if found.layer.kind == "bidirectional" else reading.symbols
        asking = asking or reading.symbols  # an encoder alone has no source
        columns = [*([] if found.has_slots else looked_at), *_more_columns(found)]
        heads = zip(head_summaries(found), found.weights, strict=True)
        for head, (summary, weights) in enumerate(heads, found.first_head + 1):
            yield HeadMap(
                input=reading.name,
                layer=found.index + 1,
                head=head,
                kind=found.layer.kind,
                pattern=found.pattern.describe(),
                signed=found.signed,
                tokens=0 if found.has_slots else found.tokens,
                query_symbols=asking,
                column_symbols=columns,
                weights=weights.half().numpy(),
                **asdict(summary),
            )


def _more_columns(found: AttentionMap) -> list[str]:
    """What the columns behind the tokens are."""
    count = found.weights.shape[2]
    if found.has_slots:
        return [f"slot {number}" for number in range(count)]
    if not isinstance(found.pattern, Hierarchical):
        return []
    block = found.pattern.block
    starts = range(0, block * (count - found.tokens), block)
    return [f"mean of {start} to {start + block - 1}" for start in starts]


def _remarks(run: Run, readings: Sequence[Reading], same_data: bool) -> Iterator[str]:
    """What to know about the inputs, a sentence each."""
    if not same_data:
        yield (
            f"the task's data changed since {run.path} started: these are not the sequences that "
            "the trial was scored on"
        )
    for reading in readings:
        if reading.left_out:
            read = max(len(reading.symbols), len(reading.source_symbols))
            yield f"{reading.name}: the first {read:,} of {read + reading.left_out:,} positions"


def _print(heads: Sequence[HeadMap], remarks: Sequence[str]) -> None:
    """One table per input, one line per head."""
    console = Console(highlight=False, markup=False)
    signed = any(head.signed for head in heads)
    for name in dict.fromkeys(head.input for head in heads):
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for key, heading in HEADINGS.items():
            table.add_column(heading, justify="left" if key in WORDS else "right")
        own = [head for head in heads if head.input == name]
        for head in own:
            table.add_row(*(_cell(getattr(head, key), key) for key in HEADINGS))
        console.print(f"{name} ({len(own[0].query_symbols):,} positions)")
        console.print(table)
        console.print()
    for remark in (*remarks, LEGEND):
        console.print(remark, soft_wrap=True)
    if signed:
        console.print("weights of gated linear layers have signs: shares are of their sizes")


def _cell(value: object, key: str) -> str:
    """Counts as they are, shares in percent, other figures to two decimals."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0%}" if key.endswith("share") else f"{value:.2f}"
    return str(value)

"""Attention: the Designs page's section on what each head of a trained trial looks at."""

from __future__ import annotations

from typing import TypeVar

import pandas as pd
import streamlit as st

from dashboard.charts import attention_chart
from dashboard.draw import draw
from dashboard.frames.map_cells import head_table, map_cells
from dashboard.loading import Loaded, open_heads, open_map
from dashboard.look import palette
from dashboard.messages import show_command
from dashboard.view import View
from results import RunError

Option = TypeVar("Option", int, str)

FIGURES = (
    "Entropy in bits and distance in tokens are means over the queries; the shares are of the "
    "weight on the first 4 tokens, on the query's own and on the one before."
)


def show_attention(loaded: Loaded, trial: int, view: View, layer: int | None = None) -> None:
    """Maps where `attnas maps` wrote them; else how to. A layer selected elsewhere is shown."""
    path = loaded.run.path
    st.subheader("Attention maps", anchor=False)
    try:
        heads = open_heads(path, trial)
        if heads is None:
            show_command(
                f"attnas maps {view.name} {trial}", "To see what each head looks at, type:"
            )
            return
        _follow(trial, heads, layer)
        _maps(loaded, trial, heads)
    except RunError as error:
        st.text(str(error))


def _follow(trial: int, heads: pd.DataFrame, layer: int | None) -> None:
    """Turn to the layer that was selected since; afterwards any may be chosen."""
    seen = f"map_followed_{trial}"
    if st.session_state.get(seen) != layer:
        st.session_state[seen] = layer
        if layer in set(heads["layer"]):
            st.session_state[f"map_layer_{trial}"] = layer


def _maps(loaded: Loaded, trial: int, heads: pd.DataFrame) -> None:
    """One head's map beside the figures of all."""
    first, second, third = st.columns(3, gap="medium")
    with first:
        inputs = list(dict.fromkeys(heads["input"]))
        of = _one_of("Input", inputs, f"map_input_{trial}", inputs)
        heads = heads[heads["input"] == of]
    with second:
        layers = [int(layer) for layer in dict.fromkeys(heads["layer"])]
        layer = _one_of("Layer", layers, f"map_layer_{trial}", [_named(heads, n) for n in layers])
        own = heads[heads["layer"] == layer]
    with third:
        words = [f", {word}" if word else "" for word in own["word"]]
        numbers = [int(head) for head in own["head"]]
        named = [f"{head}{word}" for head, word in zip(numbers, words, strict=True)]
        head = _one_of("Head", numbers, f"map_head_{trial}_{layer}", named)
    left, right = st.columns([1, 1], gap="medium")
    with left:
        _map(loaded, trial, of, layer, head)
    with right:
        _figures(heads)


def _figures(heads: pd.DataFrame) -> None:
    """What every head does on one input."""
    table = head_table(heads)
    st.dataframe(
        table,
        hide_index=True,
        height=min(35 * (len(table) + 1) + 3, 388),
        column_config={
            column: st.column_config.NumberColumn(format="%.0f%%" if share else "%.2f")
            for column, share in _formats(table)
        },
        alt="The figures of every head on this input.",
    )
    st.caption(FIGURES)


def _map(loaded: Loaded, trial: int, of: str, layer: int, head: int) -> None:
    """The heatmap of one head, and what its cells are."""
    found = open_map(loaded.run.path, trial, of, layer, head)
    drawn = map_cells(found)
    draw(
        attention_chart(drawn, found.signed, palette()),
        width="content",
        key="attention",
        alt=f"The attention weights of layer {layer}, head {head}.",
    )
    said = []
    if drawn.queries_each > 1:
        said.append(
            f"A cell is {drawn.queries_each} queries by {drawn.columns_each} columns: weights are "
            "averaged over the queries and summed over the columns."
        )
    if found.signed:
        said.append("Gated linear attention has weights of either sign, which don't sum to 1.")
    if found.tokens == 0:
        said.append("Low-rank attention looks at learned mixtures of all tokens, its slots.")
    elif found.tokens < len(found.column_symbols):
        said.append(f"Columns from {found.tokens:,} on are the means of blocks.")
    st.caption(" ".join([*said, "Colours go by the root of the weight."]))


def _one_of(label: str, options: list[Option], key: str, named: list[str]) -> Option:
    """The chosen one; `named` is what each is called."""
    names = dict(zip(options, named, strict=True))
    return st.selectbox(label, options, key=key, format_func=lambda option: names[option])


def _named(heads: pd.DataFrame, layer: int) -> str:
    """`2: window 8 and dense`, and the kind of attention where there are several."""
    own = heads[heads["layer"] == layer]
    kinds = "" if heads["kind"].nunique() == 1 else f"{own['kind'].iloc[0]}, "
    return f"{layer}: {kinds}{' and '.join(dict.fromkeys(own['pattern']))}"


def _formats(table: pd.DataFrame) -> list[tuple[str, bool]]:
    """The columns of figures, and whether each is a share."""
    figures = table.select_dtypes("float").columns
    return [(str(column), str(column) in ("First 4", "Itself", "Previous")) for column in figures]

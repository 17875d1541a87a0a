"""Attention maps on the Designs page: cells keep every weight, and the page says what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.charts import attention_chart
from dashboard.frames.map_cells import MapCells, map_cells
from dashboard.look import DARK, LIGHT, Palette
from results import RunWriter, TrialRow
from results.maps import HeadMap, maps_path, write_maps
from search_space import preset

HOSTILE = "<script>alert(1)</script> **bold** [x](javascript:y) \u202e"


def a_map(
    queries: int, tokens: int, more: int = 0, head: int = 1, layer: int = 1, **parts: object
) -> HeadMap:
    """Random weights whose rows sum to 1."""
    weights = np.random.default_rng(queries).random((queries, tokens + more))
    plain = {
        "input": "text",
        "kind": "causal",
        "pattern": "dense",
        "signed": False,
        "entropy_bits": 2.0,
        "distance_tokens": 3.0 if tokens else None,
        "first_share": 0.25 if tokens else None,
        "own_share": 0.5 if tokens else None,
        "previous_share": 0.125 if tokens else None,
        "word": "",
        "query_symbols": [chr(97 + n % 26) for n in range(queries)],
        "column_symbols": [chr(97 + n % 26) for n in range(tokens)]
        + [f"slot {n}" for n in range(more)],
        "weights": weights / weights.sum(1, keepdims=True),
    }
    return HeadMap(layer=layer, head=head, tokens=tokens, **plain | parts)  # pyright: ignore


def painted(drawn: MapCells, shape: tuple[int, int]) -> np.ndarray:
    """The cells' weights spread evenly over the positions of each."""
    grid = np.zeros(shape)
    for cell in drawn.cells.itertuples():
        width = cell.key_end - cell.key  # pyright: ignore
        grid[cell.query : cell.query_end, cell.key : cell.key_end] = cell.weight / width  # pyright: ignore
    return grid


@pytest.mark.parametrize(("queries", "tokens", "more"), [(1, 1, 0), (30, 17, 0), (128, 128, 9)])
def test_short_maps_are_drawn_as_they_are(queries: int, tokens: int, more: int) -> None:
    found = a_map(queries, tokens, more)
    drawn = map_cells(found)
    assert (drawn.queries_each, drawn.columns_each) == (1, 1)
    np.testing.assert_allclose(painted(drawn, found.weights.shape), found.weights)


@pytest.mark.parametrize(
    ("queries", "tokens", "more"), [(129, 129, 0), (512, 512, 20), (500, 0, 9)]
)
def test_rows_of_long_maps_still_sum_to_one(queries: int, tokens: int, more: int) -> None:
    found = a_map(queries, tokens, more)
    drawn = map_cells(found)
    assert drawn.rows <= 128
    grid = painted(drawn, found.weights.shape)
    np.testing.assert_allclose(grid.sum(1), 1)
    across = slice(0, drawn.columns_each)
    block = found.weights[: drawn.queries_each, across]
    assert grid[0, across].sum() == pytest.approx(block.sum(1).mean())
    if not tokens:
        assert (drawn.columns, drawn.columns_each) == (9, 1)


def test_cells_are_spelled() -> None:
    long = map_cells(a_map(256, 256, 4)).cells
    assert long["asking"].iloc[0] == "0 to 1 'ab'"
    assert long["seen"].iloc[-1] == "slot 2 ... slot 3"
    short = map_cells(a_map(3, 3, query_symbols=["\n", HOSTILE, "Ã"])).cells
    assert list(short["asking"].unique()) == ["0 '\\n'", f"1 {HOSTILE!r}", "2 'Ã'"]


@pytest.mark.parametrize("colours", [LIGHT, DARK])
@pytest.mark.parametrize("signed", [False, True])
def test_the_chart_is_valid_and_its_cells_have_whole_pixels(colours: Palette, signed: bool) -> None:
    drawn = map_cells(a_map(60, 60, 4))
    spec = attention_chart(drawn, signed, colours).to_dict()
    assert (spec["width"], spec["height"]) == (64 * 6, 60 * 6)
    assert (spec["encoding"]["color"]["scale"]["domain"][0] < 0) == signed


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of one complete and one failed trial."""
    path = tmp_path / "runs" / "lm"
    design = preset("mha", width=64, depth=2, context=256, heads=4, dim=16)
    with RunWriter.create(
        path,
        config={},
        config_text="",
        objectives={"accuracy": "max", "kv_cache_bytes": "min"},
        provenance={},
        name="lm",
    ) as writer:
        for trial, state in enumerate(("complete", "failed")):
            row = TrialRow(
                trial=trial,
                seed=0,
                key=design.key,
                design=design.to_json(),
                origin="preset:mha",
                state=state,  # pyright: ignore
                started_at=0,
                finished_at=1,
                worker="w",
                metrics={"accuracy": 0.5, "kv_cache_bytes": 1e6} if state == "complete" else {},
            )
            writer.append(row)
    return path


def page(run: Path, trial: int = 0) -> AppTest:
    """The Designs page by itself."""

    def script(path: str) -> None:
        from pathlib import Path

        from dashboard.app_pages import designs
        from dashboard.view import View

        designs.page(View(Path(path).parent, Path(path), {}))

    app = AppTest.from_function(script, default_timeout=20, kwargs={"path": str(run)})
    app.query_params.update({"trial": str(trial)})
    return app.run()


def said(app: AppTest) -> str:
    assert not app.exception
    kinds = (app.text, app.caption, app.subheader, app.code)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def box(app: AppTest, label: str, of: str = "map") -> Any:
    """The choice called so among those whose key begins with `of`."""
    boxes = (found for found in app.selectbox if str(found.key).startswith(of))
    return next(found for found in boxes if found.label == label)


def test_without_maps_the_page_says_what_to_type(run: Path) -> None:
    assert f"attnas maps {run} 0" in said(page(run))
    assert "Attention maps" not in said(page(run, 1))


def test_every_head_on_every_input_can_be_chosen(run: Path) -> None:
    heads = [
        a_map(40, 40, input=of, layer=layer, head=head, word="broad" * (head == 2), pattern=HOSTILE)
        for of in ("text", HOSTILE)
        for layer in (1, 2)
        for head in (1, 2)
    ]
    write_maps(run, 0, [*heads[:-1], a_map(300, 0, 5, 2, 2, input=HOSTILE, pattern="low-rank 5")])
    app = page(run)
    assert box(app, "Input").options == ["text", HOSTILE]
    assert box(app, "Head").options == ["1", "2, broad"]
    assert "Colours go by the root of the weight" in said(app)
    table = next(t.value for t in app.dataframe if "In a word" in t.value)
    assert table["First 4"].tolist() == [25.0] * 4
    box(app, "Layer").select(2).run()
    box(app, "Head").select(2).run()
    box(app, "Input").select(HOSTILE).run()
    assert (box(app, "Layer").value, box(app, "Head").value) == (2, 2)
    words = said(app)
    assert "A cell is 3 queries by 1 columns" in words
    assert "its slots" in words
    assert "alert(1)" not in "".join(element.value for element in [*app.markdown, *app.caption])


def test_a_layer_that_is_selected_in_the_strip_is_the_one_whose_heads_are_shown(run: Path) -> None:
    heads = [a_map(20, 20, layer=layer, head=head) for layer in (1, 2) for head in (1, 2)]
    write_maps(run, 0, heads)
    app = page(run)
    assert box(app, "Layer").value == 1
    app.query_params["layer"] = "2"
    app.run()
    assert box(app, "Layer").value == 2
    box(app, "Layer").select(1).run()
    assert box(app, "Layer").value == 1


def test_damaged_maps_leave_the_page_standing(run: Path) -> None:
    path = maps_path(run, 0)
    path.parent.mkdir()
    path.write_bytes(b"torn")
    words = said(page(run))
    assert "trial-0.parquet is damaged" in words
    assert "All figures" in words


def test_maps_written_again_are_shown(run: Path) -> None:
    write_maps(run, 0, [a_map(20, 20, input="before")])
    app = page(run)
    write_maps(run, 0, [a_map(20, 20, input="after, longer")])
    app.run()
    assert box(app, "Input").value == "after, longer"
    assert not app.exception

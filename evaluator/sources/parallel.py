"""The user's own sentence pairs: one file with two columns, or two files line by line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evaluator.sources.tables import Row, lines, rows, text_in

TABS = (".tsv", ".tab")
JSON_LINES = (".jsonl", ".ndjson")


def parallel_pairs(
    pairs: str, targets: str | None, columns: tuple[str, str]
) -> list[tuple[str, str]]:
    """Pairs of a TSV or JSONL file, or of two text files of equally many lines.

    Lines that are empty on both sides are passed over. Raises ValueError, one sentence with file
    and line, for what can't be read as pairs.
    """
    path = Path(pairs).expanduser()
    found: Iterable[Row]
    if targets is not None:
        found = _beside(path, Path(targets).expanduser())
    elif path.suffix.lower() in TABS:
        found = _two_columns(path, columns)
    elif path.suffix.lower() in JSON_LINES:
        found = rows(path, columns)
    else:
        raise ValueError(
            f"a file of pairs must end in {', '.join(TABS + JSON_LINES)}, but got {path.name!r}; "
            "rename it, or give the file with its lines' translations as `targets`"
        )
    kept = [pair for row in found if any(pair := _pair(row, columns))]
    if not kept:
        raise ValueError(f"the file {path} holds no pairs; add some lines to it")
    return kept


def _pair(row: Row, columns: tuple[str, str]) -> tuple[str, str]:
    source, target = (
        text_in(row, column, value).decode().strip()
        for column, value in zip(columns, row.values, strict=True)
    )
    if bool(source) != bool(target):
        missing = "target" if source else "source"
        raise ValueError(
            f"a pair needs a source and a target, but {row.place} has no {missing}; add it or "
            f"take the line out"
        )
    return source, target


def _beside(sources: Path, targets: Path) -> list[Row]:
    left, right = _unbroken(sources), _unbroken(targets)
    if len(left) != len(right):
        raise ValueError(
            f"two files of pairs must have equally many lines, but {sources} has {len(left)} and "
            f"{targets} has {len(right)}; line them up"
        )
    both = enumerate(zip(left, right, strict=True), 1)
    return [Row(f"{sources} line {number}", pair) for number, pair in both]


def _two_columns(path: Path, columns: tuple[str, str]) -> list[Row]:
    """Unlike other tables in TSV, pairs may have no header, and their quotes are as written."""
    found: list[Row] = []
    for number, line in enumerate(_unbroken(path), 1):
        if not line.strip():
            continue
        cells = tuple(line.split("\t"))
        place = f"{path} line {number}"
        if len(cells) != 2:
            raise ValueError(
                f"a pair must be two columns with a tab between them, but {place} has "
                f"{len(cells)} column{'s' if len(cells) > 1 else ''}; write it as source, tab, "
                f"target"
            )
        found.append(Row(place, cells))
    return found[1:] if found and found[0].values == columns else found


def _unbroken(path: Path) -> list[str]:
    """Lines without their breaks."""
    return [line.removesuffix("\n").removesuffix("\r") for line in lines(path)]

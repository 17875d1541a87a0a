"""The user's own sentence pairs: one file with two columns, or two files line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from evaluator.sources.paths import bytes_of, decoded

Numbered = tuple[int, str, str]  # a line's number in its file, source, target

TABLES = (".tsv", ".tab")
JSON_LINES = (".jsonl", ".ndjson")


def parallel_pairs(
    pairs: str, targets: str | None, columns: tuple[str, str]
) -> list[tuple[str, str]]:
    """Pairs of a TSV or JSONL file, or of two text files of equally many lines.

    Lines that are empty on both sides are passed over. Raises ValueError, one sentence with file
    and line, for what can't be read as pairs.
    """
    path = Path(pairs).expanduser()
    if targets is not None:
        rows = _beside(path, Path(targets).expanduser())
    elif path.suffix.lower() in TABLES:
        rows = [_two_columns(path, *line) for line in _lines(path) if line[1].strip()]
        if rows and rows[0][1:] == columns:
            rows = rows[1:]  # a header
    elif path.suffix.lower() in JSON_LINES:
        rows = [_two_fields(path, *line, columns) for line in _lines(path) if line[1].strip()]
    else:
        raise ValueError(
            f"a file of pairs must end in {', '.join(TABLES + JSON_LINES)}, but got {path.name!r}; "
            "rename it, or give the file with its lines' translations as `targets`"
        )
    found = [(source.strip(), target.strip()) for _, source, target in rows]
    for (number, _, _), (source, target) in zip(rows, found, strict=True):
        if bool(source) != bool(target):
            missing = "target" if source else "source"
            raise ValueError(
                f"a pair needs a source and a target, but line {number} of {path} has no "
                f"{missing}; add it or take the line out"
            )
    kept = [pair for pair in found if pair[0]]
    if not kept:
        raise ValueError(f"the file {path} holds no pairs; add some lines to it")
    return kept


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines with their numbers, from 1; only a line feed ends one, so that two files agree."""
    text = decoded(bytes_of(str(path)), str(path))
    lines = text.removesuffix("\n").split("\n") if text else []
    return [(number, line.removesuffix("\r")) for number, line in enumerate(lines, start=1)]


def _beside(sources: Path, targets: Path) -> list[Numbered]:
    left, right = _lines(sources), _lines(targets)
    if len(left) != len(right):
        raise ValueError(
            f"two files of pairs must have equally many lines, but {sources} has {len(left)} and "
            f"{targets} has {len(right)}; line them up"
        )
    return [(number, a, b) for (number, a), (_, b) in zip(left, right, strict=True)]


def _two_columns(path: Path, number: int, line: str) -> Numbered:
    cells = line.split("\t")
    if len(cells) != 2:
        raise ValueError(
            f"a pair must be two columns with a tab between them, but line {number} of {path} has "
            f"{len(cells)} column{'s' if len(cells) > 1 else ''}; write it as source, tab, target"
        )
    return number, cells[0], cells[1]


def _two_fields(path: Path, number: int, line: str, columns: tuple[str, str]) -> Numbered:
    try:
        found: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"a line of JSONL must be one JSON object, but line {number} of {path} is not JSON "
            f"({error.msg} at character {error.pos + 1}); mend the line"
        ) from error
    if not isinstance(found, dict):
        raise ValueError(
            f"a line of JSONL must be one JSON object, but line {number} of {path} is not; write "
            f'it as {{"{columns[0]}": ..., "{columns[1]}": ...}}'
        )
    for column in columns:
        if not isinstance(found.get(column), str):
            there = ", ".join(name for name, value in found.items() if isinstance(value, str))
            raise ValueError(
                f"a pair needs its two columns, {columns[0]} and {columns[1]}, as text, but line "
                f"{number} of {path} has no {column}; name two of {there or 'its fields'} under "
                f"`columns`"
            )
    return number, found[columns[0]], found[columns[1]]

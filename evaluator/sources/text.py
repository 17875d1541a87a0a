"""Text as bytes: the interpreter's own documentation and library, or the user's own.

The user's own is any file or folder, taken as it is; a column of a table (JSONL, CSV, TSV, Parquet)
or of a folder of tables; or a data set of the Hugging Face hub.
"""

from __future__ import annotations

import importlib
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluator.sources.hub import HUB, hub_rows
from evaluator.sources.tables import Row, is_table, rows, text_in

BUILTIN = ("prose", "python", "prose+python")
BUILTIN_BYTES = 1_000_000  # of Python source; the prose is about half of that
BETWEEN_FILES = b"\n"
BETWEEN_DOCUMENTS = b"\n\n"  # rows of a table

Bytes = npt.NDArray[np.uint8]


def read_text(
    source: str, *, column: str | None = None, split: str | None = None, most: int | None = None
) -> bytes:
    """The bytes of a built-in text, of files in name order, or of a column's documents.

    At most `most` bytes, from the beginning, up to whole characters of UTF-8.
    Raises ValueError, one sentence, where there is nothing to read.
    """
    if source in BUILTIN:
        wanted = source.split("+")
        pieces = (_prose() if name == "prose" else _python() for name in wanted)
        return _joined(pieces, BETWEEN_FILES, most)
    column_or_usual = column or "text"
    if source.startswith(HUB):
        found = hub_rows(source, split or "train", column_or_usual)
        return _joined(_documents(found, column_or_usual), BETWEEN_DOCUMENTS, most)
    files = _files(source)
    if tables := _tables(source, files, column):
        found = (row for file in tables for row in rows(file, (column_or_usual,)))
        return _joined(_documents(found, column_or_usual), BETWEEN_DOCUMENTS, most)
    return _joined((_start_of(file, most) for file in files), BETWEEN_FILES, most)


def absolute_source(source: str) -> str:
    """A built-in text's or data set's name, or an existing path made absolute; else ValueError."""
    if source in BUILTIN or source.startswith(HUB):
        return source
    path = Path(source).expanduser()
    if not path.exists():
        raise ValueError(
            f"there is no text file or folder {source!r}; give an existing path or one of "
            f"{', '.join(BUILTIN)}, or {HUB}NAME for a data set of the Hugging Face hub"
        )
    return str(path.resolve())


def split_blocks(
    raw: bytes, block: int = 16_384, every: int = 10, *, whole_characters: bool = False
) -> tuple[Bytes, Bytes]:
    """Training and held-out bytes: every tenth block is held out, so both see all of the text.

    With whole characters, one of UTF-8 that two blocks share goes where it starts.
    """
    data = np.frombuffer(raw, dtype=np.uint8)
    block = max(1, min(block, len(data) // every))
    held = np.zeros(len(data), dtype=np.bool_)
    for start in range(block * (every - 1), len(data), block * every):
        ends = [start, min(start + block, len(data))]
        for i in range(2):
            while whole_characters and ends[i] < len(data) and _continues(data[ends[i]]):
                ends[i] += 1
        held[slice(*ends)] = True
    return data[~held], data[held]


def unigram_bits(counts: npt.NDArray[np.int64]) -> float:
    """Entropy of these 256 bytes' frequencies: what a model without context needs per byte."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def _files(source: str) -> list[Path]:
    """A file, or all files of a folder that are not hidden, in name order."""
    path = Path(absolute_source(source))
    if path.is_file():
        return [path]
    files = sorted(f for f in path.rglob("*") if f.is_file() and not _hidden(f, path))
    if not files:
        raise ValueError(f"the text folder {source} holds no files; add text files to it")
    return files


def _tables(source: str, files: list[Path], column: str | None) -> list[Path]:
    """The files to read a column of: none where all are to be read as they are."""
    tables = [file for file in files if is_table(file)]
    if column and not tables:
        raise ValueError(
            f"`column` names a column of a table, but {source} holds no JSONL, CSV, TSV or Parquet "
            f"file; leave out column={column}"
        )
    if column or len(tables) == len(files):
        return tables
    if parquet := [file for file in tables if file.suffix.lower() == ".parquet"]:
        raise ValueError(
            f"{source} holds {parquet[0].name} beside files that are no tables, and Parquet is no "
            f"text as it is; name the tables' text column with `column`"
        )
    return []


def _documents(found: Iterable[Row], column: str) -> Iterator[bytes]:
    """The texts of rows of one column, without those that are empty."""
    return (text for row in found if (text := text_in(row, column, row.values[0])))


def _joined(pieces: Iterable[bytes], between: bytes, most: int | None) -> bytes:
    """Pieces with something between them, until there is enough."""
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece) + len(between)
        if most is not None and size >= most + len(between):
            break
    whole = between.join(kept)
    if most is None or len(whole) <= most:
        return whole
    start = max(0, most - 3)  # a character of UTF-8 goes on for three bytes at most
    begins = np.flatnonzero(~_continues(np.frombuffer(whole[start : most + 1], dtype=np.uint8)))
    return whole[: start + int(begins[-1])] if len(begins) else whole[:most]


def _continues(data: Any) -> Any:
    """Which bytes go on with a character of UTF-8 that an earlier one began."""
    return (data & 0xC0) == 0x80


def _start_of(file: Path, most: int | None) -> bytes:
    with file.open("rb") as stream:
        return stream.read(-1 if most is None else most + 1)


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _prose() -> bytes:
    """The Python language reference and its topics: about half a megabyte of English."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return "\n\n".join(topics[name] for name in sorted(topics)).encode()


def _python() -> bytes:
    """The standard library's top-level modules in name order, up to a fixed size."""
    library = Path(sysconfig.get_path("stdlib"))
    pieces, size = [], 0
    for file in sorted(library.glob("*.py")):
        if size >= BUILTIN_BYTES:
            break
        pieces.append(file.read_bytes())
        size += len(pieces[-1])
    return b"\n".join(pieces)[:BUILTIN_BYTES]

"""Tables: rows of named columns, read one by one from JSONL, CSV, TSV and Parquet files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# The csv module's own limit, 131,072 characters, is less than a long document.
LONGEST_CELL = 2**31 - 1


class Row(NamedTuple):
    """The asked columns of a row, in the order they were asked for."""

    place: str  # such as `reviews.csv line 3`
    values: tuple[Any, ...]


def is_table(file: Path) -> bool:
    """Whether a file's name says that it is one of these."""
    return file.suffix.lower() in READERS


def rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a table; ValueError, one sentence with the line, where one can't be read."""
    return READERS[file.suffix.lower()](file, columns)


def lines(file: Path) -> Iterator[str]:
    """Lines with their breaks, of which only a line feed is one.

    Raises ValueError, one sentence, for a wrong byte with its line, and where the file can't be
    read.
    """
    try:
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise ValueError(
                        f"{file} line {number} is not UTF-8: it has the byte "
                        f"{line[error.start]:#04x}; save the file in UTF-8"
                    ) from None
    except OSError as error:
        raise ValueError(f"{file} can't be read: {error.strerror}; check the path") from None


def text_in(row: Row, column: str, value: Any) -> bytes:
    """A cell's text in UTF-8, empty where the cell is; ValueError, one sentence, otherwise."""
    if value is None:
        return b""
    if not isinstance(value, str):
        raise ValueError(
            f"{row.place} has {type(value).__name__} in column `{column}`, where a text belongs; "
            f"name another column"
        )
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"{row.place} has half of a surrogate pair in column `{column}`, which no text has; "
            f"repair the row"
        ) from None


def _json_rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(lines(file), 1):
        place = f"{file} line {number}"
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError
            deep = isinstance(error, RecursionError)
            why = "nested too deeply" if deep else getattr(error, "msg", str(error))
            raise ValueError(
                f"{place} is not JSON ({why}); write one object on each line"
            ) from None
        if not isinstance(found, dict):
            raise ValueError(
                f"{place} is {type(found).__name__}, not an object; write one object on each line"
            )
        _check_columns(columns, list(found), place)
        yield Row(place, tuple(found[column] for column in columns))


def _csv_rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    reader = csv.reader(lines(file), delimiter=delimiter, strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            place = f"{file} line {reader.line_num}"
            if not cells:
                continue
            if not header:
                header = cells
                _check_columns(columns, header, place)
                continue
            if len(cells) != len(header):
                raise ValueError(
                    f"{place} has {len(cells)} columns, but the header has {len(header)}; put "
                    f"cells that hold a delimiter or a line break in double quotes"
                )
            yield Row(place, tuple(cells[header.index(column)] for column in columns))
    except csv.Error as error:
        raise ValueError(
            f"{file} line {reader.line_num} can't be read as a table: {error}; mend its quotes"
        ) from None


def _parquet_rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa  # takes a while to import, and most searches read no table
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(file) as table:
            _check_columns(columns, table.schema_arrow.names, str(file))
            for batch in table.iter_batches(1024, columns=list(columns)):
                cells = [batch.column(name).to_pylist() for name in columns]
                for values in zip(*cells, strict=True):
                    number += 1
                    yield Row(f"{file} row {number}", values)
    except (pa.ArrowException, OSError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        raise ValueError(
            f"{file} can't be read as Parquet after row {number}: {why}; write it anew"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(
            f"{file} has text after row {number} that is not UTF-8; write it anew in UTF-8"
        ) from None


READERS: dict[str, Callable[[Path, Sequence[str]], Iterator[Row]]] = {
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    ".csv": _csv_rows,
    ".tsv": _csv_rows,
    ".parquet": _parquet_rows,
}


def _check_columns(asked: Sequence[str], found: Sequence[str], place: str) -> None:
    for column in asked:
        if column not in found:
            raise ValueError(
                f"{place} has no column `{column}`, only {', '.join(found) or 'none'}; name "
                f"the right one"
            )

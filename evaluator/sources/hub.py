"""Data sets of the Hugging Face hub by name, through the optional package `datasets`."""

from __future__ import annotations

from collections.abc import Iterator

from evaluator.sources.tables import Row

HUB = "hub:"


def hub_rows(source: str, split: str, column: str) -> Iterator[Row]:
    """A column of `hub:NAME` or `hub:NAME:CONFIGURATION`, kept by `datasets` for the next time.

    Raises ValueError, one sentence, where the package, the data set or the column is missing.
    """
    try:
        import datasets
    except ImportError:
        raise ValueError(
            f"`text: {source}` needs the package datasets, which is not installed; install it "
            f"with `pip install datasets`, or download a Parquet file and give its path"
        ) from None
    name, _, configuration = source.removeprefix(HUB).partition(":")
    try:
        found = datasets.load_dataset(name, configuration or None, split=split)
    except Exception as error:  # it has dozens, from name resolution to a server's mood
        why = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ValueError(
            f"the data set {name}, split {split}, could not be had from the Hugging Face hub "
            f"({why.rstrip('.')}); check its name and the network, or download a Parquet file "
            f"and give its path"
        ) from None
    if column not in (found.column_names or []):
        raise ValueError(
            f"the data set {name} has no column `{column}`, only "
            f"{', '.join(found.column_names or []) or 'none'}; name the right one with `column`"
        )
    for number, value in enumerate(found[column], 1):
        yield Row(f"{source} row {number}", (value,))

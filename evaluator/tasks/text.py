"""Text as bytes: the interpreter's own documentation and library, or the user's files."""

from __future__ import annotations

import importlib
import sysconfig
from pathlib import Path

import numpy as np
import numpy.typing as npt

BUILTIN = ("prose", "python", "prose+python")
BUILTIN_BYTES = 1_000_000  # of Python source; the prose is about half of that

Bytes = npt.NDArray[np.uint8]


def read_text(source: str) -> bytes:
    """The bytes of a built-in text, a file, or all files of a folder in name order.

    Raises ValueError, one sentence, where there is nothing to read.
    """
    if source in BUILTIN:
        wanted = source.split("+")
        return b"\n".join(_prose() if name == "prose" else _python() for name in wanted)
    path = Path(source).expanduser()
    if path.is_file():
        return path.read_bytes()
    absolute_source(source)
    files = sorted(f for f in path.rglob("*") if f.is_file() and not _hidden(f, path))
    if not files:
        raise ValueError(f"the text folder {source} holds no files; add text files to it")
    return b"\n".join(f.read_bytes() for f in files)


def absolute_source(source: str) -> str:
    """A built-in text's name, or an existing path made absolute; ValueError otherwise."""
    if source in BUILTIN:
        return source
    path = Path(source).expanduser()
    if not path.exists():
        raise ValueError(
            f"there is no text file or folder {source!r}; give an existing path or one of "
            f"{', '.join(BUILTIN)}"
        )
    return str(path.resolve())


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


def split_blocks(raw: bytes, block: int = 16_384, every: int = 10) -> tuple[Bytes, Bytes]:
    """Training and held-out bytes: every tenth block is held out, so both see all of the text."""
    data = np.frombuffer(raw, dtype=np.uint8)
    block = max(1, min(block, len(data) // every))
    held = (np.arange(len(data)) // block) % every == every - 1
    return data[~held], data[held]

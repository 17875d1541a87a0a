"""Paths that a person wrote in a configuration, made absolute where they are read."""

from __future__ import annotations

from pathlib import Path


def absolute_file(file: str, what: str) -> str:
    """An existing file's absolute path; ValueError, one sentence, where there is none."""
    path = Path(file).expanduser()
    if path.is_dir():
        raise ValueError(f"the {what} {file} is a folder; name a file in it")
    if not path.is_file():
        raise ValueError(f"there is no {what} {file!r}; give the path of a file that exists")
    return str(path.resolve())


def absolute_folder(folder: str, what: str) -> str:
    """An existing folder's absolute path; ValueError, one sentence, where there is none."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ValueError(f"there is no {what} {folder!r}; give the path of a folder that exists")
    return str(path.resolve())


def bytes_of(file: str) -> bytes:
    """All of a file; ValueError, one sentence, where it can't be read."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{file} can't be read: {error.strerror}; check the path") from None


def decoded(raw: bytes, file: str) -> str:
    """UTF-8 as text; ValueError, one sentence with the line, where it is in another encoding."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{file}, line {line} has the byte {raw[error.start]:#04x}; save the file in UTF-8"
        ) from None

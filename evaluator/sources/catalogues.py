"""Interface strings and their translations, from the gettext catalogues of installed packages."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import PoFileError, read_po

# What else a language's catalogues are called.
OTHER_NAMES = {"zh": ("zh_Hans", "zh_CN"), "pt": ("pt_PT",), "no": ("nb",)}


def catalogue_pairs(language: str) -> list[tuple[str, str]]:
    """Strings in the code's own language, English as a rule, with their translations.

    Each string once, in the order of the catalogues' paths; of plurals the first form. Raises
    ValueError, one sentence, where no installed package has any.
    """
    found: dict[str, str] = {}
    for name in (language, *OTHER_NAMES.get(language, ())):
        for file in _files(name):
            for source, target in _strings(_read(file)):
                found.setdefault(source, target)
    if not found:
        near = get_close_matches(language.replace("-", "_"), _languages())
        raise ValueError(
            f"no installed package has interface strings in {language!r}; "
            + (f"did you mean {' or '.join(near)}, or else " if near else "")
            + "install one that has, such as Django or Sphinx"
        )
    return list(found.items())


def _roots() -> list[Path]:
    """Folders of installed packages."""
    named = (Path(entry) for entry in sys.path)
    return [root for root in named if root.name in ("site-packages", "dist-packages")]


def _files(name: str) -> list[Path]:
    """Catalogues of a language; of a compiled one and its text, the compiled one."""
    found: dict[Path, Path] = {}
    for root in _roots():
        for suffix in (".mo", ".po"):
            for file in sorted(root.rglob(f"{name}/LC_MESSAGES/*{suffix}")):
                found.setdefault(file.with_suffix(""), file)
    return [found[stem] for stem in sorted(found)]


def _languages() -> list[str]:
    """Languages that some catalogue is in."""
    folders = (folder for root in _roots() for folder in root.rglob("LC_MESSAGES"))
    return sorted({f.parent.name for f in folders if any(f.glob("*.[mp]o"))})


def _read(file: Path) -> Catalog:
    with file.open("rb") as stream:
        try:
            if file.suffix == ".mo":
                return read_mo(stream)
            return read_po(stream, abort_invalid=True)
        except (PoFileError, OSError, ValueError, LookupError, struct.error) as error:
            raise ValueError(
                f"the gettext catalogue {file} can't be read ({error}); reinstall the package that "
                "it belongs to"
            ) from error


def _strings(catalogue: Catalog) -> Iterator[tuple[str, str]]:
    for message in catalogue:
        source, target = _first(message.id), _first(message.string)
        if source and target and not message.fuzzy:
            yield source, target


def _first(text: object) -> str:
    """A string, or the first form of a plural."""
    if isinstance(text, str):
        return text
    return str(text[0] or "") if isinstance(text, tuple | list) and text else ""

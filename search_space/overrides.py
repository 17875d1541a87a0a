"""Overrides: `key.path=value` from the command line, laid over a YAML document."""

from __future__ import annotations

import re
from typing import Any

from search_space.errors import ConfigError, Problem
from search_space.strict_yaml import Document, Location, dotted, parse_yaml, shown, value_at

DOTTED_KEYS = ("space", "settings")  # the mapping whose keys are paths themselves


def apply_override(document: Document, text: str) -> Document:
    """The document with one value replaced; `space.constraints.0.max=5` reaches into lists.

    Keys on the way that the document lacks are made, for the model's check to judge: a misspelt
    one is then refused there, with its place, like any key of the file.
    """
    place = f"--set {text}"
    path, equals, value_text = text.partition("=")
    path = re.sub(r"\[(\d+)\]", r".\1", path)  # places in sentences are written a[0].b
    names = [name.strip() for name in path.split(".")]
    if not equals or not all(names):
        message = "an override is written key.path=value, such as space.depth=6"
        raise ConfigError([Problem(message, place)])
    try:
        value = parse_yaml(value_text).data
    except ConfigError as error:
        raise ConfigError([Problem(p.message, place) for p in error.problems]) from None
    location, data = _replaced(document.data, names, value, (), place)
    touched = location[: _known_depth(document.data, location)]
    overrides = {k: v for k, v in document.overrides.items() if not _inside(k, touched)}
    lines = {k: v for k, v in document.lines.items() if not _inside(k, touched)}
    return Document(data, document.file, lines, overrides | {touched: place})


def _replaced(
    node: Any, names: list[str], value: Any, location: Location, place: str
) -> tuple[Location, Any]:
    """Where the value goes, and a copy of `node` with it there."""
    if not names:
        return location, value
    name, rest = names[0], names[1:]
    if node is None:
        node = {}
    if isinstance(node, dict):
        name, rest = _key_of(node, names, location)
        reached, child = _replaced(node.get(name), rest, value, (*location, name), place)
        return reached, {**node, name: child}
    if isinstance(node, list):
        if not name.isdecimal() or int(name) >= len(node):
            message = (
                f"`{dotted(location)}` is a list of {len(node)}, so the key after it must be "
                f"a number from 0 to {len(node) - 1}, but got {name!r}"
            )
            raise ConfigError([Problem(message, place)])
        index = int(name)
        reached, child = _replaced(node[index], rest, value, (*location, index), place)
        return reached, [*node[:index], child, *node[index + 1 :]]
    message = f"`{dotted(location)}` is {shown(node)}, so it has no key {name!r}; set it as a whole"
    raise ConfigError([Problem(message, place)])


def _key_of(node: dict[str, Any], names: list[str], location: Location) -> tuple[str, list[str]]:
    """The key of `node` that the names begin with, and the names after it."""
    for count in range(len(names), 1, -1):
        if ".".join(names[:count]) in node:
            return ".".join(names[:count]), names[count:]
    return (".".join(names), []) if location == DOTTED_KEYS else (names[0], names[1:])


def _known_depth(data: Any, location: Location) -> int:
    """How many steps of `location` replace or add something: the first new key counts."""
    for depth, step in enumerate(location, 1):
        if isinstance(data, dict) and step not in data:
            return depth
        data = value_at(data, (step,))
    return len(location)


def _inside(location: Location, top: Location) -> bool:
    return location[: len(top)] == top

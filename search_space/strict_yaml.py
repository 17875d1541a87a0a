"""YAML read strictly: one document of plain data, and the line of every part of it.

YAML 1.2's core schema without its traps: `yes`, `1:30` and `2024-01-01` are text, a key appears
once, keys are text, and tags, tabs, merge keys and directives are refused. The size of a document
is bounded, aliases counted at what they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamStartEvent,
)
from ruamel.yaml.reader import ReaderError

from search_space.errors import ConfigError, Problem

Location = tuple[str | int, ...]

MAX_CHARACTERS = 100_000  # the longest configuration we have seen has 6,000
MAX_DEPTH = 32
MAX_NODES = 20_000
MAX_DIGITS = 18  # so that every number fits 64 bits

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9][0-9_]*\.[0-9_]*|[0-9][0-9_]*(?=[eE]))([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", "+.inf", ".Inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN"), float("nan")),
}


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data with the line of each part, and the places of parts that an override set."""

    data: Any
    file: str | None = None
    lines: Mapping[Location, int] = field(default_factory=dict)
    overrides: Mapping[Location, str] = field(default_factory=dict)

    def problem(self, location: Location, message: str) -> Problem:
        """`message`, placed at the deepest known part on the way to `location`."""
        for length in range(len(location), -1, -1):
            part = location[:length]
            if part in self.overrides:
                return Problem(message, self.overrides[part])
            if part in self.lines:
                return Problem(message, self.file, self.lines[part])
        return Problem(message, self.file)


def load_yaml(path: str | Path) -> Document:
    """The document in a file; raises ConfigError with every mistake's line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem("there is no such file", str(path))]) from None
    except IsADirectoryError:
        raise ConfigError([Problem("this is a folder, not a YAML file", str(path))]) from None
    except UnicodeDecodeError as error:
        message = f"a configuration is UTF-8 text, but byte {error.start} is not; save it as UTF-8"
        raise ConfigError([Problem(message, str(path))]) from None
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise ConfigError([Problem(f"cannot read it: {reason}", str(path))]) from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, file: str | None = None) -> Document:
    """The document in `text`; `file` names it in messages."""
    if len(text) > MAX_CHARACTERS:
        message = (
            f"a configuration has at most {MAX_CHARACTERS:,} characters, but got {len(text):,}"
        )
        raise ConfigError([Problem(message, file)])
    tabs = [n for n, line in enumerate(text.split("\n"), 1) if "\t" in line]
    if tabs:
        raise ConfigError([Problem("tabs are not allowed; use spaces", file, n) for n in tabs[:20]])
    reader = _Reader(text, file)
    try:
        data = reader.document()
    except YAMLError as error:
        raise ConfigError([_syntax_problem(error, file, text)]) from None
    except ConfigError:
        raise
    except (ValueError, OverflowError):
        # ruamel.yaml 0.19 lets chr() fail on escapes such as "\U99999999"
        message = "a character escape must name a Unicode character"
        raise ConfigError([Problem(message, file, reader.line)]) from None
    if reader.problems:
        raise ConfigError(reader.problems)
    return Document(data, file, reader.lines)


def dotted(location: Location) -> str:
    """For people: `space.layer.kv_heads.choice[2]`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{named(part)}" if text else named(part)
    return text


def named(key: str) -> str:
    """A key for people: on one line, and cut where it is long."""
    return _cut(key if key.isprintable() else repr(key)[1:-1])


def quoted(text: str) -> str:
    """A text for people: in quotes, on one line, and cut where it is long."""
    return _cut(repr(text))


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:50]}..."


def value_at(data: Any, location: Location) -> Any:
    """The part of plain data at a location; None where there is none."""
    for step in location:
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data):
            data = data[step]
        else:
            return None
    return data


def shown(value: object) -> str:
    """A value for people, cut where it is long."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    return f"the text {quoted(value)}" if isinstance(value, str) else _cut(repr(value))


class _Reader:
    """Plain data out of YAML's events, collecting the mistakes one can read past."""

    def __init__(self, text: str, file: str | None) -> None:
        self.events: Iterator[Any] = iter(YAML(typ="safe", pure=True).parse(text))
        self.file = file
        self.line = 1
        self.nodes = 0
        self.lines: dict[Location, int] = {(): 1}
        self.problems: list[Problem] = []
        self.anchors: dict[str, Any] = {}

    def document(self) -> Any:
        """The only document's data; an empty stream gives None."""
        event = self.next()
        if isinstance(event, StreamStartEvent):
            event = self.next()
        if not isinstance(event, DocumentStartEvent):
            return None
        if event.version or event.tags:
            self.note("directives (lines that begin with %) are not understood; remove it")
        data = self.node(self.next(), ())
        self.next()  # the document's end
        if isinstance(self.next(), DocumentStartEvent):
            self.note("a configuration is one document, but `---` starts a second; remove it")
        return data

    def next(self) -> Any:
        event = next(self.events)
        self.line = event.start_mark.line + 1
        return event

    def note(self, message: str) -> None:
        self.problems.append(Problem(message, self.file, self.line))

    def stop(self, message: str) -> ConfigError:
        self.note(message)
        return ConfigError(self.problems)

    def node(self, event: Any, location: Location) -> Any:
        """The value that starts with `event`."""
        self.lines.setdefault(location, self.line)
        self.count(1)
        if len(location) > MAX_DEPTH:
            raise self.stop(f"a configuration nests at most {MAX_DEPTH} levels deep")
        if isinstance(event, AliasEvent):
            return self.alias(str(event.anchor))
        if event.tag is not None:
            self.note(f"tags are not understood, but got {named(str(event.tag))}; remove it")
        if isinstance(event, ScalarEvent):
            value = self.scalar(event)
        elif isinstance(event, SequenceStartEvent):
            value = self.sequence(location)
        else:
            assert isinstance(event, MappingStartEvent)
            value = self.mapping(location)
        if event.anchor is not None:
            self.anchors[str(event.anchor)] = value
        return value

    def count(self, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise self.stop(f"a configuration has at most {MAX_NODES:,} values, aliases expanded")

    def alias(self, name: str) -> Any:
        """A copy of what the anchor stands for, so that overriding one leaves the other."""
        if name not in self.anchors:
            self.note(f"`*{named(name)}` needs an anchor `&{named(name)}` before it")
            return None
        return self.copy(self.anchors[name])

    def copy(self, value: Any) -> Any:
        self.count(1)
        if isinstance(value, dict):
            return {key: self.copy(item) for key, item in value.items()}
        return [self.copy(item) for item in value] if isinstance(value, list) else value

    def sequence(self, location: Location) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self.next(), SequenceEndEvent):
            items.append(self.node(event, (*location, len(items))))
        return items

    def mapping(self, location: Location) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := self.next(), MappingEndEvent):
            line = self.line
            key = self.key(event, location)
            value_event = self.next()
            if key in items:
                where = f" in `{dotted(location)}`" if location else ""
                first = self.lines[*location, key]
                self.problems.append(
                    Problem(
                        f"`{named(key)}` appears twice{where} (first on line {first}); keep one",
                        self.file,
                        line,
                    )
                )
            else:
                self.lines[*location, key] = line
            items[key] = self.node(value_event, (*location, key))
        return items

    def key(self, event: Any, location: Location) -> str:
        """A mapping's key, which must be text; a wrong one is noted and given a stand-in."""
        line = self.line
        value = self.node(event, (*location, "?"))
        del self.lines[*location, "?"]
        if isinstance(value, str) and value != "<<":
            return value
        rule = "merge keys are not understood" if value == "<<" else "keys must be text"
        fix = "write the values out" if value == "<<" else "put it in quotes"
        self.problems.append(Problem(f"{rule}, but got {shown(value)}; {fix}", self.file, line))
        return f"?{len(self.lines)}"

    def scalar(self, event: Any) -> Any:
        """The value of a scalar: text where it is quoted, else by YAML 1.2's core schema."""
        text: str = event.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.note("a character escape must name a Unicode character, not half a pair")
            return ""
        if event.style is not None or event.tag is not None:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
            if sum(c.isalnum() for c in text) > MAX_DIGITS:
                self.note(f"a number has at most {MAX_DIGITS} digits, but got {shown(text)}")
                return 0
            return int(text.replace("_", ""), 16 if text.startswith("0x") else 10)
        if _FLOAT.fullmatch(text):
            return float(text.replace("_", ""))
        return text


def _syntax_problem(error: YAMLError, file: str | None, text: str) -> Problem:
    """The parser's complaint as one sentence with its line."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it breaks off"
    line = None if mark is None else mark.line + 1
    if isinstance(error, ReaderError):  # of a character; it knows no line
        line = text.count("\n", 0, error.position) + 1
        what = f"the character U+{error.character:04X} is not allowed"
    return Problem(f"this is not YAML: {what}; check quotes, colons and indentation", file, line)

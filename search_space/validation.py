"""Validation: a YAML document into a pydantic model, or every mistake as a sentence of ours."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from search_space.errors import ConfigError, Problem
from search_space.strict_yaml import Document, Location, dotted, shown, value_at

Model = TypeVar("Model", bound=BaseModel)

# what was expected, by pydantic's names for wrong types
_KINDS = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "path_type": "a path",
    "none_required": "left out",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}
_LENGTHS = {"too_short": ("min_length", "at least"), "too_long": ("max_length", "at most")}


def validate(model: type[Model], document: Document) -> Model:
    """The document as a `model`; raises ConfigError with all mistakes, each with its line.

    Validators see a context here, which they don't when a stored configuration is read back: what
    depends on this machine, such as whether a file exists, is theirs to ask only then.
    """
    try:
        return model.model_validate(document.data, context={"file": document.file})
    except ValidationError as error:
        raise ConfigError(list(_problems(error, model, document))) from None


def located_error(problems: Iterable[tuple[Location, str]]) -> PydanticCustomError:
    """For validators: mistakes placed relative to the value that is being validated."""
    found = list(problems)
    text = "; ".join(f"{dotted(location)}: {message}" for location, message in found)
    return PydanticCustomError("located", "{text}", {"text": text, "problems": found})


def closest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    return next(iter(difflib.get_close_matches(word, list(words), n=1, cutoff=0.6)), None)


def or_list(words: Iterable[object], last: str = "or") -> str:
    """For people: `a, b or c`."""
    texts = [str(word) for word in words]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {last} {texts[-1]}"


def _problems(
    error: ValidationError, model: type[BaseModel], document: Document
) -> Iterable[Problem]:
    """One problem per mistake: the branches of a union are one mistake, so is a misspelt key."""
    keys = _Keys(model)
    kinds: dict[Location, list[str]] = {}
    sentences: dict[tuple[Location, str], None] = {}
    misspelt: set[tuple[Location, str]] = set()
    missing: list[tuple[Location, str]] = []
    for item in error.errors(include_url=False):
        location = data_location(document.data, item["loc"])
        kind, context = item["type"], item.get("ctx", {})
        if kind == "located":
            for below, message in context["problems"]:
                sentences[(*location, *below), f"`{dotted((*location, *below))}`: {message}"] = None
        elif kind == "extra_forbidden":
            sentence, meant = _unknown_key(location, keys.at(location[:-1]))
            sentences[location, sentence] = None
            misspelt.add((location[:-1], meant or ""))
        elif kind == "missing":
            missing.append((location, str(item["loc"][-1])))
        elif kind in _KINDS:
            if _KINDS[kind] not in kinds.setdefault(location, []):
                kinds[location].append(_KINDS[kind])
        else:
            sentences[location, _sentence(location, kind, context, item)] = None
    for location, key in missing:
        if (location, key) not in misspelt:
            where = f"`{dotted(location)}`" if location else "the configuration"
            sentences[location, f"{where} needs a key `{key}`; add it"] = None
    for location, wanted in kinds.items():
        sentences[location, _wrong_kind(location, wanted, document.data)] = None
    return [document.problem(location, message) for location, message in sentences]


def _unknown_key(location: Location, known: list[str]) -> tuple[str, str | None]:
    """The sentence for a key that the model lacks, and the key that was probably meant."""
    key = str(location[-1])
    where = f"`{dotted(location[:-1])}`" if location[:-1] else "the configuration"
    meant = closest(key, known)
    fix = f"did you mean `{meant}`?" if meant else f"it knows {or_list(known) if known else 'none'}"
    return f"{where} has no key {shown(key).removeprefix('the text ')}; {fix}", meant


def _wrong_kind(location: Location, wanted: list[str], data: Any) -> str:
    value = value_at(data, location)
    where = f"`{dotted(location)}`" if location else "the configuration"
    if "a number" in wanted:
        wanted = [kind for kind in wanted if kind != "a whole number"]
    if "a finite number" in wanted:
        wanted = ["a finite number"]
    sentence = f"{where} must be {or_list(wanted)}, but got {shown(value)}"
    if "a whole number" in wanted and isinstance(value, float) and value.is_integer():
        return f"{sentence}; write {int(value)}"
    if isinstance(value, str) and any("number" in kind for kind in wanted):
        return f"{sentence}; write it without quotes or letters"
    return sentence


def _sentence(location: Location, kind: str, context: Mapping[str, Any], item: Any) -> str:
    """Everything that is neither a wrong type, an unknown key nor a missing one."""
    where = f"`{dotted(location)}`" if location else "the configuration"
    got = shown(item["input"])
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{where} must be {words} {context[name]}, but got {got}"
    if kind in _LENGTHS:
        name, words = _LENGTHS[kind]
        count = context["actual_length"]
        entries = "entry" if context[name] == 1 else "entries"
        return f"{where} must have {words} {context[name]} {entries}, but got {count}"
    if kind in ("literal_error", "enum"):
        choices = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        meant = closest(item["input"], choices) if isinstance(item["input"], str) else None
        fix = f"; did you mean {meant}?" if meant else ""
        return f"{where} must be {or_list(choices)}, but got {got}{fix}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        tags = context.get("expected_tags")
        names = str(tags).replace("'", "") if tags else f"a mapping with {context['discriminator']}"
        return f"{where} must be one of {names}, but got {context.get('tag', got)}"
    if kind == "value_error":
        return f"{where}: {context['error']}"
    text = str(item["msg"])
    return f"{where}: {text[:1].lower()}{text[1:]}"


def data_location(data: Any, steps: tuple[str | int, ...]) -> Location:
    """The deepest part of the data that pydantic's location names.

    Between the keys pydantic puts the tags of unions; a step that the data does not have is one.
    """
    if not steps:
        return ()
    without = data_location(data, steps[1:])
    step = steps[0]
    if isinstance(data, dict) and step in data:
        return max((step, *data_location(data[step], steps[1:])), without, key=len)
    if isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data):
        return max((step, *data_location(data[step], steps[1:])), without, key=len)
    return without


class _Keys:
    """The keys that a model knows at a place of the data, read from its JSON schema."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.make: Callable[[], dict[str, Any]] = model.model_json_schema
        self.schema: dict[str, Any] | None = None
        self.known: dict[Location, list[str]] = {}

    def at(self, location: Location) -> list[str]:
        """Keys of the mapping at `location`; the forms of a union are taken together."""
        if location not in self.known:
            self.known[location] = self.found(location)
        return self.known[location]

    def found(self, location: Location) -> list[str]:
        """The same, looked up."""
        if self.schema is None:
            self.schema = self.make()
        nodes = self.forms([self.schema])
        for step in location:
            below: list[Any] = []
            for node in nodes:
                if isinstance(step, int):
                    below.append(node.get("items"))
                else:
                    below.append(node.get("properties", {}).get(step))
                    below.append(node.get("additionalProperties"))
            nodes = self.forms(node for node in below if isinstance(node, dict))
        return sorted({key for node in nodes for key in node.get("properties", {})})

    def forms(self, nodes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """The nodes themselves, references and unions resolved."""
        assert self.schema is not None
        found: list[dict[str, Any]] = []
        for node in nodes:
            inner = [*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])]
            if "$ref" in node:
                inner.append(self.schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
            found += [node, *self.forms(inner)]
        return found

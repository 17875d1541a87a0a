"""How YAML writes a layer's pattern, derived from the registered pattern types.

    dense                                                       a name
    {sliding-window: {window: {choice: [64, 128]}}}             a name with its parameters
    {choice: [dense, sliding-window: {window: 64}], place: motif}

A parameter is an axis of its own, named `sliding-window.window` in messages, with its own place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from itertools import islice, product
from math import prod
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    GetPydanticSchema,
    Tag,
    create_model,
    model_validator,
)

from search_space.axis_config import Closed, FloatAxis, IntAxis, Placed, written_values
from search_space.errors import DesignError
from search_space.patterns import PATTERNS
from search_space.strict_yaml import Location
from search_space.validation import closest, located_error, or_list

MAX_TRIED = 20_000  # combinations of one pattern's parameters


def _parameters_model(name: str) -> type[Closed]:
    """The parameters of one pattern: its dataclass fields, each a value or an axis."""
    forms: Mapping[Any, Any] = {"int": IntAxis, "float": FloatAxis}
    model_fields: dict[str, Any] = {
        f.name: (
            forms[f.type],
            ... if f.default is MISSING and f.default_factory is MISSING else None,
        )
        for f in fields(PATTERNS[name])
    }
    title = "".join(word.capitalize() for word in name.split("-"))
    return create_model(f"{title}Parameters", __base__=Closed, **model_fields)


def _one_pattern(variant: Any) -> Any:
    """Exactly one pattern, each of whose parameter values is legal in some combination."""
    if len(variant.model_fields_set) != 1:
        raise ValueError("a pattern is a name or a mapping with one key, the name")
    name, parameters = variant_parts(variant)
    written = {p: written_values(axis) for p, axis in parameters.items()}
    useful: set[Location] = set()
    refused: dict[Location, str] = {}
    for combination in islice(product(*written.values()), MAX_TRIED):
        places = [(p, *where) for p, (where, _) in zip(written, combination, strict=True)]
        values = {p: value for p, (_, value) in zip(written, combination, strict=True)}
        try:
            _type(name)(**values)
            useful.update(places)
        except DesignError as error:
            refused.update(dict.fromkeys(places, str(error)))
    if prod(map(len, written.values())) > MAX_TRIED:
        return variant  # too many to judge one value by; the space refuses so many
    problems = [((name, *place), text) for place, text in refused.items() if place not in useful]
    if problems:
        raise located_error(problems)
    return variant


def _type(name: str) -> Callable[..., object]:
    return PATTERNS[name]


def _variant_model() -> type[Closed]:
    """A mapping with one optional key per registered pattern."""
    model_fields: dict[str, Any] = {
        name.replace("-", "_"): (_parameters_model(name) | None, Field(default=None, alias=name))
        for name in PATTERNS
    }
    return create_model("PatternVariant", __base__=Closed, **model_fields)


_VARIANT: Any = _variant_model()


def _known_name(name: str) -> str:
    """A pattern's name alone: known, and all its parameters have defaults."""
    if name not in PATTERNS:
        meant = closest(name, PATTERNS)
        fix = f"did you mean `{meant}`?" if meant else f"it knows {or_list(PATTERNS)}"
        raise ValueError(f"there is no pattern {name!r}; {fix}")
    needed = required_parameters(name)
    if needed:
        example = ", ".join(f"{p}: ..." for p in needed)
        raise ValueError(f"{name} needs {or_list(needed)}; write {{{name}: {{{example}}}}}")
    return name


def required_parameters(name: str) -> list[str]:
    """Parameters of a pattern that have no default."""
    return [
        f.name
        for f in fields(PATTERNS[name])
        if f.default is MISSING and f.default_factory is MISSING
    ]


def _variant_form(value: Any) -> str:
    return "<mapping>" if isinstance(value, dict | Closed) else "<name>"


_NAME = Annotated[str, AfterValidator(_known_name), Field(json_schema_extra={"enum": [*PATTERNS]})]
_ANY_VARIANT: Any = Annotated[
    Annotated[_NAME, Tag("<name>")]
    | Annotated[_VARIANT, AfterValidator(_one_pattern), Tag("<mapping>")],
    Discriminator(_variant_form),
]
Variant = Annotated[Any, GetPydanticSchema(lambda _, handler: handler(_ANY_VARIANT))]


class PatternChoice(Placed[str]):
    """One of several patterns."""

    choice: list[Variant] = Field(min_length=1)

    @model_validator(mode="after")
    def _patterns_differ(self) -> PatternChoice:
        names = [variant_parts(variant)[0] for variant in self.choice]
        problems: list[tuple[Location, str]] = [
            (("choice", i), f"{name} is listed twice; give its parameters a choice instead")
            for i, name in enumerate(names)
            if name in names[:i]
        ]
        if self.otherwise is not None and self.otherwise not in names:
            try:
                _known_name(self.otherwise)
            except ValueError as error:
                problems.append((("otherwise",), f"{error}"))
        if problems:
            raise located_error(problems)
        return self


def _pattern_form(value: Any) -> str:
    keys = value if isinstance(value, dict) else {}
    misspelt = len(keys) > 1 or any(closest(str(key), ["choice"]) for key in keys)
    return "<choice>" if isinstance(value, PatternChoice) or misspelt else "<variant>"


_ANY_PATTERN: Any = Annotated[
    Annotated[Variant, Tag("<variant>")] | Annotated[PatternChoice, Tag("<choice>")],
    Discriminator(_pattern_form),
]
PatternAxis = Annotated[Any, GetPydanticSchema(lambda _, handler: handler(_ANY_PATTERN))]


def variant_parts(variant: Any) -> tuple[str, dict[str, Any]]:
    """A variant's name, and those of its parameters that are written."""
    if isinstance(variant, str):
        return variant, {}
    (attribute,) = variant.model_fields_set
    parameters = getattr(variant, attribute)
    name = type(variant).model_fields[attribute].alias
    if parameters is None:
        return name, {}
    return name, {p: getattr(parameters, p) for p in parameters.model_fields_set}

"""How YAML writes a choice of types, derived from their registry: a layer's pattern, say.

    dense                                                       a name
    {sliding-window: {window: {choice: [64, 128]}}}             a name with its parameters
    {choice: [dense, sliding-window: {window: 64}], place: motif}

A parameter is an axis of its own, named `sliding-window.window` in messages, with its own place.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from search_space.strict_yaml import Location, quoted
from search_space.validation import closest, located_error, or_list

MAX_TRIED = 20_000  # combinations of one type's parameters

Registry = Mapping[str, type[Any]]


class VariantChoice(Placed[str]):
    """One of several registered types; `choice` is narrowed for each registry."""

    choice: list[Any] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> VariantChoice:
        names = [variant_parts(variant)[0] for variant in self.choice]
        problems: list[tuple[Location, str]] = [
            (("choice", i), f"{name} is listed twice; give its parameters a choice instead")
            for i, name in enumerate(names)
            if name in names[:i]
        ]
        if problems:
            raise located_error(problems)
        return self


def variant_axis(what: str, registry: Registry) -> GetPydanticSchema:
    """Marks a field as an axis over the types of a registry, which messages call `what`."""
    variant = _variant(what, registry)
    narrowed: dict[str, Any] = {
        "choice": (list[variant], Field(min_length=1)),
        "otherwise": (_name(what, registry) | None, None),
    }
    form: Any = create_model(f"{what.capitalize()}Choice", __base__=VariantChoice, **narrowed)
    whole: Any = Annotated[
        Annotated[variant, Tag("<variant>")] | Annotated[form, Tag("<choice>")],
        Discriminator(_axis_form),
    ]
    return GetPydanticSchema(lambda _, handler: handler(whole))


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


def required_parameters(cls: type[Any]) -> list[str]:
    """Parameters that have no default."""
    return [
        f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING
    ]  # fmt: skip


def _axis_form(value: Any) -> str:
    keys = value if isinstance(value, dict) else {}
    misspelt = len(keys) > 1 or any(closest(str(key), ["choice"]) for key in keys)
    return "<choice>" if isinstance(value, VariantChoice) or misspelt else "<variant>"


def _variant(what: str, registry: Registry) -> Any:
    """A name, or a mapping of one name to its parameters."""
    model_fields: dict[str, Any] = {
        name.replace("-", "_"): (
            _parameters_model(name, cls) | None,
            Field(default=None, alias=name),
        )
        for name, cls in registry.items()
    }
    mapping: Any = create_model(f"{what.capitalize()}Variant", __base__=Closed, **model_fields)

    def one_of_them(variant: Any) -> Any:
        return _one_legal(what, registry, variant)

    either: Any = Annotated[
        Annotated[_name(what, registry), Tag("<name>")]
        | Annotated[mapping, AfterValidator(one_of_them), Tag("<mapping>")],
        Discriminator(lambda value: "<mapping>" if isinstance(value, dict | Closed) else "<name>"),
    ]
    return Annotated[Any, GetPydanticSchema(lambda _, handler: handler(either))]


def _parameters_model(name: str, cls: type[Any]) -> type[Closed]:
    """The parameters of one type: its dataclass fields, each a value or an axis."""
    forms: Mapping[Any, Any] = {"int": IntAxis, "float": FloatAxis}
    needed = required_parameters(cls)
    model_fields: dict[str, Any] = {
        f.name: (forms[f.type], ... if f.name in needed else None) for f in fields(cls)
    }
    title = "".join(word.capitalize() for word in name.split("-"))
    return create_model(f"{title}Parameters", __base__=Closed, **model_fields)


def _name(what: str, registry: Registry) -> Any:
    """A name alone: known, and all its parameters have defaults."""

    def known(name: str) -> str:
        if name not in registry:
            meant = closest(name, registry)
            fix = f"did you mean `{meant}`?" if meant else f"it knows {or_list(registry)}"
            raise ValueError(f"there is no {what} {quoted(name)}; {fix}")
        needed = required_parameters(registry[name])
        if needed:
            example = ", ".join(f"{p}: ..." for p in needed)
            wanted = or_list(needed, "and")
            raise ValueError(f"{name} needs {wanted}; write {{{name}: {{{example}}}}}")
        return name

    return Annotated[str, AfterValidator(known), Field(json_schema_extra={"enum": [*registry]})]


def _one_legal(what: str, registry: Registry, variant: Any) -> Any:
    """Exactly one type, each of whose parameter values is legal in some combination."""
    if len(variant.model_fields_set) != 1:
        raise ValueError(f"a {what} is a name or a mapping with one key, the name")
    name, parameters = variant_parts(variant)
    missing = [p for p in required_parameters(registry[name]) if p not in parameters]
    if missing:
        example = ", ".join(f"{p}: ..." for p in missing)
        raise ValueError(f"{name} needs {or_list(missing, 'and')}; write {{{name}: {{{example}}}}}")
    written = {p: written_values(axis) for p, axis in parameters.items()}
    useful: set[Location] = set()
    refused: dict[Location, str] = {}
    for combination in islice(product(*written.values()), MAX_TRIED):
        places = [(p, *where) for p, (where, _) in zip(written, combination, strict=True)]
        values = {p: value for p, (_, value) in zip(written, combination, strict=True)}
        try:
            registry[name](**values)
            useful.update(places)
        except DesignError as error:
            refused.update(dict.fromkeys(places, str(error)))
    if prod(map(len, written.values())) > MAX_TRIED:
        return variant  # too many to judge one value by; the space refuses so many
    problems = [((name, *place), text) for place, text in refused.items() if place not in useful]
    if problems:
        raise located_error(problems)
    return variant

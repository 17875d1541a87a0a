"""Mistakes that lie between the parts of a run's configuration, each with its place in the YAML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from evaluator.settings import settable
from search_space import PRESETS, ConfigError, Document, Space, validate
from search_space.axes import size_axes
from search_space.axis_config import written_values
from search_space.strict_yaml import Location, dotted
from search_space.validation import closest

if TYPE_CHECKING:
    from controller.config import RunConfig


def run_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """Everything that makes the parts unfit for one another."""
    if config.space.kind != "decoder":
        message = (
            f"the tasks train decoders, but the space is of kind {config.space.kind}; such a "
            "space can be validated, counted and sampled"
        )
        yield ("space", "kind"), message
        return
    yield from _context_problems(config)
    if "presets" in config.search.model_fields_set:
        yield from _preset_problems(config)
    yield from _setting_problems(config)


def _context_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """The grid and the task's sequences must fit into every design's context."""
    contexts = [
        int(value)
        for axis in size_axes(config.space)
        if axis.name == "context"
        for value in axis.values
    ]
    for part, what, length, fix in (
        ("measuring", "measuring at", config.measuring.longest, "measure at shorter lengths"),
        ("task", "training on sequences of", config.task.longest, "make them shorter"),
    ):
        if length > min(contexts):
            message = (
                f"{what} {length} tokens needs a context at least that long, but the space has "
                f"designs of context {min(contexts)}; raise `context` or {fix}"
            )
            yield (part,), message


def _preset_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """Presets that were asked for must exist for this kind of model."""
    presets = Space.from_config(config.space).presets()
    for index, name in enumerate(config.search.presets):
        if name not in presets:
            kinds = " and ".join(PRESETS[name].kinds)
            message = f"the preset {name} is made for {kinds} models, but the space's are decoders"
            yield ("search", "presets", index), f"{message}; leave it out"


def _setting_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """Settings must exist, leave trials comparable, and be legal at each of their values.

    None of those allowed asks for a longer context.
    """
    known = settable(config.training, config.task)
    for name, axis in config.space.settings.items():
        location = ("space", "settings", name)
        if name not in known:
            yield location, f"`{dotted(location)}`: {_no_setting(config, name, list(known))}"
            continue
        part, field = known[name]
        found: dict[Location, str] = {}  # one for each place: a range may hold many
        for below, value in written_values(axis):
            if problem := _illegal(part, field, value):
                found.setdefault((*location, *below), problem)
        yield from ((place, f"`{dotted(place)}`: {problem}") for place, problem in found.items())


def _no_setting(config: RunConfig, name: str, known: list[str]) -> str:
    """Why a path is none: it is misspelt, or trials that differ in it would not compare."""
    plain: Any = config.model_dump()
    for step in name.split("."):
        plain = plain.get(step, ...) if isinstance(plain, dict) else ...
    if plain is not ...:
        return (
            "trials that differ in this would not compare; only training.* and task.*.batch may "
            "be settings"
        )
    near = closest(name, known)
    hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    return f"there is no such setting; {hint}"


def _illegal(part: BaseModel, field: str, value: Any) -> str | None:
    """What is wrong with a value of one field, None where nothing is."""
    if isinstance(value, str) and type(part).model_fields[field].annotation is not str:
        return f"`{field}` must be a number, but got the text {value!r}"
    try:
        validate(type(part), Document({**part.model_dump(), field: value}))
    except ConfigError as error:
        return error.problems[0].message
    return None

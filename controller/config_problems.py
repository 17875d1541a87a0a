"""Mistakes that lie between the parts of a run's configuration, each with its place in the YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, get_origin

from pydantic import BaseModel

from controller.strategies import JUDGES
from evaluator.settings import NOT_SETTINGS, settable
from evaluator.tasks import TASKS
from search_space import PRESETS, ConfigError, Design, Document, Space, validate
from search_space.axes import size_axes
from search_space.axis_config import written_values
from search_space.strict_yaml import Location, dotted
from search_space.validation import closest, or_list

if TYPE_CHECKING:
    from controller.config import RunConfig


def run_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """Everything that makes the parts unfit for one another."""
    yield from _kind_problems(config)
    yield from _context_problems(config)
    if "presets" in config.search.model_fields_set:
        yield from _preset_problems(config)
    yield from _design_problems(config)
    yield from _setting_problems(config)


def _kind_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """Every part of the task must suit the kind of model that the space is of."""
    kind = config.space.kind
    for task, part in config.task.parts():
        kinds = task.kinds_of(part)
        if kind not in kinds:
            others = [name for name, other in TASKS.items() if kind in other.kinds]
            message = (
                f"the task {task.name} is for models of kind {' or '.join(kinds)}, but the space "
                f"is of kind {kind}; change `space.kind`, or take {or_list(others)}"
            )
            yield ("task", task.name), message
    if config.training.tokens is not None and "steps" in config.training.model_fields_set:
        message = "a budget of `training.tokens` takes the place of steps; leave one out"
        yield ("training", "steps"), message
    if config.training.folds > 1:
        for task, _ in config.task.parts():
            if not task.folds:
                message = (
                    f"cross-validation is for tasks of few stored items, but {task.name} draws "
                    "what it needs; leave `folds` out and use several seeds"
                )
                yield ("training", "folds"), message
        if config.start is not None:
            message = "a parent's weights have seen what other folds hold out; leave `folds` out"
            yield ("training", "folds"), message
        if config.search.rungs is not None:
            message = (
                f"a trial that is stopped and goes on is one training, but got folds="
                f"{config.training.folds} with rungs; leave `search.rungs` or `training.folds` out"
            )
            yield ("search", "rungs"), message
    if config.search.rungs is not None and config.search.seeds > 1:
        message = (
            "with rungs each seed of a proposal would be stopped by itself and its mean be that "
            f"of the lucky ones, but got seeds={config.search.seeds}; leave `search.seeds` or "
            "`search.rungs` out"
        )
        yield ("search", "seeds"), message
    yield from _measure_first_problems(config)
    if kind == "encoder" and "decode" in config.measuring.model_fields_set:
        yield ("measuring", "decode"), "an encoder generates nothing; leave `decode` out"


def _context_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """The grid and the task's sequences must fit into every design's context."""
    contexts = [
        int(value)
        for axis in size_axes(config.space)
        if axis.name == "context"
        for value in axis.values
    ]
    measured = max(config.measuring.lengths(config.space.kind))
    for part, what, length, fix in (
        ("measuring", "measuring at", measured, "measure at shorter lengths"),
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
            own = config.space.kind
            message = f"the preset {name} is made for {kinds} models, but the space's are {own}s"
            yield ("search", "presets", index), f"{message}; leave it out"


def _design_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """The user's own designs must be of the space's kind and take in what is measured."""
    for index, given in enumerate(config.search.designs):
        design = Design.from_json(json.dumps(given))
        place = ("search", "designs", index)
        if design.kind != config.space.kind:
            yield place, f"this design is of kind {design.kind}, but the space {config.space.kind}"
        longest = max(config.task.longest, *config.measuring.lengths(design.kind))
        if longest > design.context:
            yield place, f"this design's context is {design.context}, but {longest} is needed"


def _setting_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """Settings must exist, leave trials comparable, and be legal at each of their values.

    None of those allowed asks for a longer context.
    """
    known = settable(config.training, config.task)
    budgeted = config.training.tokens is not None or "training.tokens" in config.space.settings
    for name, axis in config.space.settings.items():
        location = ("space", "settings", name)
        if name == "training.steps" and budgeted:
            message = "a budget of `training.tokens` takes the place of steps; leave one out"
            yield location, f"`{dotted(location)}`: {message}"
            continue
        if name not in known:
            yield location, f"`{dotted(location)}`: {_no_setting(config, name, list(known))}"
            continue
        part, field = known[name]
        found: dict[Location, str] = {}  # one for each place: a range may hold many
        for below, value in written_values(axis):
            if problem := _illegal(part, field, value):
                found.setdefault((*location, *below), problem)
        yield from ((place, f"`{dotted(place)}`: {problem}") for place, problem in found.items())


def _measure_first_problems(config: RunConfig) -> Iterator[tuple[Location, str]]:
    """What does not go with giving candidates back before they are trained."""
    search = config.search
    if not search.measure_first:
        return
    if search.strategy not in JUDGES:
        message = (
            f"only {or_list(JUDGES)} can judge a design by its costs, but the strategy is "
            f"{search.strategy}; change `search.strategy`, or leave `search.measure_first` out"
        )
        yield ("search", "measure_first"), message
    if search.seeds > 1 or config.training.folds > 1:
        message = (
            "a design is given back as one training, but got "
            f"seeds={search.seeds} and folds={config.training.folds}; leave them out, or "
            "`search.measure_first`"
        )
        yield ("search", "measure_first"), message


def _no_setting(config: RunConfig, name: str, known: list[str]) -> str:
    """Why a path is none: it is misspelt, or trials that differ in it would not compare."""
    if name in {f"training.{field}" for field in NOT_SETTINGS}:
        return "this decides how a trial is scored or kept, not what it learns; leave it out"
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
    annotation = type(part).model_fields[field].annotation
    takes_text = annotation is str or get_origin(annotation) is Literal
    if isinstance(value, str) and not takes_text:
        return f"`{field}` must be a number, but got the text {value!r}"
    try:
        validate(type(part), Document({**part.model_dump(), field: value}))
    except ConfigError as error:
        return error.problems[0].message
    return None

"""How YAML writes an axis: a plain value, a choice, a range or a log range.

    8                                       fixed
    {choice: [1, 2, 4]}                     one of these
    {range: [2, 8], step: 2}                2, 4, 6, 8
    {log_range: [64, 512], base: 2}         64, 128, 256, 512

An axis of a layer also takes `place` (one value for all layers, one per position of a repeating
motif, or one per layer) and `when` with `otherwise`: where the condition on other axes does not
hold, the axis has the value `otherwise`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from search_space.errors import DesignError
from search_space.strict_yaml import Location, shown
from search_space.validation import closest, located_error

Value = int | float | str
Place = Literal["shared", "motif", "per-layer"]
MAX_VALUES = 1_000  # of one axis


class Closed(BaseModel):
    """A model that refuses unknown keys and takes numbers and text as they are written."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _condition(value: Any) -> Any:
    values = value if isinstance(value, list) else [value]
    wrong = [v for v in values if isinstance(v, bool) or not isinstance(v, Value)]
    if wrong or not values:
        got = shown(wrong[0]) if wrong else "an empty list"
        raise ValueError(f"a condition is a number, a text or a list of them, but got {got}")
    return value


Condition = Annotated[
    Any,
    AfterValidator(_condition),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["number", "string"]},
                {"type": "array", "items": {"type": ["number", "string"]}},
            ]
        }
    ),
]

T = TypeVar("T")


class Placed(Closed, Generic[T]):
    """What every form of an axis has beside its values."""

    place: Place = Field(
        default="shared",
        description="one value for all layers, one per position of the motif, or one per layer",
    )
    when: dict[str, Condition] | None = Field(
        default=None, description="other layer axes and the values at which this axis takes part"
    )
    otherwise: T | None = Field(
        default=None, description="the value where the condition does not hold"
    )

    @model_validator(mode="after")
    def _condition_is_whole(self) -> Placed[T]:
        if self.when and self.otherwise is None:
            raise ValueError("an axis with `when` needs `otherwise`, its value where that fails")
        if self.otherwise is not None and not self.when:
            raise ValueError("`otherwise` is for an axis with `when`; remove it or add a condition")
        return self


class Choice(Placed[T], Generic[T]):
    """One of the listed values."""

    choice: list[T] = Field(min_length=1, max_length=MAX_VALUES)

    @model_validator(mode="after")
    def _values_differ(self) -> Choice[T]:
        twice = [
            (("choice", i), f"{shown(value)} is listed twice; keep one")
            for i, value in enumerate(self.choice)
            if value in self.choice[:i]
        ]
        if twice:
            raise located_error(twice)
        return self

    def values(self) -> list[T]:
        """The values in the order written."""
        return self.choice


class Range(Placed[int]):
    """Whole numbers from low to high, both included."""

    range: list[int] = Field(min_length=2, max_length=2)
    step: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _low_to_high(self) -> Range:
        _check_bounds("range", self.range, len(self.values()))
        return self

    def values(self) -> list[int]:
        """low, low + step, ... up to high."""
        stop = min(self.range[1], self.range[0] + MAX_VALUES * self.step)
        return [*range(self.range[0], stop + 1, self.step)]


class LogRange(Placed[T], Generic[T]):
    """Numbers from low to high, each `base` times the one before."""

    log_range: list[T] = Field(min_length=2, max_length=2)
    base: int = Field(default=2, ge=2)

    @model_validator(mode="after")
    def _low_to_high(self) -> LogRange[T]:
        if self._bounds()[0] <= 0:
            raise located_error(
                [(("log_range",), f"must start above 0, but got {self._bounds()[0]}")]
            )
        _check_bounds("log_range", self._bounds(), len(self.values()))
        return self

    def _bounds(self) -> list[Any]:
        return self.log_range

    def values(self) -> list[T]:
        """low, low * base, ... up to high."""
        value, high = self._bounds()
        found: list[Any] = []
        while value <= high:
            found.append(value)
            value *= self.base
            if isinstance(value, float):  # 3 * 0.1 is 0.30000000000000004, beyond an end of 0.3
                value = float(f"{value:.12g}")
        return found


def _check_bounds(key: str, bounds: list[Any], count: int) -> None:
    low, high = bounds
    if low > high:
        message = f"must go from low to high, but got [{low}, {high}]; try [{high}, {low}]"
        raise located_error([((key,), message)])
    if count > MAX_VALUES:
        raise located_error(
            [((key,), f"an axis has at most {MAX_VALUES:,} values; widen the step")]
        )


def axis_form(value: Any) -> str:
    """The tag of the form that a value of the YAML is meant to be, misspelt keys forgiven."""
    if isinstance(value, BaseModel):
        value = value.model_fields_set
    elif not isinstance(value, dict):
        return "<value>"
    for form in ("choice", "range", "log_range"):
        if form in value:
            return f"<{form}>"
    guesses = [closest(str(key), ("choice", "range", "log_range")) for key in value]
    return f"<{next((guess for guess in guesses if guess), 'choice')}>"


IntAxis = Annotated[
    Annotated[int, Tag("<value>")]
    | Annotated[Choice[int], Tag("<choice>")]
    | Annotated[Range, Tag("<range>")]
    | Annotated[LogRange[int], Tag("<log_range>")],
    Discriminator(axis_form),
]
FloatAxis = Annotated[
    Annotated[float, Tag("<value>")]
    | Annotated[Choice[float], Tag("<choice>")]
    | Annotated[Range, Tag("<range>")]
    | Annotated[LogRange[float], Tag("<log_range>")],
    Discriminator(axis_form),
]


WordAxis = Annotated[
    Annotated[str, Tag("<value>")] | Annotated[Choice[str], Tag("<choice>")],
    Discriminator(lambda value: "<value>" if axis_form(value) == "<value>" else "<choice>"),
]


def written_values(axis: Any) -> list[tuple[Location, Any]]:
    """Every value that an axis can take, with its place inside the axis."""
    if not isinstance(axis, Placed):
        return [((), axis)]
    found: list[tuple[Location, Any]] = []
    if isinstance(axis, Choice):
        found = [(("choice", i), value) for i, value in enumerate(axis.choice)]
    elif isinstance(axis, Range | LogRange):
        key = "range" if isinstance(axis, Range) else "log_range"
        found = [((key,), value) for value in axis.values()]
    return [*found, (("otherwise",), axis.otherwise)] if axis.when else found


def each_legal(make: Callable[[Any], object]) -> AfterValidator:
    """A validator that every value of an axis can be made into what it is for."""

    def check(axis: Any) -> Any:
        problems: dict[Location, str] = {}
        for location, value in written_values(axis):
            try:
                make(value)
            except DesignError as error:
                problems.setdefault(location, str(error))
        if problems:
            raise located_error(problems.items())
        return axis

    return AfterValidator(check)

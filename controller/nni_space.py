"""NNI: a space as an `nni.mutable`, and as what NNI's tuners take; samples back to designs.

The only module that imports NNI (Microsoft, 3.0, 2023). Its own handling of constraints is pure
rejection, so the view is made of the space's variables, whose every combination is a design.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nni.mutable import Categorical, MutableDict

from search_space import Design, Space
from search_space.axis_config import Value


def mutable_space(space: Space) -> MutableDict:
    """The space's variables as labelled categoricals; `design_of` reads their samples."""
    choices = space.variables.choices
    return MutableDict({n: Categorical(values, label=n) for n, values in choices.items()})


def tuner_space(space: Space) -> Any:
    """The same for `Tuner.update_search_space`."""
    choices = space.variables.choices
    return {n: {"_type": "choice", "_value": list(values)} for n, values in choices.items()}


def design_of(space: Space, sample: Mapping[str, Value]) -> Design:
    """The design of a sample: of `MutableDict.random()` or of `Tuner.generate_parameters()`."""
    return space.variables.design_of(sample)


def sample_of(space: Space, design: Design) -> dict[str, Value]:
    """The sample that describes a design of the space, for `freeze` and for a tuner's history."""
    return space.variables.values_of(design)

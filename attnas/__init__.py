"""The front door: the public names of all packages, each imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controller import RunConfig as RunConfig
    from controller import load_config as load_config
    from evaluator import CausalLM as CausalLM
    from evaluator import Evaluator as Evaluator
    from results import front_report as front_report
    from results import hypervolume as hypervolume
    from results import load as load
    from results import push_run as push_run
    from results import read_run as read_run
    from search_space import Dense as Dense
    from search_space import Design as Design
    from search_space import Heads as Heads
    from search_space import LayerDesign as LayerDesign
    from search_space import Rotary as Rotary
    from search_space import SlidingWindow as SlidingWindow
    from search_space import Space as Space
    from search_space import load_space as load_space
    from search_space import preset as preset

_HOMES = {
    "controller": ("RunConfig", "load_config"),
    "evaluator": ("CausalLM", "Evaluator"),
    "results": ("front_report", "hypervolume", "load", "push_run", "read_run"),
    "search_space": (
        "Dense", "Design", "Heads", "LayerDesign", "Rotary", "SlidingWindow", "Space",
        "load_space", "preset",
    ),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"attnas has no {name!r}; it has {', '.join(sorted(_HOME_OF))}")
    return getattr(import_module(_HOME_OF[name]), name)

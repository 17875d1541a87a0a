"""Which design next, and running them: strategies, the search, its engines.

Each name is imported when it is first used: what watches over a trial needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controller.candidates import Candidate as Candidate
    from controller.candidates import CandidateSpace as CandidateSpace
    from controller.config import RunConfig as RunConfig
    from controller.config import load_config as load_config
    from controller.plan import Plan as Plan
    from controller.plan import planned as planned
    from controller.run import Session as Session
    from controller.run import resume as resume
    from controller.run import start as start
    from controller.search import Search as Search
    from controller.search import SearchFailed as SearchFailed
    from controller.strategies import STRATEGIES as STRATEGIES
    from controller.strategies import Strategy as Strategy
    from controller.trial import Trial as Trial

_HOMES = {
    "controller.candidates": ("Candidate", "CandidateSpace"),
    "controller.config": ("RunConfig", "load_config"),
    "controller.plan": ("Plan", "planned"),
    "controller.run": ("Session", "resume", "start"),
    "controller.search": ("Search", "SearchFailed"),
    "controller.strategies": ("STRATEGIES", "Strategy"),
    "controller.trial": ("Trial",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"controller has no {name!r}; it has {', '.join(sorted(_HOME_OF))}")
    return getattr(import_module(_HOME_OF[name]), name)

"""Which design next, and running them: strategies, the search, its engines."""

from controller.config import RunConfig, load_config
from controller.run import Session, resume, start
from controller.search import Search, SearchFailed, Trial
from controller.strategies import STRATEGIES, Strategy

__all__ = [
    "STRATEGIES",
    "RunConfig",
    "Search",
    "SearchFailed",
    "Session",
    "Strategy",
    "Trial",
    "load_config",
    "resume",
    "start",
]

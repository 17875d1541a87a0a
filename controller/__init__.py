"""Which design next, and running them: strategies, the search, its engines."""

from controller.candidates import Candidate, CandidateSpace
from controller.config import RunConfig, load_config
from controller.plan import Plan, planned
from controller.run import Session, resume, start
from controller.search import Search, SearchFailed
from controller.strategies import STRATEGIES, Strategy
from controller.trial import Trial

__all__ = [
    "STRATEGIES",
    "Candidate",
    "CandidateSpace",
    "Plan",
    "RunConfig",
    "Search",
    "SearchFailed",
    "Session",
    "Strategy",
    "Trial",
    "load_config",
    "planned",
    "resume",
    "start",
]

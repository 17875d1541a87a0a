"""Searching without training: problems with known results, and an engine with its own clock."""

from controller.simulation.choices import ChoiceSpace
from controller.simulation.engine import Clock, Outcome, SimulatedEngine
from controller.simulation.memory_log import MemoryLog
from controller.simulation.problem import Problem

__all__ = ["ChoiceSpace", "Clock", "MemoryLog", "Outcome", "Problem", "SimulatedEngine"]

"""Deployability: which tools can run a design as it is, decided by rules that exporters share."""

from __future__ import annotations

from search_space.design import Design
from search_space.layer import LayerDesign

TARGETS = ("native-llama", "native", "vllm", "llama.cpp")


def refusals(design: Design, target: str) -> list[str]:
    """Why the target can't take the design."""
    return []


def layer_refusals(layer: LayerDesign, target: str) -> list[str]:
    """Why the target can't take any design with this layer."""
    return []

"""Support: what the language can say and this evaluator can't build yet, in a sentence."""

from __future__ import annotations

from evaluator.kernels import KERNELS
from search_space import LayerDesign, NoGate, OwnKV, Rotary, ScaledDot


def unbuildable(layer: LayerDesign) -> str | None:
    """Why a model with this layer can't be trained here; None where it can."""
    parts = (
        (layer.kind == "causal", f"{layer.kind} attention"),
        (layer.pattern.name in KERNELS, f"the pattern {layer.pattern.name}"),
        (layer.split is None, "heads split between two patterns"),
        (isinstance(layer.sharing, OwnKV), f"sharing {layer.sharing.name}"),
        (isinstance(layer.score, ScaledDot), f"score {layer.score.name}"),
        (isinstance(layer.position, Rotary), f"position {layer.position.name}"),
        (isinstance(layer.gate, NoGate), f"gate {layer.gate.name}"),
        (not layer.tied, "tied layers"),
    )
    missing = next((what for built, what in parts if not built), None)
    return missing and f"{missing} can be described and counted, but not trained yet"

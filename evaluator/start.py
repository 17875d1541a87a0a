"""Where a trial's weights start from: a fresh draw, or a trained parent, whole or as features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evaluator.inherit import Parent, inherit
from evaluator.model import AnyModel
from search_space import Design


@dataclass(frozen=True, slots=True)
class Start:
    """A parent for every trial of a run. With `frozen`, what is taken from it is not trained."""

    parent: Parent
    frozen: bool = False

    def put_into(self, model: AnyModel, design: Design, symbols: Sequence[str]) -> float:
        """Weights in place; the share of the model's parameters that the parent gave.

        The vocabulary is trained even with `frozen`: a new task asks for answers of its own.
        """
        taken = inherit(model, design, symbols, self.parent)
        weights = dict(model.named_parameters())
        for name in taken if self.frozen else ():
            body = not name.endswith(("embed_tokens.weight", "shared.weight", "lm_head.weight"))
            weights[name].requires_grad_(not body)
        given = sum(weights[name].numel() for name in taken if name in weights)
        return given / sum(weight.numel() for weight in weights.values())

"""Constraints: bounds on the exact counts of a design, and what must be able to run it."""

from __future__ import annotations

from dataclasses import dataclass

from search_space import counts
from search_space.deployability import refusals
from search_space.design import Design
from search_space.space_config import ConstraintConfig


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on one count, embeddings and logits left out (a vocabulary of 0)."""

    count: str
    at: int | None  # tokens; None is the design's own context, which also caps it
    dtype: str
    low: float | None
    high: float | None

    @classmethod
    def from_config(cls, config: ConstraintConfig) -> Constraint:
        """The constraint that the YAML writes."""
        return cls(config.count, config.at, config.dtype or "float32", config.min, config.max)

    def value(self, design: Design) -> int:
        """The design's count."""
        at = design.context if self.at is None else min(self.at, design.context)
        match self.count:
            case "parameters":
                return counts.parameters(design, 0)
            case "kv_cache_bytes":
                return counts.kv_cache_bytes(design, at, self.dtype)
            case "prefill_flops":
                return counts.prefill_flops(design, at, 0)
            case "decode_flops":
                return counts.decode_flops(design, at, 0)
            case _:
                assert self.count == "attended_pairs", self.count
                return counts.attended_pairs(design, at)

    def violation(self, design: Design) -> str | None:
        """Why the design breaks the bound, or None."""
        value = self.value(design)
        if self.high is not None and value > self.high:
            return f"{self.name} must be at most {self.high:,}, but got {value:,}"
        if self.low is not None and value < self.low:
            return f"{self.name} must be at least {self.low:,}, but got {value:,}"
        return None

    @property
    def name(self) -> str:
        """For people: `kv_cache_bytes at 8192 tokens`."""
        where = "" if self.at is None else f" at {self.at} tokens"
        dtype = f" in {self.dtype}" if self.dtype != "float32" else ""
        return f"{self.count}{where}{dtype}"

    def describe(self) -> str:
        """For people: the name and its bounds."""
        low = "" if self.low is None else f"at least {self.low:,}"
        high = "" if self.high is None else f"at most {self.high:,}"
        return f"{self.name}: {' and '.join(text for text in (low, high) if text)}"


@dataclass(frozen=True, slots=True)
class Deployable:
    """A target that must take the design as it is."""

    target: str

    def violation(self, design: Design) -> str | None:
        """The first reason why it does not, or None."""
        reasons = refusals(design, self.target)
        return f"{self.target}: {reasons[0]}" if reasons else None

    def describe(self) -> str:
        """For people."""
        return f"deploy: {self.target}"

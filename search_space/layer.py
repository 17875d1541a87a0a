"""LayerDesign: one attention layer, as a frozen value, with the rules between its parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from search_space.errors import DesignError
from search_space.gates import Gate, NoGate
from search_space.heads import Heads
from search_space.patterns import KINDS, Dense, Kind, Pattern
from search_space.positions import NoPosition, Position, Rotary
from search_space.scores import ScaledDot, Score
from search_space.sharing import LatentKV, OwnKV, ReusedKV, Sharing


@dataclass(frozen=True, slots=True)
class Split:
    """The last `kv_heads` KV heads of a layer, and their query heads, attend in this pattern."""

    pattern: Pattern
    kv_heads: int

    def __post_init__(self) -> None:
        if self.kv_heads < 1:
            raise DesignError(f"a split gives away at least 1 KV head, but got {self.kv_heads}")


class Part(NamedTuple):
    """Heads of a layer that attend in one pattern."""

    pattern: Pattern
    heads: int  # query heads
    kv_heads: int


@dataclass(frozen=True, slots=True)
class LayerDesign:
    """Heads, what they attend to, where keys and values come from, and how they are compared."""

    heads: Heads
    pattern: Pattern = field(default_factory=Dense)
    position: Position = field(default_factory=Rotary)
    split: Split | None = None
    sharing: Sharing = field(default_factory=OwnKV)
    score: Score = field(default_factory=ScaledDot)
    gate: Gate = field(default_factory=NoGate)
    kind: Kind = "causal"
    tied: bool = False  # all weights, and those of the block's MLP, are the anchor's

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DesignError(f"a layer's kind is one of {', '.join(KINDS)}, but got {self.kind!r}")
        for rule in (*_split_rules(self), *_sharing_rules(self), *_score_rules(self)):
            raise DesignError(rule)
        for pattern in {part.pattern for part in self.parts}:
            for rule in _pattern_rules(self, pattern):
                raise DesignError(rule)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The heads by pattern, one or two parts."""
        if self.split is None:
            return (Part(self.pattern, self.heads.query, self.heads.kv),)
        given = self.split.kv_heads
        group, left = self.heads.group, self.heads.kv - given
        return Part(self.pattern, left * group, left), Part(
            self.split.pattern, given * group, given
        )

    @property
    def independent(self) -> bool:
        """Whether the layer takes nothing from an earlier one; later ones may take from it."""
        return not self.tied and not isinstance(self.sharing, ReusedKV)

    @property
    def keys(self) -> tuple[object, ...]:
        """What the keys and values are like that a layer makes, or wants of its anchor."""
        latent = self.sharing if isinstance(self.sharing, LatentKV) else None
        turned = self.position if self.position.turns else None
        return self.heads.kv, self.heads.dim, turned, self.score.treats_keys, latent

    def misfit(self, anchor: LayerDesign, context: int) -> str | None:
        """Why a tied or reusing layer can't take what it needs from this anchor, if so."""
        if self.tied:
            # canonical forms order a split's heads, but tied weights have an order already
            same_order = _simple_patterns(self, context) == _simple_patterns(anchor, context)
            untied = replace(self, tied=False).canonical(context)
            if same_order and untied == anchor.canonical(context):
                return None
            return (
                f"a tied layer is its anchor again, so both must be the same, but got "
                f"{replace(self, tied=False).describe()} tied to {anchor.describe()}"
            )
        return _reuse_misfit(self, anchor, context)

    def canonical(self, context: int) -> LayerDesign:
        """The simplest layer that computes the same function up to `context`."""
        pattern, split = _canonical_patterns(self, context)
        heads = self.heads
        if isinstance(self.sharing, LatentKV):  # every query head has its own keys and values
            heads = replace(heads, kv=heads.query)
        if (pattern, split, heads) == (self.pattern, self.split, self.heads):
            return self
        return replace(self, pattern=pattern, split=split, heads=heads)

    def parameters(self, width: int, context: int) -> int:
        """Weights of the layer's attention; where it is tied, those of its anchor."""
        own_keys = not isinstance(self.sharing, ReusedKV)
        own = self.sharing.parameters(width, self.heads) + self.gate.parameters(width, self.heads)
        patterns = (part.pattern.parameters(width, part.kv_heads, context) for part in self.parts)
        return own + self.score.parameters(self.heads, own_keys=own_keys) + sum(patterns)

    def token_weights(self, width: int) -> int:
        """Weights that every token is multiplied with."""
        own = self.sharing.projections(width, self.heads) + self.gate.parameters(width, self.heads)
        return own + sum(part.pattern.projections(width, part.kv_heads) for part in self.parts)

    def attended_pairs(self, length: int) -> int:
        """Attended pairs of one sequence, summed over query heads."""
        return sum(p.heads * p.pattern.attended_pairs(length, self.kind) for p in self.parts)

    def mixing_flops(self, length: int) -> int:
        """FLOPs of scores and weighted sums over a sequence."""
        per_pair = self.score.pair_flops(self.sharing.key_width(self.heads)) + 2 * self.heads.dim
        return sum(
            part.pattern.mixing_flops(
                length, part.heads, part.kv_heads, self.heads.dim, per_pair, self.kind
            )
            for part in self.parts
        )

    def decode_flops(self, context: int) -> int:
        """FLOPs of scores and weighted sums for one new token, the newest of `context`."""
        per_pair = self.score.pair_flops(self.sharing.key_width(self.heads)) + 2 * self.heads.dim
        if isinstance(self.sharing, LatentKV):  # absorbed: scores and sums in the latent's width
            per_pair = 2 * self.sharing.cached_width + 2 * self.sharing.rank
        return sum(
            part.pattern.decode_flops(
                context - 1, part.heads, part.kv_heads, self.heads.dim, per_pair
            )
            for part in self.parts
        )

    def cache_elements(self, context: int, lends_up_to: int = 0) -> int:
        """Numbers that decoding keeps for one sequence; encoders keep none.

        A layer that lends its keys keeps what longer sequences need, up to `lends_up_to` tokens:
        others may look farther back than its own pattern does in a short one.
        """
        if self.kind == "bidirectional" or isinstance(self.sharing, ReusedKV):
            return 0
        if isinstance(self.sharing, LatentKV):
            return self.sharing.cached_width * self.pattern.cached_positions(context)
        tensors = self.sharing.cached_tensors()
        if lends_up_to > context:
            positions = min(context, self.pattern.cached_positions(lends_up_to))
            return self.heads.kv * tensors * self.heads.dim * positions
        return sum(
            part.kv_heads * part.pattern.cache_elements(context, self.heads.dim, tensors)
            for part in self.parts
        )

    def describe(self) -> str:
        """For people: patterns, heads, and whatever is out of the ordinary."""
        patterns = self.pattern.describe()
        if self.split is not None:
            given = f"{self.split.kv_heads} of {self.heads.kv} KV heads"
            patterns = f"{patterns} and {self.split.pattern.describe()} in {given}"
        return ", ".join([patterns, self.heads.describe(), *self.extras()])

    def extras(self) -> list[str]:
        """What is out of the ordinary besides pattern and heads, a few words each."""
        kind = "" if self.kind == "causal" else self.kind
        position = self.position.describe()
        if self.kind == "cross":
            position = ""  # has none by rule
        words = [kind, self.sharing.describe(), self.score.describe(), position]
        return [word for word in (*words, self.gate.describe(), "tied" * self.tied) if word]


def _canonical_patterns(layer: LayerDesign, context: int) -> tuple[Pattern, Split | None]:
    """Both patterns in their simplest form and, where that says nothing, in order."""
    pattern, split = _simple_patterns(layer, context)
    # Which heads come first says nothing, as the projections' rows can be exchanged, except under
    # ALiBi, whose slopes go by the head's number. (Layers that reuse keys are never split.)
    if split is None or layer.position.by_distance or repr(pattern) < repr(split.pattern):
        return pattern, split
    return split.pattern, Split(pattern, layer.heads.kv - split.kv_heads)


def _simple_patterns(layer: LayerDesign, context: int) -> tuple[Pattern, Split | None]:
    """Both patterns in their simplest form; equal ones are one."""
    pattern = layer.pattern.canonical(context, layer.kind)
    if layer.split is None:
        return pattern, None
    other = layer.split.pattern.canonical(context, layer.kind)
    return pattern, None if other == pattern else Split(other, layer.split.kv_heads)


def _pattern_rules(layer: LayerDesign, pattern: Pattern) -> Iterator[str]:
    name = pattern.name
    if layer.kind not in pattern.kinds:
        yield f"{name} attention is {' or '.join(pattern.kinds)}, but the layer is {layer.kind}"
    if layer.position.by_distance and not (pattern.tokens_only and layer.kind != "cross"):
        yield (
            f"ALiBi needs the distance of each pair of tokens, which {name} does not have; "
            "use position rotary or none"
        )
    if pattern.keeps_state and layer.score != ScaledDot():
        yield f"{name} attention has no scores to compute otherwise; use score scaled-dot"
    if not pattern.tokens_only and not isinstance(layer.sharing, OwnKV):
        yield f"{name} attention sums keys and values up itself; use sharing own"
    if not pattern.tokens_only and not layer.score.is_product:
        yield f"{layer.score.name} scores compare tokens one by one, which {name} does not"
    if name == "low-rank" and layer.split:
        yield "low-rank mixes all keys of a layer by its own weights; it can't be split"


def _split_rules(layer: LayerDesign) -> Iterator[str]:
    if layer.split is None:
        return
    if layer.split.kv_heads >= layer.heads.kv:
        yield (
            f"a split leaves at least one KV head to each pattern, but {layer.split.kv_heads} of "
            f"{layer.heads.kv} are given away"
        )
    if isinstance(layer.sharing, LatentKV):
        yield "a latent is shared by all heads, so they can't be split; use sharing own"
    if isinstance(layer.sharing, ReusedKV):
        yield "a layer that reuses keys can't be split: which heads see which keys would matter"


def _sharing_rules(layer: LayerDesign) -> Iterator[str]:
    sharing = layer.sharing
    if layer.tied and isinstance(sharing, ReusedKV):
        yield "a tied layer has all weights of its anchor, so it makes keys itself; use sharing own"
    if isinstance(sharing, LatentKV):
        if layer.position.turns and not sharing.rotary_dim:
            yield "rotary turns the latent's rotary_dim channels, but it has none; try 16"
        if sharing.rotary_dim and not layer.position.turns:
            yield (
                f"the latent's rotary_dim is for rotary positions, but the position is "
                f"{layer.position.name}; use rotary_dim=0"
            )
        if not layer.score.is_product or layer.score.treats_keys:
            yield (
                f"{layer.score.name} scores need each head's keys, which a latent never forms; "
                "use score scaled-dot or dot"
            )


def _score_rules(layer: LayerDesign) -> Iterator[str]:
    if layer.position.turns and not layer.score.is_product:
        yield (
            f"rotary shows distances in inner products only, but the score is {layer.score.name}; "
            "use position alibi or none"
        )
    if layer.kind == "cross" and layer.position != NoPosition():
        yield "cross attention has no distances between the two sequences; use position none"


def _reuse_misfit(layer: LayerDesign, anchor: LayerDesign, context: int) -> str | None:
    if isinstance(anchor.sharing, LatentKV):
        return "keys and values can't be reused from a layer that keeps a latent"
    if anchor.split is not None:
        return "keys and values can't be reused from a layer split between two patterns"
    sides = (("KV heads", "kv"), ("the head dimension", "dim"))
    for what, name in sides:
        mine, its = getattr(layer.heads, name), getattr(anchor.heads, name)
        if mine != its:
            return f"a layer that reuses keys has {what} of its anchor, but got {mine} and {its}"
    turned = [x.position if x.position.turns else None for x in (layer, anchor)]
    if turned[0] != turned[1]:
        return (
            f"reused keys are turned as the anchor's are, but got position "
            f"{_position(layer)} and {_position(anchor)}"
        )
    if layer.score.treats_keys != anchor.score.treats_keys:
        return (
            f"reused keys are normalised or not as the anchor's are, but got score "
            f"{layer.score.name} and {anchor.score.name}"
        )
    tokens = anchor.pattern.tokens_only and layer.pattern.tokens_only
    # only what is generated is read from a cache; others see all keys that there are
    kept = anchor.pattern.covers(layer.pattern, context) if layer.kind == "causal" else tokens
    if not kept:
        return (
            f"the anchor must keep every position that is attended to, but "
            f"{anchor.pattern.describe()} does not keep what {layer.pattern.describe()} needs"
        )
    return None


def _position(layer: LayerDesign) -> str:
    return layer.position.describe() or layer.position.name

"""Deployability: why a target can't take a design; nothing where it can.

A target takes a design if a file made for it computes the same function, without code of ours. What
is allowed here was measured on exported models or stands in the target's source; what is likely but
neither is refused (DeepSeek's architecture for latent keys and values, windows in Qwen3, ALiBi in
llama.cpp). Tied layers are taken everywhere: their weights are written once per layer.

- native-llama: `LlamaForCausalLM`.
- native: the first of transformers' architectures that fits: Llama; Ministral (full attention and
  windows of one size); SmolLM3 (the same, with rotary or no positions in each layer); Qwen3
  (normalised queries and keys in every layer, full attention, rotary).
- vllm: what is native, as vLLM runs each of these, at head dimensions that its kernels have.
- llama.cpp: the GGUF architecture `deci`, with query and KV heads per layer.

Rules on one layer and rules on all layers together are apart, so that a space can leave out
single layers before it puts designs together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from search_space.design import Design
from search_space.errors import DesignError
from search_space.gates import NoGate
from search_space.layer import LayerDesign
from search_space.patterns import Dense, SlidingWindow
from search_space.positions import NoPosition, Rotary
from search_space.scores import Cosine, ScaledDot
from search_space.sharing import OwnKV

# Those that its FlashAttention and its paged kernels both list (get_supported_head_sizes).
VLLM_HEAD_DIMS = (32, 64, 96, 128, 192, 256)

LayerRule = Callable[[LayerDesign], str | None]  # the reason, if it can't be taken
DesignRule = Callable[[Design], str | None]


@dataclass(frozen=True, slots=True)
class Target:
    """Somewhere a design can run, with its rules."""

    name: str
    what: str
    layer_rules: tuple[LayerRule, ...]
    design_rules: tuple[DesignRule, ...]


def layer_refusals(layer: LayerDesign, target: str) -> list[str]:
    """Why the target can't take any design with this layer, which must be canonical."""
    return [reason for rule in _target(target).layer_rules if (reason := rule(layer))]


def refusals(design: Design, target: str) -> list[str]:
    """Why the target can't take the design; each reason once, with the first layer it is about."""
    simple = design.canonical()
    found: dict[str, str] = {}
    for number, layer in enumerate(simple.layers):
        for reason in layer_refusals(layer, target):
            found.setdefault(reason, f"layer {number}: {reason}")
    if found:  # rules on all layers assume layers that can be taken
        return list(found.values())
    return [reason for rule in _target(target).design_rules if (reason := rule(simple))]


def _target(name: str) -> Target:
    if name not in TARGETS:
        raise DesignError(f"there is no target {name!r}; the targets are {', '.join(TARGETS)}")
    return TARGETS[name]


def _causal(layer: LayerDesign) -> str | None:
    if layer.kind == "causal":
        return None
    return f"only decoders are exported so far, but the layer is {layer.kind}"


def _own_keys(layer: LayerDesign) -> str | None:
    if layer.sharing == OwnKV():
        return None
    return f"each layer needs its own keys and values, but this has {layer.sharing.describe()}"


def _one_pattern(layer: LayerDesign) -> str | None:
    if layer.split is None:
        return None
    return "all heads of a layer attend in one pattern, but these are split between two"


def _no_gate(layer: LayerDesign) -> str | None:
    return None if layer.gate == NoGate() else "the architecture has no gate after attention"


def _dense(layer: LayerDesign) -> str | None:
    if layer.pattern == Dense():
        return None
    return f"every layer must be dense, but this is {layer.pattern.describe()}"


def _dense_or_window(layer: LayerDesign) -> str | None:
    if isinstance(layer.pattern, Dense | SlidingWindow):
        return None
    return f"layers are dense or have a sliding window, but this is {layer.pattern.describe()}"


def _scaled(layer: LayerDesign) -> str | None:
    if layer.score == ScaledDot():
        return None
    return f"scores are scaled dot products, but these are {layer.score.describe()}"


def _scaled_or_cosine(layer: LayerDesign) -> str | None:
    return None if layer.score == Cosine() else _scaled(layer)


def _rotary(layer: LayerDesign) -> str | None:
    if isinstance(layer.position, Rotary):
        return None
    return f"every layer must have rotary positions, but this has {layer.position.describe()}"


def _rotary_or_none(layer: LayerDesign) -> str | None:
    return None if layer.position == NoPosition() else _rotary(layer)


def _head_dim_of_vllm(layer: LayerDesign) -> str | None:
    if layer.heads.dim in VLLM_HEAD_DIMS:
        return None
    return f"the head dimension must be one of {_listed(VLLM_HEAD_DIMS)}, but is {layer.heads.dim}"


def _same_heads(design: Design) -> str | None:
    heads = {layer.heads for layer in design.layers}
    if len(heads) == 1:
        return None
    words = sorted(f"{h.query}:{h.kv} × {h.dim}" for h in heads)
    return f"all layers must have the same heads, but these have {', '.join(words)}"


def _same_head_dim(design: Design) -> str | None:
    dims = sorted({layer.heads.dim for layer in design.layers})
    if len(dims) == 1:
        return None
    return f"all layers must have one head dimension, but these have {_listed(dims)}"


def _one_window(design: Design) -> str | None:
    patterns = [layer.pattern for layer in design.layers]
    windows = sorted({p.window for p in patterns if isinstance(p, SlidingWindow)})
    if len(windows) <= 1:
        return None
    return f"all windows must be of one size, but these are {_listed(windows)}"


def _one_base(design: Design) -> str | None:
    positions = [layer.position for layer in design.layers]
    bases = sorted({p.base for p in positions if isinstance(p, Rotary)})
    if len(bases) <= 1:
        return None
    return f"all layers must have one rotary base, but these have {_listed(bases)}"


def _cosine_as_in_qwen(design: Design) -> str | None:
    """Normalised queries and keys are Qwen3's, so all else must be as well."""
    cosine = [layer.score == Cosine() for layer in design.layers]
    if not any(cosine):
        return None
    if not all(cosine):
        return "cosine scores are for all layers or none, but these have both"
    if all(_dense(layer) is None and _rotary(layer) is None for layer in design.layers):
        return None
    return "with cosine scores every layer must be dense and have rotary positions"


def _width_in_heads(design: Design) -> str | None:
    """transformers' LlamaConfig checks it, though it knows a head dimension of its own."""
    query = design.layers[0].heads.query
    if design.width % query == 0:
        return None
    return (
        f"the width must be a multiple of the query heads, but got width={design.width}, "
        f"query={query}"
    )


def _listed(values: tuple[int, ...] | list[int] | list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


_ANYWHERE: tuple[LayerRule, ...] = (_causal, _own_keys, _one_pattern, _no_gate)
_LLAMA: tuple[LayerRule, ...] = (*_ANYWHERE, _dense, _scaled, _rotary)
_NATIVE: tuple[LayerRule, ...] = (*_ANYWHERE, _dense_or_window, _scaled_or_cosine, _rotary_or_none)
_NATIVE_MIX: tuple[DesignRule, ...] = (_same_heads, _one_window, _one_base, _cosine_as_in_qwen)

TARGETS = {
    target.name: target
    for target in (
        Target(
            "native-llama",
            "transformers' Llama",
            _LLAMA,
            (_same_heads, _one_base, _width_in_heads),
        ),
        Target("native", "an architecture that transformers has", _NATIVE, _NATIVE_MIX),
        Target("vllm", "vLLM", (*_NATIVE, _head_dim_of_vllm), _NATIVE_MIX),
        Target("llama.cpp", "llama.cpp, as GGUF", _LLAMA, (_same_head_dim, _one_base)),
    )
}

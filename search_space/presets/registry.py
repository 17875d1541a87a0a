"""The presets by name, each with its source.

Each shows one published idea on otherwise plain layers (rotary positions, scaled dot product), so
that presets differ in that idea alone.
"""

from __future__ import annotations

from search_space.design import Design, ModelKind
from search_space.errors import DesignError
from search_space.patterns import LowRank
from search_space.presets import recipes
from search_space.presets.preset import Preset, Stack

DEFAULT_PRESETS = ("mha", "gqa", "mqa", "sliding-window")  # trained unless told otherwise

ALL: tuple[ModelKind, ...] = ("decoder", "encoder", "encoder-decoder")
DECODER: tuple[ModelKind, ...] = ("decoder",)
ENCODER: tuple[ModelKind, ...] = ("encoder",)
BOTH: tuple[ModelKind, ...] = ("decoder", "encoder")

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "mha",
            "multi-head attention over the whole context",
            "Vaswani et al. 2017, arXiv:1706.03762",
            ALL,
            recipes.alike(Stack.multi),
        ),
        Preset(
            "gqa",
            "grouped-query attention: four query heads share a KV head (two of fewer than eight)",
            "Ainslie et al. 2023, arXiv:2305.13245; Llama 3 uses 4:1",
            ALL,
            recipes.alike(Stack.grouped),
        ),
        Preset(
            "mqa",
            "multi-query attention: one KV head for all query heads",
            "Shazeer 2019, arXiv:1911.02150",
            ALL,
            recipes.alike(Stack.multi_query),
        ),
        Preset(
            "sliding-window",
            "grouped-query attention over a window of an eighth of the context",
            "Mistral 7B, Jiang et al. 2023, arXiv:2310.06825 (window 4096 of 32768)",
            BOTH,
            recipes.alike(lambda stack: stack.grouped(stack.window())),
        ),
        Preset(
            "local-global",
            "five layers with a window of 1024 (at most an eighth of the context), then one dense",
            "Gemma 3, 2025, arXiv:2503.19786; without its norms and second rotary base",
            DECODER,
            recipes.local_global,
        ),
        Preset(
            "sinks",
            "the first four positions and a window of an eighth of the context, grouped-query",
            "StreamingLLM, Xiao et al. 2023, arXiv:2309.17453",
            DECODER,
            recipes.alike(recipes.sinks),
        ),
        Preset(
            "strided",
            "the last s positions and every s-th before, s the root of the context",
            "Sparse Transformer, Child et al. 2019, arXiv:1904.10509",
            DECODER,
            recipes.alike(recipes.strided),
        ),
        Preset(
            "longformer",
            "a sixteenth of the context to either side (at most 256) and one global token",
            "Longformer, Beltagy et al. 2020, arXiv:2004.05150 (256 of 4096)",
            ENCODER,
            recipes.alike(recipes.longformer),
        ),
        Preset(
            "big-bird",
            "three blocks of window, two global and about three random of 64",
            "BigBird, Zaheer et al. 2020, arXiv:2007.14062 (blocks of 64 in 4096)",
            BOTH,
            recipes.alike(recipes.big_bird),
        ),
        Preset(
            "linformer",
            "a quarter of the context (at most 256) as learned mixtures of all positions",
            "Linformer, Wang et al. 2020, arXiv:2006.04768 (128 of 512, 256 of 1024)",
            ENCODER,
            recipes.alike(lambda stack: stack.multi(LowRank(max(1, min(256, stack.context // 4))))),
        ),
        Preset(
            "mla",
            "latent keys and values of four head dimensions, and half a one for rotary",
            "DeepSeek-V2, 2024, arXiv:2405.04434 (512 and 64 at head dimension 128)",
            DECODER,
            recipes.alike(recipes.latent),
        ),
        Preset(
            "cla",
            "multi-query attention whose every second layer reuses the keys of the one before",
            "Cross-layer attention, Brandon et al. 2024, arXiv:2405.12981 (CLA2)",
            DECODER,
            recipes.cross_layer,
        ),
        Preset(
            "yoco",
            "windows in the lower half, then one dense layer whose keys all above it reuse",
            "YOCO, Sun et al. 2024, arXiv:2405.05254 (window 1024)",
            DECODER,
            recipes.decode_once,
        ),
        Preset(
            "albert",
            "one multi-head block, used at every depth",
            "ALBERT, Lan et al. 2019, arXiv:1909.11942",
            BOTH,
            recipes.albert,
        ),
        Preset(
            "linear-hybrid",
            "three gated linear layers, then one dense; no positions",
            "three to one and no positions: Kimi Linear, 2025, arXiv:2510.26692; the linear layers "
            "are Mamba-2's, Dao and Gu 2024, arXiv:2405.21060",
            DECODER,
            recipes.linear_hybrid,
        ),
        Preset(
            "nope-hybrid",
            "grouped-query attention, every fourth layer without positions",
            "Yang et al. 2025, arXiv:2501.18795, as in SmolLM3",
            DECODER,
            recipes.nope_hybrid,
        ),
    )
}


def preset(
    name: str,
    *,
    width: int,
    depth: int,
    context: int,
    heads: int,
    dim: int,
    kind: ModelKind = "decoder",
) -> Design:
    """The preset called `name` at the given sizes."""
    if name not in PRESETS:
        raise DesignError(f"there is no preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name].build(
        width=width, depth=depth, context=context, heads=heads, dim=dim, kind=kind
    )

"""What a target takes, and the sentence where it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search_space import (
    PRESETS,
    Additive,
    Alibi,
    BlockLocal,
    Cosine,
    Design,
    DesignError,
    Dot,
    GatedLinear,
    HeadGate,
    Heads,
    LatentKV,
    LayerDesign,
    NoPosition,
    OneTensor,
    ReusedKV,
    Rotary,
    SlidingWindow,
    Split,
    preset,
)
from search_space.deployability import TARGETS, layer_refusals, refusals

HEADS = Heads.grouped(8, kv=2, dim=32)
DENSE = LayerDesign(HEADS)
LOCAL = LayerDesign(HEADS, SlidingWindow(64))
NOPE = LayerDesign(HEADS, position=NoPosition())
QWEN = LayerDesign(HEADS, score=Cosine())
LLAMA = {"native-llama", "native", "vllm", "llama.cpp"}
NATIVE = {"native", "vllm"}


def takers(*layers: LayerDesign) -> set[str]:
    return {target for target in TARGETS if not refusals(Design(256, 512, layers), target)}


@pytest.mark.parametrize(
    ("layers", "targets"),
    [
        ((DENSE, DENSE), LLAMA),
        ((DENSE, replace(DENSE, tied=True)), LLAMA),
        ((DENSE, replace(DENSE, pattern=SlidingWindow(512))), LLAMA),  # as long as the context
        ((replace(DENSE, position=Rotary(5e5)),) * 2, LLAMA),
        ((DENSE, replace(DENSE, heads=Heads(8, 1, 32))), {"llama.cpp"}),
        ((DENSE, replace(DENSE, heads=Heads(4, 2, 32))), {"llama.cpp"}),
        ((DENSE, replace(DENSE, heads=Heads(8, 2, 64))), set()),
        ((DENSE, replace(DENSE, position=Rotary(500))), set()),
        ((replace(DENSE, heads=Heads(6, 2, 32)),), LLAMA - {"native-llama"}),
        ((replace(DENSE, heads=Heads(8, 2, 16)),), LLAMA - {"vllm"}),
        ((LOCAL, DENSE), NATIVE),
        ((LOCAL, LOCAL), NATIVE),
        ((LOCAL, replace(LOCAL, pattern=SlidingWindow(65))), set()),
        ((LOCAL, NOPE), NATIVE),
        ((DENSE, NOPE), NATIVE),
        ((QWEN, QWEN), NATIVE),
        ((QWEN, DENSE), set()),
        ((QWEN, replace(QWEN, pattern=SlidingWindow(64))), set()),
        ((QWEN, replace(QWEN, position=NoPosition())), set()),
        ((replace(DENSE, kind="bidirectional"),), set()),
    ],
)
def test_a_target_takes_what_was_measured_there(
    layers: tuple[LayerDesign, ...], targets: set[str]
) -> None:
    assert takers(*layers) == targets


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (replace(DENSE, sharing=LatentKV(32, 8)), "its own keys and values, but this has latent"),
        (replace(DENSE, sharing=OneTensor()), "its own keys and values, but this has K = V"),
        (replace(DENSE, sharing=ReusedKV()), "its own keys and values, but this has reused KV"),
        (replace(DENSE, split=Split(SlidingWindow(8), 1)), "are split between two"),
        (replace(DENSE, gate=HeadGate()), "no gate after attention"),
        (replace(DENSE, score=Dot()), "scores are scaled dot products, but these are unscaled"),
        (replace(NOPE, score=Additive()), "scaled dot products, but these are additive"),
        (replace(DENSE, position=Alibi()), "rotary positions, but this has ALiBi"),
        (replace(DENSE, pattern=GatedLinear()), "but this is gated linear"),
        (replace(DENSE, pattern=BlockLocal(8)), "but this is block 8"),
        (replace(NOPE, kind="cross"), "only decoders are exported so far, but the layer is cross"),
    ],
)
def test_no_target_takes_a_layer_out_of_the_ordinary(layer: LayerDesign, words: str) -> None:
    for target in TARGETS:
        assert any(words in reason for reason in layer_refusals(layer, target))


@pytest.mark.parametrize(
    ("layers", "target", "reasons"),
    [
        ((LOCAL, DENSE, LOCAL), "llama.cpp", ["layer 0: every layer must be dense, but"]),
        ((DENSE, NOPE), "native-llama", ["layer 1: every layer must have rotary positions"]),
        (
            (replace(LOCAL, gate=HeadGate()),),
            "native-llama",
            ["layer 0: the architecture has no gate", "layer 0: every layer must be dense"],
        ),
        (
            (DENSE, replace(DENSE, heads=Heads(8, 8, 32))),
            "native",
            ["all layers must have the same heads, but these have 8:2 × 32, 8:8 × 32"],
        ),
        (
            (DENSE, replace(DENSE, heads=Heads(8, 8, 16), position=Rotary(500))),
            "llama.cpp",
            [
                "all layers must have one head dimension, but these have 16, 32",
                "all layers must have one rotary base, but these have 500, 10000",
            ],
        ),
        (
            (LOCAL, replace(LOCAL, pattern=SlidingWindow(8))),
            "vllm",
            ["all windows must be of one size, but these are 8, 64"],
        ),
        ((QWEN, DENSE), "native", ["cosine scores are for all layers or none"]),
        ((QWEN, replace(QWEN, pattern=SlidingWindow(8))), "native", ["with cosine scores every"]),
        (
            (replace(DENSE, heads=Heads(6, 2, 32)),),
            "native-llama",
            ["the width must be a multiple of the query heads, but got width=256, query=6"],
        ),
        (
            (replace(DENSE, heads=Heads(8, 2, 40)),),
            "vllm",
            ["layer 0: the head dimension must be one of 32, 64, 96, 128, 192, 256, but is 40"],
        ),
    ],
)
def test_a_refusal_names_the_rule_and_the_place(
    layers: tuple[LayerDesign, ...], target: str, reasons: list[str]
) -> None:
    found = refusals(Design(256, 512, layers), target)
    assert len(found) == len(reasons)
    for sentence, start in zip(found, reasons, strict=True):
        assert sentence.startswith(start)


def test_what_llama_takes_is_native_and_runs_in_llama_cpp() -> None:
    for name, made in PRESETS.items():
        for kind in made.kinds:
            sizes = {"width": 256, "depth": 4, "context": 512, "heads": 8, "dim": 32}
            design = preset(name, **sizes, kind=kind)
            if not refusals(design, "native-llama"):
                assert takers(*design.layers) == LLAMA


def test_an_unknown_target_is_refused() -> None:
    words = "no target 'onnx'; the targets are native-llama, native, vllm, llama.cpp"
    with pytest.raises(DesignError, match=words):
        refusals(Design(256, 512, (DENSE,)), "onnx")

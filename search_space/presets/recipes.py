"""Recipes: how the layers of each preset follow from a stack's sizes.

Where a context is too short for an idea, a layer takes the form that it has there: dense.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from search_space.layer import LayerDesign
from search_space.patterns import BigBird, GatedLinear, GlobalWindow, SinkWindow, Strided
from search_space.positions import NoPosition
from search_space.presets.preset import Recipe, Stack
from search_space.sharing import LatentKV, ReusedKV


def alike(layer: Callable[[Stack], LayerDesign]) -> Recipe:
    """The same layer at every depth."""
    return lambda stack: [layer(stack)] * stack.depth


def local_global(stack: Stack) -> list[LayerDesign]:
    """Five windows to one dense layer."""
    return stack.every(6, stack.grouped(stack.window(1024)), stack.grouped())


def nope_hybrid(stack: Stack) -> list[LayerDesign]:
    """Three layers with rotary positions to one without."""
    return stack.every(4, stack.grouped(), replace(stack.grouped(), position=NoPosition()))


def linear_hybrid(stack: Stack) -> list[LayerDesign]:
    """Three layers with a state to one with a cache."""
    linear, dense = stack.multi(GatedLinear()), stack.grouped()
    return stack.every(4, *(replace(layer, position=NoPosition()) for layer in (linear, dense)))


def strided(stack: Stack) -> LayerDesign:
    """A stride near the root of the context, as the paper advises."""
    return stack.multi(Strided(math.isqrt(stack.context)))


def sinks(stack: Stack) -> LayerDesign:
    """A sliding window's share of the context, and four sinks."""
    return stack.grouped(SinkWindow(max(1, stack.context // 8), sinks=4))


def longformer(stack: Stack) -> LayerDesign:
    """256 positions to either side of 4096 and the token itself."""
    return stack.multi(GlobalWindow(min(256, stack.context // 16) + 1, globals=1))


def big_bird(stack: Stack) -> LayerDesign:
    """Three blocks of window, two global, three random; mirror images nearly double two kinds."""
    block = max(1, min(64, stack.context // 64))
    window, random = (3, 3) if stack.kind == "causal" else (2, 2)
    return stack.multi(BigBird(block, window, globals=2, random=random))


def latent(stack: Stack) -> LayerDesign:
    """DeepSeek-V2's proportions to the head dimension."""
    turned = max(2, stack.dim // 4 * 2)  # half of the head dimension, rounded down to even
    return replace(stack.multi(), sharing=LatentKV(4 * stack.dim, turned))


def cross_layer(stack: Stack) -> list[LayerDesign]:
    """Layers in pairs that have keys and values in common."""
    own = stack.multi_query()
    return [replace(own, sharing=ReusedKV()) if i % 2 else own for i in range(stack.depth)]


def decode_once(stack: Stack) -> list[LayerDesign]:
    """Windows below; above, queries to the keys and values of one dense layer."""
    lower = stack.depth // 2
    local, own = stack.grouped(stack.window(1024)), stack.grouped()
    reusing = replace(own, sharing=ReusedKV())
    return [local] * lower + [own] + [reusing] * (stack.depth - lower - 1)


def albert(stack: Stack) -> list[LayerDesign]:
    """One block, tied at every depth."""
    first = stack.multi()
    return [first] + [replace(first, tied=True)] * (stack.depth - 1)

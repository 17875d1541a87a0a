"""Time and memory of every pattern against dense attention, through the layers that models use.

Candidates and dense alternate in one loop; figures are medians of paired ratios. Bytes are counted,
not sampled (evaluator/peak_bytes.py).

    python benchmarks/kernels.py [--lengths 1024 4096] [--only strided] [--repeats 3] [--quick]
    python benchmarks/kernels.py --write   # also docs/kernels.md and its picture, in 9 minutes

Shapes: H heads, T tokens, D head dimension.
"""

from __future__ import annotations

import argparse
import itertools
import math
import platform
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from kernels_page import (  # pyright: ignore[reportMissingImports]
    PAGE,
    PATTERN_HEADING,
    Row,
    bar_lines,
    draw,
    fill,
    pattern_line,
    table,
)
from torch import Tensor

import search_space as space
from evaluator.kernels import sliding_window
from evaluator.kernels.flex import attend_flex
from evaluator.peak_bytes import peak_bytes
from evaluator.rotary import rotary_turn
from evaluator.stack import attention_of
from search_space import Dense, Heads, Kind, LayerDesign, Pattern, SlidingWindow

HEADS, DIM = 8, 64
WIDTH = HEADS * DIM
PATTERNS: dict[Kind, list[Pattern]] = {
    "causal": [
        *(SlidingWindow(window) for window in (64, 256, 1024)),
        *(space.DilatedWindow(window, 4) for window in (64, 256)),
        *(space.BlockLocal(block) for block in (64, 256)),
        *(space.Strided(stride) for stride in (64, 256)),
        *(space.SinkWindow(window, 4) for window in (64, 256)),
        *(space.BigBird(block, 3, 1, 2) for block in (16, 64)),
        *(space.Hierarchical(256, block) for block in (16, 64)),
        space.Linear(),
        space.GatedLinear(),
    ],
    "bidirectional": [
        *(SlidingWindow(window) for window in (64, 256)),
        space.DilatedWindow(64, 4),
        space.BlockLocal(256),
        space.Strided(64),
        space.GlobalWindow(256, 16),
        space.BigBird(64, 3, 1, 2),
        space.Linear(),
        space.LowRank(128),
    ],
}
# Scores that no fused kernel takes, and lengths up to which they take no minutes.
SCORES = {
    "ALiBi": ({"position": space.Alibi()}, 4096),
    "additive": ({"score": space.Additive(), "position": space.NoPosition()}, 2048),
}
LATENT = space.LatentKV(rank=128, rotary_dim=32)
MASKS_UP_TO = 4096  # tokens; masks and bidirectional layers take minutes beyond
DECODE_STEPS = 20  # tokens of a sample
DECODE_REPEATS = 5  # times as many as of sequences, since a token is short
Work = Callable[[], object]
Both = tuple[Work, Work]  # forward, and forward + backward
Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # queries, keys, values, layer's input
Works = Callable[[Attend, tuple[Tensor, ...]], Both]  # of what attends, and what it learns


def layer_of(
    pattern: Pattern, length: int, kind: Kind = "causal", kv: int = HEADS, **more: Any
) -> Any:
    """A layer's attention as a model builds it."""
    return attention_of(
        WIDTH, length, LayerDesign(Heads(HEADS, kv, DIM), pattern, kind=kind, **more)
    )


def rounds(works: Mapping[Any, Work], repeats: int) -> dict[Any, list[float]]:
    """Seconds of each work, one after the other and over again, after a round of warming up."""
    times: dict[Any, list[float]] = {key: [] for key in works}
    for turn in range(repeats + 1):
        for key, work in works.items():
            started = time.perf_counter()
            work()
            if turn:
                times[key].append(time.perf_counter() - started)
    return times


def shares(works: Mapping[Any, Work], repeats: int, of: Hashable = "dense") -> dict[Any, float]:
    """Each work's time over that of one among them: medians over the rounds."""
    return {
        key: statistics.median(some) for key, some in ratios(rounds(works, repeats), of).items()
    }


def ratios(times: Mapping[Any, list[float]], of: Hashable) -> dict[Any, list[float]]:
    """Each work's times over those of one among them, round by round."""
    return {
        key: [a / b for a, b in zip(some, times[of], strict=True)] for key, some in times.items()
    }


def least_median(some: list[float]) -> float:
    """The lower end of a 95% interval of the median, by order (sign test); the least of few."""
    count = len(some)
    below = itertools.accumulate(math.comb(count, k) / 2**count for k in range(count))
    return sorted(some)[max(0, sum(share <= 0.025 for share in below) - 1)]


def repeats_at(length: int, repeats: int) -> int:
    """So many at 4096 tokens, and more where they are cheap."""
    return min(8 * repeats, max(min(repeats, 3), repeats * 4096 // length))


def between_projections(length: int, trains: bool = True) -> Works:
    """Forward, and forward + backward, of what attends: all works of a length share inputs.

    Queries and keys lie as rotary leaves them, (1, H, T, D), values and output as the projections
    have them, (1, T, H * D): whatever a kernel has to copy is in its time.
    """
    query, keys = (torch.randn(1, HEADS, length, DIM, requires_grad=trains) for _ in range(2))
    flat = torch.randn(1, length, WIDTH, requires_grad=trains)
    grad, x = torch.randn(1, length, WIDTH), torch.randn(1, length, WIDTH)

    def works(attend: Attend, learned: tuple[Tensor, ...]) -> Both:
        def forward() -> Tensor:
            values = flat.unflatten(-1, (HEADS, DIM)).transpose(1, 2)
            return attend(query, keys, values, x).transpose(1, 2).reshape(flat.shape)

        def both() -> object:
            return torch.autograd.grad(forward(), (query, keys, flat, *learned), grad)

        return torch.no_grad()(forward), both

    return works


def mixer_works(mixer: Any, works: Works) -> Both:
    """A layer's heads over a whole sequence."""
    return works(
        lambda q, k, v, x: mixer(q, mixer.take_in(k, v, None, x)), tuple(mixer.parameters())
    )


def masked_works(pattern: Pattern, kind: Kind, length: int, works: Works) -> Both:
    """What a kernel has to beat: SDPA with the pattern's mask."""
    at = torch.arange(length).numpy()
    mask = torch.from_numpy(pattern.visible(at[:, None], at[None, :], kind))
    return works(lambda q, k, v, x: F.scaled_dot_product_attention(q, k, v, attn_mask=mask), ())


def layer_bytes(attention: Any, length: int) -> int:
    """Peak of a layer's forward + backward: projections, rotary, heads."""
    x = torch.randn(1, length, WIDTH, requires_grad=True)
    key = attention.turned_by
    turns = {key: rotary_turn(key[0], key[1], 0, length, x)} if key else {}
    leaves, grad = [x, *attention.parameters()], torch.randn(1, length, WIDTH)
    return peak_bytes(
        lambda: torch.autograd.grad(attention(x, turns)[0], leaves, grad), [*leaves, grad]
    )


def family_rows(patterns: list[Pattern], kind: Kind, length: int, repeats: int) -> list[Row]:
    """Patterns that share a dense and a masked work; a mask costs the same whatever it hides."""
    works = between_projections(length)
    layers = {pattern: layer_of(pattern, length, kind) for pattern in patterns}
    dense = layer_of(Dense(), length, kind)
    timed: dict[Any, Both] = {"dense": mixer_works(dense.mixers[0], works)}
    if length <= MASKS_UP_TO and patterns[0].tokens_only:
        timed["masked"] = masked_works(patterns[0], kind, length, works)
    timed |= {pattern: mixer_works(made.mixers[0], works) for pattern, made in layers.items()}
    times = [
        rounds({key: pair[way] for key, pair in timed.items()}, repeats_at(length, repeats))
        for way in (0, 1)
    ]
    forward, both = (
        {key: statistics.median(some) for key, some in ratios(way, "dense").items()}
        for way in times
    )
    over_masked = [ratios(way, "masked") if "masked" in way else {} for way in times]
    dense_bytes = layer_bytes(dense, length)
    return [
        Row(
            pattern,
            kind,
            length,
            pattern.attended_pairs(length, kind) / Dense().attended_pairs(length, kind),
            forward[pattern],
            both[pattern],
            forward.get("masked"),
            both.get("masked"),
            tuple(least_median(way[pattern]) for way in over_masked if way),
            layer_bytes(layers[pattern], length) / dense_bytes,
        )
        for pattern in patterns
    ]


def pattern_rows(lengths: list[int], only: str, repeats: int) -> list[Row]:
    """Every pattern that is a part of its sequence at every length; progress goes to the screen."""
    rows = []
    for length, (kind, patterns) in itertools.product(lengths, PATTERNS.items()):
        if kind == "bidirectional" and length > MASKS_UP_TO:
            continue
        fitting = [p for p in patterns if p.canonical(length, kind) == p and only in p.name]
        by_name = [list(some) for _, some in itertools.groupby(fitting, lambda p: p.name)]
        for family in by_name if length <= MASKS_UP_TO else filter(None, [fitting]):
            for row in family_rows(family, kind, length, repeats):
                rows.append(row)
                print(pattern_line(row), flush=True)
    return rows


def score_lines(lengths: list[int], repeats: int) -> list[str]:
    """Dense attention with scores that no fused kernel takes."""
    lines = []
    for (name, (more, longest)), length in itertools.product(SCORES.items(), lengths):
        if length > longest:
            continue
        works = between_projections(length)
        plain = layer_of(Dense(), length, position=space.NoPosition())
        scored = layer_of(Dense(), length, **more)
        pairs = [mixer_works(made.mixers[0], works) for made in (plain, scored)]
        forward, both = (
            shares({"dense": pairs[0][way], name: pairs[1][way]}, repeats)[name] for way in (0, 1)
        )
        counted = layer_bytes(scored, length)
        lines.append(
            f"| {length} | {name} | {forward:.1f} | {both:.1f} | {counted / 2**20:.0f} MiB "
            f"| {counted / layer_bytes(plain, length):.2f} |"
        )
    return table("| n | score | forward | both | bytes | over dense |", lines)


def decode_work(attention: Any, context: int) -> Work:
    """Tokens at position `context - 1`, everything before cached: projections left out."""
    mixer, like = attention.mixers[0], torch.zeros(1)
    (cache,) = attention.new_cache(1, context, like)
    for tensor in cache.tensors:
        tensor.uniform_()
    groups = attention.kv_counts[0]
    query, key, value = (torch.randn(1, heads, 1, DIM) for heads in (HEADS, groups, groups))
    x = torch.randn(1, 1, WIDTH)

    def steps() -> None:
        for _ in range(DECODE_STEPS):
            cache.rewind(context - 1)
            mixer(query, mixer.take_in(key, value, cache, x))

    return torch.no_grad()(steps)


def decode_lines(lengths: list[int], only: str, repeats: int) -> list[str]:
    """Per context, microseconds and the share of multi-head dense; then last over first."""
    chosen: list[tuple[Pattern, int]] = [(Dense(), kv) for kv in (HEADS, 2, 1)]
    own = [p for p in PATTERNS["causal"] if only in p.name]
    chosen += [(SlidingWindow(256), 2), *((pattern, HEADS) for pattern in own)]
    lines = []
    for pattern, kv in chosen:
        contexts = [n for n in lengths if pattern.canonical(n, "causal") == pattern]
        if not contexts:
            continue
        works: dict[Any, Work] = {}
        for context in contexts:
            works["dense", context] = decode_work(layer_of(Dense(), context), context)
            works["own", context] = decode_work(layer_of(pattern, context, kv=kv), context)
        times = rounds(works, repeats)
        cells = dict.fromkeys(lengths, "")
        for context in contexts:
            this = times["own", context]
            over = zip(this, times["dense", context], strict=True)
            micros = statistics.median(this) / DECODE_STEPS * 1e6
            cells[context] = f"{micros:.0f} ({statistics.median(a / b for a, b in over):.2f})"
        ends = zip(times["own", contexts[-1]], times["own", contexts[0]], strict=True)
        grown = statistics.median(a / b for a, b in ends)
        lines.append(
            f"| {pattern.describe()} | {kv} | {' | '.join(cells.values())} | {grown:.2f} |"
        )
    contexts = " | ".join(map(str, lengths))
    return table(f"| pattern | KV heads | {contexts} | last over first |", lines)


def latent_lines(lengths: list[int], repeats: int) -> list[str]:
    """Whole layers, since latent attention's products are what it is about."""
    lines = []
    for length in (n for n in lengths if n <= MASKS_UP_TO):
        forwards, steps = {}, {}
        for name, sharing in (("dense", space.OwnKV()), ("latent", LATENT)):
            made = layer_of(Dense(), length, sharing=sharing)
            forwards[name], steps[name] = layer_works(made, length)
        prefill = shares(forwards, repeats)["latent"]
        decode = shares(steps, DECODE_REPEATS * repeats)["latent"]
        lines.append(f"| {length} | {prefill:.2f} | {decode:.2f} |")
    return table("| n | prompt | decode |", lines)


def layer_works(attention: Any, length: int) -> Both:
    """A prompt through a layer with its projections, and tokens after `length - 1` others."""
    x, key = torch.randn(1, length, WIDTH), attention.turned_by
    whole = rotary_turn(key[0], key[1], 0, length, x)
    last = tuple(part[-1:] for part in whole)
    caches = attention.new_cache(1, length, x)
    for tensor in caches[0].tensors:
        tensor.normal_()

    def steps() -> None:
        for _ in range(DECODE_STEPS):
            caches[0].rewind(length - 1)
            attention(x[:, -1:], {key: last}, caches)

    return torch.no_grad()(lambda: attention(x, {key: whole})), torch.no_grad()(steps)


def flex_lines(length: int, repeats: int) -> list[str]:
    """Compiled FlexAttention, forward only on CPU, beside the mixers; some seconds to compile."""
    works = between_projections(length, trains=False)
    lines = []
    for pattern in (SlidingWindow(256), space.SinkWindow(256, 4), space.Strided(64)):
        mixer = layer_of(pattern, length).mixers[0]

        def flex(q: Tensor, k: Tensor, v: Tensor, x: Tensor, kernel: Any = mixer.kernel) -> Tensor:
            return attend_flex(q, k, v, kernel, causal=True, scale=None)

        dense = mixer_works(layer_of(Dense(), length).mixers[0], works)[0]
        timed = {"dense": dense, "own": mixer_works(mixer, works)[0], "flex": works(flex, ())[0]}
        found = shares(timed, repeats)
        lines.append(
            f"| {length} | {pattern.describe()} | {found['own']:.3f} | {found['flex']:.3f} |"
        )
    return table("| n | pattern | ours | FlexAttention |", lines)


def chunk_lines(repeats: int) -> list[str]:
    """The window kernel at n=4096, window 256, by the rows of a chunk."""
    lines, kept = [], sliding_window.CHUNK
    for chunk in (32, 64, 128, 256):
        sliding_window.CHUNK = chunk
        (row,) = family_rows([SlidingWindow(256)], "causal", 4096, repeats)
        lines.append(f"| {chunk} | {row.forward:.3f} | {row.both:.3f} |")
    sliding_window.CHUNK = kept
    return lines


def machine_line(options: argparse.Namespace) -> str:
    """What the figures depend on."""
    models = Path("/proc/cpuinfo")
    lines = models.read_text().splitlines() if models.exists() else []
    cpu = next((line.split(": ")[1] for line in lines if "model name" in line), platform.machine())
    return (
        f"{cpu}, {options.threads} thread(s), torch {torch.__version__}, float32, batch 1, {HEADS} "
        f"heads of {DIM}; {options.repeats} rounds at 4096 tokens, more where they are shorter."
    )


def main() -> None:
    """Print all tables, and write docs/kernels.md and its picture on request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 4096, 16384])
    parser.add_argument("--only", default="", help="patterns whose name has this in it")
    parser.add_argument("--repeats", type=int, default=3, help="rounds at 4096 tokens")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="1024 tokens, one round")
    parser.add_argument(
        "--flex", action="store_true", help="FlexAttention too; compiles for a while"
    )
    parser.add_argument("--chunks", action="store_true", help="compare chunk lengths, nothing else")
    parser.add_argument("--write", action="store_true", help="write docs/kernels.md")
    options = parser.parse_args()
    if options.quick:
        options.lengths, options.repeats = [1024], 1
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    lengths, repeats, only = options.lengths, options.repeats, options.only
    if options.chunks:
        print("\n".join(chunk_lines(repeats)))
        return
    rows = pattern_rows(lengths, only, repeats)
    tables = {
        "machine": [machine_line(options)],
        "bars": bar_lines(rows),
        **{
            kind: table(PATTERN_HEADING, [pattern_line(row) for row in rows if row.kind == kind])
            for kind in PATTERNS
        },
        "scores": score_lines(lengths, repeats),
        "decode": decode_lines(lengths, only, DECODE_REPEATS * repeats),
        "latent": latent_lines(lengths, repeats),
    }
    if options.flex:
        tables["flex"] = flex_lines(min(MASKS_UP_TO, max(lengths)), repeats)
    for name, lines in tables.items():
        print(f"\n{name}", *lines, sep="\n")
    if options.write:
        fill(PAGE, tables)
        draw(rows)


if __name__ == "__main__":
    main()

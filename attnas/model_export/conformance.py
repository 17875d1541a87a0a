"""Conformance: does the exported file compute what the searched model computes?

The export is loaded, weights included, in a fresh process that refuses to import attnas' packages
(fresh_process.py). It runs a prompt longer than twice every window, whole, through its caches and
generating; its answers come back as tensors and are compared here with the model that was trained.

Shapes: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from attnas.model_export import fresh_process
from attnas.model_export.standalone import WEIGHTS
from evaluator import CausalLM
from search_space import Design, counts

TOLERANCE = 1e-4  # float32, absolute, on logits
NEW_TOKENS = 8
SINGLE_STEPS = 64  # tokens decoded one by one: slow, and more of them show nothing new
PAST_WINDOW = SINGLE_STEPS + 1  # tokens in the cache beyond the longest window: a chunk and one
LONGEST_CHUNK = 1024  # new tokens after cached ones; their mask is chunk x cache
SHORT_PROMPT = 2048  # tokens; up to here a batch of two, beyond it one sequence
COMPARED_AT_ONCE = 4096  # positions, so that comparing long prompts needs no third (B, T, V)


@dataclass(frozen=True, slots=True)
class Check:
    """One property of the export: what was asked, whether it held, and the figure."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """What the export is asked to compute: a prompt, cut into pieces for the caches."""

    batch: int
    length: int  # tokens of the prompt
    steady: tuple[int, ...]  # more than a window at once, one by one, then the rest as a chunk
    filling: tuple[int, ...]  # from a nearly empty cache: few tokens, one by one, a chunk
    new_tokens: int  # generated after the first of `steady`

    @classmethod
    def of(cls, design: Design) -> Exercise:
        """Beyond every window of the canonical design, as far as its context goes."""
        window = max(windows_of(design), default=0)
        length = min(max(2 * window + 17, window + 3 * PAST_WINDOW), design.context)
        beyond = length - window
        prefill = max(1, min(window + min(PAST_WINDOW, -(-beyond // 3)), length - 1))
        singles = min(SINGLE_STEPS, -(-(length - prefill) // 2))
        chunk = min(LONGEST_CHUNK, length - prefill - singles)
        return cls(
            batch=2 if length <= SHORT_PROMPT else 1,
            length=length,
            steady=_clipped([prefill, *[1] * singles, chunk], length),
            filling=_clipped([4, *[1] * 16, 13], length),
            new_tokens=min(NEW_TOKENS, design.context - prefill),
        )

    def tokens(self, vocabulary: int) -> Tensor:
        """The same random prompt each time, (B, T)."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(vocabulary, (self.batch, self.length), generator=generator)


def windows_of(design: Design) -> list[int]:
    """The design's distinct windows, in tokens."""
    windows = (getattr(layer.pattern, "window", None) for layer in design.layers)
    return sorted({window for window in windows if window is not None})


@torch.no_grad()
def check_standalone(folder: Path, design: Design, model: CausalLM) -> list[Check]:
    """Compare the export in `folder` with the searched `model`."""
    design, model = design.canonical(), model.eval()
    exercise = Exercise.of(design)
    tokens = exercise.tokens(model.lm_head.weight.shape[0])
    weights = None if (folder / WEIGHTS).exists() else model.state_dict()
    try:
        answers, facts = _in_fresh_process(folder, weights, tokens, exercise)
    except RuntimeError as error:
        return [Check("runs without attnas", False, str(error))]
    expected = model(tokens)  # (B, T, V)
    start = exercise.steady[0]
    again = model.generate(tokens[:, :start], exercise.new_tokens)
    counted = counts.kv_cache_bytes(design, exercise.length, "float32", batch=exercise.batch)
    whose = "the exported weights" if weights is None else "the searched model's weights, none kept"
    prompt = f"prompt of {exercise.length} tokens with {whose}"
    equal = _close("logits equal the searched model's", expected, answers["whole"], prompt)
    return [
        Check("runs without attnas", True, "every import of its packages is refused"),
        replace(equal, detail=equal.detail + _sharpness(design, model, tokens, expected)),
        _close(
            "cached decoding equals the whole prompt",
            answers["whole"],
            answers["steady"],
            _in_steps(exercise.steady),
        ),
        _close(
            "decoding from a nearly empty cache as well",
            answers["whole"],
            answers["filling"],
            _in_steps(exercise.filling),
        ),
        Check(
            "greedy tokens are the same",
            torch.equal(again, answers["generated"]),
            f"{exercise.new_tokens} tokens after {start}",
        ),
        Check(
            "the cache allocates what the counts say",
            facts["cache_bytes"] == counted,
            f"{facts['cache_bytes']:,} bytes allocated, {counted:,} counted",
        ),
    ]


def _sharpness(design: Design, model: CausalLM, tokens: Tensor, expected: Tensor) -> str:
    """Whether this prompt would show a window that is one key too long, window by window."""
    said = ""
    for window in windows_of(design):
        wrong = CausalLM(_widened(design, window), model.lm_head.weight.shape[0]).eval()
        wrong.load_state_dict(model.state_dict())
        change = _largest_difference(expected, wrong(tokens))
        if change > TOLERANCE:
            said += f"; one key more in window {window} would show ({change:.1e})"
        else:
            beyond = tokens.shape[1] - window
            said += (
                f"; window {window} is NOT put to the test: one key more changes logits by "
                f"{change:.1e}, with {beyond} positions of the context beyond the window"
            )
    return said


def _widened(design: Design, window: int) -> Design:
    """The design with `window` one key longer wherever it occurs."""
    layers = tuple(
        replace(layer, pattern=_wider(layer.pattern))
        if getattr(layer.pattern, "window", None) == window
        else layer
        for layer in design.layers
    )
    return replace(design, layers=layers)


def _wider(pattern: Any) -> Any:
    return replace(pattern, window=pattern.window + 1)


def _in_fresh_process(
    folder: Path, weights: dict[str, Tensor] | None, tokens: Tensor, exercise: Exercise
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The export's answers; `weights` go along only where it has none of its own."""
    request = {
        "passes": {"steady": exercise.steady, "filling": exercise.filling},
        "start": exercise.steady[0],
        "new_tokens": exercise.new_tokens,
    }
    with tempfile.TemporaryDirectory(prefix="attnas-check-") as name:
        exchange = Path(name)
        (exchange / "request.json").write_text(json.dumps(request))
        save_file({"tokens": tokens}, exchange / "tokens.safetensors")
        if weights is not None:
            save_file(weights, exchange / "weights.safetensors")
        command = [sys.executable, "-I", fresh_process.__file__, str(folder.resolve()), name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise RuntimeError(f"the exported file did not run: {last}")
        facts = json.loads((exchange / "facts.json").read_text())
        return load_file(exchange / "answers.safetensors"), facts


def _clipped(pieces: list[int], length: int) -> tuple[int, ...]:
    """The pieces that fit into `length` tokens, the last one cut."""
    kept: list[int] = []
    for piece in pieces:
        if left := min(piece, length - sum(kept)):
            kept.append(left)
    return tuple(kept)


def _in_steps(pieces: tuple[int, ...]) -> str:
    """`77 tokens, 64 one by one, 66 at once`."""
    first, *later = pieces
    singles = [piece for piece in later if piece == 1]
    chunks = [f", {piece} at once" for piece in later if piece > 1]
    return f"{first} tokens, {len(singles)} one by one{''.join(chunks)}"


def _close(name: str, whole: Tensor, other: Tensor, detail: str) -> Check:
    """Whether `other` equals the first positions of `whole`."""
    if not other.isfinite().all():
        return Check(name, False, f"{detail}; not all logits are finite")
    worst = _largest_difference(whole[:, : other.shape[1]], other)
    return Check(name, worst <= TOLERANCE, f"{detail}; largest difference {worst:.1e}")


def _largest_difference(one: Tensor, other: Tensor) -> float:
    pairs = zip(one.split(COMPARED_AT_ONCE, 1), other.split(COMPARED_AT_ONCE, 1), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def as_plain(checks: list[Check]) -> list[dict[str, Any]]:
    """For export.json."""
    return [asdict(check) for check in checks]

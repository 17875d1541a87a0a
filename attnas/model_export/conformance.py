"""Conformance: does the exported file compute what the searched model computes?

The export is loaded in a fresh process that can't see attnas' packages, run on a prompt longer
than twice every window, whole, cached and generating; its answers come back as tensors and are
compared here with the model that was trained.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from evaluator import CausalLM
from search_space import Design, counts

TOLERANCE = 1e-4  # float32, absolute, on logits
LONGEST_PROMPT = 2048  # tokens; float32 decoding of more is slow and shows nothing new
NEW_TOKENS = 8

# Runs inside the fresh process; argv: the export's folder, the exchange folder.
CHILD = """
import importlib.util, json, sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
torch.set_num_threads(1)
folder, exchange = Path(sys.argv[1]), Path(sys.argv[2])
spec = importlib.util.spec_from_file_location("exported_model", folder / "model.py")
module = importlib.util.module_from_spec(spec)
sys.modules["exported_model"] = module
spec.loader.exec_module(module)
model = module.load(folder, weights=False)
model.load_state_dict(load_file(exchange / "weights.safetensors"))
tokens = load_file(exchange / "tokens.safetensors")["tokens"]
with torch.no_grad():
    whole = model(tokens)
    caches = model.new_caches(*tokens.shape)
    half = tokens.shape[1] // 2
    pieces = [model(tokens[:, :half], caches)]
    pieces += [model(tokens[:, i : i + 1], caches) for i in range(half, tokens.shape[1])]
generated = model.generate(tokens[:, :half], int(sys.argv[3]))
save_file({"whole": whole, "cached": torch.cat(pieces, 1), "generated": generated},
          exchange / "answers.safetensors")
own = {"attnas", "evaluator", "search_space", "controller", "results", "dashboard"}
foreign = sorted({name.split(".")[0] for name in sys.modules} & own)
(exchange / "facts.json").write_text(json.dumps(
    {"foreign": foreign, "cache_bytes": sum(c.allocated_bytes for c in caches)}))
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One property of the export: what was asked, whether it held, and the figure."""

    name: str
    passed: bool
    detail: str


def check_standalone(folder: Path, design: Design, model: CausalLM) -> list[Check]:
    """Compare the export in `folder` with the searched `model`."""
    design, model = design.canonical(), model.eval()
    vocabulary = model.lm_head.weight.shape[0]
    length = prompt_length(design)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(vocabulary, (2, length), generator=generator)
    with torch.no_grad():
        expected = model(tokens)
    answers, facts = _in_fresh_process(folder, model.state_dict(), tokens)
    again = model.generate(tokens[:, : length // 2], NEW_TOKENS)
    counted = counts.kv_cache_bytes(design, length, "float32", batch=2)
    windows = [w for layer in design.layers if (w := getattr(layer.pattern, "window", None))]
    reach = f"prompt of {length} tokens"
    reach += f", longest window {max(windows)}" if windows else ", no window"
    return [
        _close("logits equal the searched model's", expected, answers["whole"], reach),
        _close(
            "cached decoding equals the whole prompt",
            answers["whole"],
            answers["cached"],
            f"{length - length // 2} tokens one by one",
        ),
        Check(
            "greedy tokens are the same",
            torch.equal(again, answers["generated"]),
            f"{NEW_TOKENS} tokens after {length // 2}",
        ),
        Check(
            "the cache allocates what the counts say",
            facts["cache_bytes"] == counted,
            f"{facts['cache_bytes']:,} bytes allocated, {counted:,} counted",
        ),
        Check(
            "runs without attnas",
            not facts["foreign"],
            "imports torch and safetensors only"
            if not facts["foreign"]
            else f"imported {', '.join(facts['foreign'])}",
        ),
    ]


def prompt_length(design: Design) -> int:
    """More than twice the longest window, within the context: short prompts hide lost windows."""
    windows = [getattr(layer.pattern, "window", 16) for layer in design.layers]
    return max(2, min(2 * max(windows) + 17, design.context - NEW_TOKENS, LONGEST_PROMPT))


def _in_fresh_process(
    folder: Path, weights: dict[str, Tensor], tokens: Tensor
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="attnas-check-") as name:
        exchange = Path(name)
        save_file(weights, exchange / "weights.safetensors")
        save_file({"tokens": tokens}, exchange / "tokens.safetensors")
        command = [sys.executable, "-I", "-c", CHILD, str(folder.resolve()), name, str(NEW_TOKENS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or "no message").splitlines()[-1]
            raise RuntimeError(f"the exported file did not run: {last}")
        facts = json.loads((exchange / "facts.json").read_text())
        return load_file(exchange / "answers.safetensors"), facts


def _close(name: str, one: Tensor, other: Tensor, detail: str) -> Check:
    worst = (one - other).abs().max().item()
    return Check(name, worst <= TOLERANCE, f"{detail}; largest difference {worst:.1e}")


def as_plain(checks: list[Check]) -> list[dict[str, Any]]:
    """For export.json."""
    return [asdict(check) for check in checks]

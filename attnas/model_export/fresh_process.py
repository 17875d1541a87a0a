"""Run an exported model where attnas can't be imported, and write down what it computes.

conformance.py starts this file as a script: `python -I fresh_process.py EXPORT EXCHANGE`. An
editable install is visible even with -I, so every import of attnas' packages is refused here. The
exchange folder holds request.json, tokens.safetensors and, for an export without weights,
weights.safetensors; answers.safetensors and facts.json go back into it.

Shapes: B batch, T tokens, V vocabulary.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

REFUSED = {"attnas", "evaluator", "search_space", "controller", "results", "dashboard"}


class Refusal:
    """An import finder, asked before all others, for which attnas' packages don't exist."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"the exported file imports {name}, but must run without it")


def main(folder: Path, exchange: Path) -> None:
    """Load the export as its user would; answer the request."""
    import torch
    from safetensors.torch import load_file, save_file

    torch.set_num_threads(1)
    sys.path.insert(0, str(folder))
    exported = importlib.import_module("model")
    given = exchange / "weights.safetensors"
    model = exported.load(folder, weights=not given.exists())
    if given.exists():
        model.load_state_dict(load_file(given))
    request = json.loads((exchange / "request.json").read_text())
    tokens = load_file(exchange / "tokens.safetensors")["tokens"]  # (B, T)
    facts = {}
    with torch.no_grad():
        answers = {"whole": model(tokens)}  # (B, T, V)
        for name, pieces in request["passes"].items():
            caches = model.new_caches(*tokens.shape)
            parts = tokens[:, : sum(pieces)].split(pieces, dim=1)
            answers[name] = torch.cat([model(part, caches) for part in parts], dim=1)
            facts["cache_bytes"] = caches.allocated_bytes
    start, new = request["start"], request["new_tokens"]
    answers["generated"] = model.generate(tokens[:, :start], new)
    save_file(answers, exchange / "answers.safetensors")
    (exchange / "facts.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # the export's folder stays as it is
    sys.meta_path.insert(0, Refusal)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

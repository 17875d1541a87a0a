"""The standalone target: one PyTorch file, its weights, and the design as JSON beside it.

The file is the source that was measured, kernels and model, joined in order; only the kernels
that the design needs go in. The design enters as data: the code reads config.json and no value is
ever written into it.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from torch import Tensor

import evaluator.model
from evaluator.kernels import KERNELS
from search_space import Design

CODE, CONFIG, WEIGHTS = "model.py", "config.json", "model.safetensors"
CONFIG_FORMAT = 1
OWN_PACKAGES = ("evaluator", "search_space")
TABLE = "evaluator.kernels"  # written anew, with the design's kernels only

HEAD = '''"""A searched language model in one file; needs torch and safetensors only.

    from model import load
    model = load()                       # reads config.json and model.safetensors beside this file
    logits = model(tokens)               # tokens (B, T) to logits (B, T, V); trainable as it is
    tokens = model.generate(tokens, 64)  # cached decoding

Shapes: B batch, T tokens, E model width, H query heads, G KV heads, R = H / G, S keys, D head
dimension, V vocabulary, C rows of a chunk, M chunks.
"""

from __future__ import annotations
'''

TAIL = '''
# ---- loading


def load(folder: str | Path | None = None, *, weights: bool = True) -> nn.Module:
    """The model that config.json describes, with the weights beside it or freshly initialised."""
    folder = Path(folder) if folder is not None else Path(__file__).parent
    text = (folder / "config.json").read_text(encoding="utf-8")
    config = json.loads(text, object_hook=lambda fields: SimpleNamespace(**fields))
    config.design.mlp_width, config.design.kind = config.mlp_width, config.kind
    model = model_of(config.design, config.vocabulary, config.channels)
    if weights:
        model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


if __name__ == "__main__":
    lm = load()
    # Byte b is token b; a task's other tokens come after the bytes and print as "?".
    has_bytes = json.loads((Path(__file__).parent / "config.json").read_text())["reads_bytes"]
    text = sys.argv[1] if len(sys.argv) > 1 else "The "
    prompt = list(text.encode(errors="surrogateescape")) if has_bytes else []
    prompt = prompt[1 - lm.context :] or [0]  # its end, so that a token more fits the context
    made = lm.generate(torch.tensor([prompt]), min(64, lm.context - len(prompt)))[0].tolist()
    if has_bytes:
        print(bytes(token if token < 256 else 63 for token in made).decode(errors="replace"))
    else:
        print(*made)
'''

TAIL_IMPORTS = """import json
import sys
from pathlib import Path
from types import SimpleNamespace
from safetensors.torch import load_file
"""


class Sizes(NamedTuple):
    """What a model reads and answers, beside its design."""

    vocabulary: int
    channels: int = 0  # features of a position; 0 where it reads symbols alone
    reads_bytes: bool = False  # whether the first 256 symbols are bytes


def write_standalone(
    design: Design, sizes: Sizes, weights: dict[str, Tensor] | None, to: Path
) -> None:
    """model.py, config.json and, with weights, model.safetensors into the folder `to`."""
    from safetensors.torch import save_file

    design = design.canonical()
    (to / CODE).write_text(standalone_source(design), encoding="utf-8")
    config: dict[str, Any] = {
        "format": CONFIG_FORMAT,
        "kind": design.kind,
        "vocabulary": sizes.vocabulary,
        "channels": sizes.channels,
        "reads_bytes": sizes.reads_bytes,
        "mlp_width": design.mlp_width,
        "design": design.spelled_out(),
    }
    (to / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if weights is not None:
        save_file(weights, to / WEIGHTS)


def standalone_source(design: Design) -> str:
    """The single file for a design: imports, its kernels, the model, loading."""
    patterns = {part.pattern.name for layer in design.layers for part in layer.parts}
    kernels = {name: KERNELS[name] for name in sorted(patterns)}
    needed: dict[ModuleType, None] = {}
    for kernel in kernels.values():
        _add_with_imports(inspect.getmodule(kernel), needed)
    table = "".join(f'    "{name}": {kernel.__name__},\n' for name, kernel in kernels.items())
    kernel_modules = len(needed)
    _add_with_imports(evaluator.model, needed)
    parts = [_split(module) for module in needed]
    bodies = [body for _, body in parts]
    bodies.insert(kernel_modules, f"\n# ---- kernels by pattern\n\nKERNELS = {{\n{table}}}\n")
    tail_imports = ast.parse(TAIL_IMPORTS).body
    return "\n".join(
        [
            HEAD,
            _merged([*(node for imports, _ in parts for node in imports), *tail_imports]),
            "\nDesign = SimpleNamespace  # parsed from config.json\n",
            *bodies,
            TAIL,
        ]
    )


def _add_with_imports(module: ModuleType | None, found: dict[ModuleType, None]) -> None:
    """The module behind all of ours that it imports, each once."""
    assert module is not None
    if module in found:
        return
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ImportFrom) and _is_own(node.module or ""):
            name = node.module or ""
            if name not in ("__future__", TABLE):
                _add_with_imports(importlib.import_module(name), found)
    found[module] = None


def _split(module: ModuleType) -> tuple[list[ast.stmt], str]:
    """A module's foreign imports, and its code under a heading made of its docstring."""
    source = inspect.getsource(module)
    tree = ast.parse(source)
    imports: list[ast.stmt] = []
    start = tree.body[0].end_lineno or 0  # the docstring
    for node in tree.body[1:]:
        guarded = isinstance(node, ast.If)  # if TYPE_CHECKING: names for checkers only
        if not (isinstance(node, ast.Import | ast.ImportFrom) or guarded):
            break
        start = node.end_lineno or start
        if isinstance(node, ast.ImportFrom) and _is_own(node.module or ""):
            continue
        if not guarded:
            imports.append(node)
    heading = (ast.get_docstring(tree) or "").splitlines()[0]
    body = "\n".join(source.splitlines()[start:]).strip("\n")
    return imports, f"\n# ---- {heading}\n\n{body}\n"


def _is_own(module: str) -> bool:
    return module == "__future__" or module.split(".")[0] in OWN_PACKAGES


def _merged(imports: list[ast.stmt]) -> str:
    """Import statements without repetition, the standard library's before the others'."""
    plain: set[str] = set()
    named: dict[str, set[str]] = {}
    for node in imports:
        if isinstance(node, ast.Import):
            plain |= {ast.unparse(alias) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.setdefault(node.module or "", set()).update(map(ast.unparse, node.names))
    unused = {"TYPE_CHECKING"}
    lines = [f"import {name}" for name in sorted(plain)]
    lines += [
        f"from {module} import {', '.join(sorted(names - unused))}"
        for module, names in sorted(named.items())
        if names - unused
    ]
    foreign = [line for line in lines if line.split()[1].split(".")[0] in ("torch", "safetensors")]
    own = [line for line in lines if line not in foreign]
    return "\n".join([*own, "", *foreign])

"""Hostile YAML documents for spaces, drawn from a random generator, and the judge of each.

A document is a good one damaged, a plausible one with wrong combinations, or raw text. What comes
of it must be a space or a ConfigError of clear sentences, soon.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from search_space import (
    GATES,
    PATTERNS,
    POSITIONS,
    SCORES,
    SHARINGS,
    ConfigError,
    DesignError,
    Space,
    SpaceConfig,
    SpaceFile,
    parse_yaml,
    validate,
)
from search_space.deployability import TARGETS

FILE = "x.yaml"
LONGEST = 1_000  # characters of a sentence
STARTERS = sorted((Path(__file__).parents[1] / "configs" / "spaces").glob("*.yaml"))
SETTINGS = "  settings:\n    training.learning_rate: {log_range: [0.001, 0.008]}\n"
GOOD = [path.read_text() + SETTINGS for path in STARTERS]
JARGON = re.compile(
    r"Traceback|Input should|type=|ValidationError|pydantic|Value error|<class|\bNone\b"
)
# what drawing a design may end in; a space's other mistakes are found when it is read
EMPTY = re.compile(
    r"none of [\d,]+ designs of the space meets the constraints|is too much to count|"
    r"no context of the space has a legal layer"
)

KEYS = [
    "space", "kind", "width", "depth", "context", "period", "layer", "encoder", "cross",
    "constraints", "structure", "deploy", "query_heads", "kv_heads", "head_dim", "pattern",
    "second_pattern", "second_kv_heads", "sharing", "score", "position", "gate", "weights",
    "choice", "range", "log_range", "step", "base", "place", "when", "otherwise", "count", "at",
    "dtype", "min", "max", "window", "stride", "rank", "rotary_dim", "block", "globals", "random",
    "seed", "sinks", "dilation", "alike", "motif", "kinds", "settings", "training.learning_rate",
    *PATTERNS, *SHARINGS,
]  # fmt: skip
SCALARS = [
    "0", "-1", "1", "2", "3", "8", "16", "7.5", "8.0", "1e3", "1e-400", "1e400", ".nan", ".inf",
    "-.inf", "true", "false", "~", "null", "''", "'8'", '"64"', "9" * 18, "-" + "9" * 18, "9" * 30,
    "0x7fffffffffffffff", "0b1", "1_000", "+5", "yes", "2024-01-01", "é", "日本語", "\u202e8",
    '"\\u0000"', '"\\ud800"', '"a\\nb"', "'x\u2028y'", "x" * 3_000, "'" + "ab " * 9_000 + "'",
    "shared", "motif", "per-layer", "own", "tied", "reused", "none", "dense", "float8",
    "native-llama", "vllm", "parameters", "attended_pairs", "encoder", "encoder-decoder",
    *PATTERNS, *SHARINGS, *SCORES,
]  # fmt: skip
STRUCTURES = [
    "[]", "{}", "[[[]]]", "[1, 2]", "[8, 1]", "{a: 1}", "{'': 1}", "[" * 40 + "]" * 40,
    "{a: " * 40 + "1" + "}" * 40, "{choice: []}", "{choice: [1, 1]}", "{choice: [2, two]}",
    "{choice: [8, 16]}", "{choice: {choice: [8]}}", "{choice: [{choice: [8]}]}", "{choice: 8}",
    "{range: [1, 1000000]}", "{range: [1, 9], step: 2}", "{range: [1]}", "{range: [9, 1]}",
    "{range: [-999999999999999999, 999999999999999999]}", "{range: [1, 2, 3]}", "{step: 2}",
    "{log_range: [1, 999999999999999999]}", "{log_range: [0.5, 10]}", "{log_range: [0, 8]}",
    "{log_range: [2, 64], base: 1}", "{log_range: [2, 64], base: 999999999999999999}",
    "{choice: [8], place: motif}", "{choice: [8, 4], place: everywhere}",
    "{choice: [8], when: {pattern: dense}}", "{choice: [8], otherwise: 8}",
    "{choice: [8], when: {pattern: dense}, otherwise: 8}", "{choice: [8], when: {}, otherwise: 8}",
    "{choice: [8], when: {gate: [head, none], score: 1}, otherwise: 8}",
    "{choice: [8], when: {pattern: {dense: 1}}, otherwise: 8}", "{choice: [8], range: [1, 2]}",
    "{sliding-window: {window: {choice: [4, 8], place: motif}}}", "{dense: {}}", "{dense: ~}",
    "{sliding-window: 8}", "{sliding-window: {window: 8, windows: 8}}", "{latent: {rank: 8}}",
    "{choice: [dense, linear: {}]}", "{rotary: {base: {log_range: [10.0, 1e300]}}}",
    "{rotary: {base: .inf}}", "{big-bird: {block: 1, window: 1, globals: 0, random: 1, seed: -1}}",
    "&a [1, *a]", "*nothing", "&x 8", "!!python/object/apply:os.system ['x']", "!!int '3'",
    "!x%0Ay 1", "!" + "x" * 2_000 + " 1",
    "{<<: {width: 8}}", "{? [a] : 1}", "{1: 2}", "{true: 1}", "{~: 1}", "{a: 1, a: 2}",
    "[{count: parameters, max: 5}]", "[{count: decode_flops, at: 2, min: 1e308}]", "[vllm, vlm]",
]  # fmt: skip
TOKENS = [*KEYS, *SCALARS[:36], *STRUCTURES] + 2 * [
    ": ", ":", ", ", "- ", "\n", "\n  ", "\n    ", "\n      ", "{", "}", "[", "]", "&a ", "*a",
    "? ", "| ", "> ", "# ", '"', "'", "---\n", "...\n", "%YAML 1.2\n", "@", "`", "\t", "\r\n",
    "\x00", "\ufeff", "\u2028", "<<: ", "!!str ", "space: ", "layer: ",
]  # fmt: skip


@dataclass
class Mapping:
    """Keys and values as text: a key may stand in it twice."""

    items: list[tuple[str, Any]] = field(default_factory=list)


def damaged(rng: Random) -> str:
    """A good document after one to four changes of its tree, its text or both."""
    good = rng.choice(GOOD)
    text = good
    if rng.random() < 0.75:
        tree = _tree(parse_yaml(good).data)
        for _ in range(rng.choice((1, 1, 2, 3, 4))):
            _change(tree, rng)
        text = _written(tree, "")
    for _ in range(rng.choice((0, 0, 0, 1, 3)) + (text is good)):
        text = _edited(text, rng)
    return text


def plausible(rng: Random) -> str:
    """A configuration put together from legal parts, with wrong combinations among them."""
    depth = _axis(rng, [1, 2, 3, 4, 6, 12, 48, 200], place=False)
    top: list[tuple[str, str]] = [
        ("width", _axis(rng, [8, 64, 128, 96, 1024], place=False)),
        ("depth", depth),
        ("context", _axis(rng, [2, 3, 16, 256, 8192, 1_000_000], place=False)),
        ("layer", _layer(rng)),
    ]
    kind = rng.choice(("decoder", "decoder", "encoder", "encoder-decoder"))
    if kind != "decoder" or rng.random() < 0.1:
        top.append(("kind", kind))
    if (kind == "encoder-decoder") != (rng.random() < 0.05):
        top.append(("encoder", _flow([("depth", depth), ("layer", _layer(rng)), *_period(rng)])))
        top.append(("cross", _flow([("layer", _layer(rng)), *_period(rng)])))
    top += _period(rng)
    if rng.random() < 0.3:
        some = [_constraint(rng) for _ in range(rng.choice((1, 1, 2)))]
        top.append(("constraints", f"[{', '.join(some)}]"))
    if rng.random() < 0.2:
        top.append(("deploy", f"[{', '.join(rng.sample([*TARGETS], rng.choice((1, 1, 2))))}]"))
    if rng.random() < 0.1:
        weights = ("alike", "motif", "segments", "exceptions", "kinds", "longest_motif")
        numbers = ("0", "1", "2", "0.5", "-1", "1e308", "9" * 18)
        some = [(name, rng.choice(numbers)) for name in rng.sample(weights, 2)]
        top.append(("structure", _flow(some)))
    if rng.random() < 0.15:
        value = rng.choice(("{log_range: [1e-4, 1e-2]}", "1e-3", "{choice: [1, 0.5, one]}", "{}"))
        top.append(("settings", f"{{training.learning_rate: {value}, task.lm.batch: 8}}"))
    rng.shuffle(top)
    return "space:\n" + "".join(f"  {key}: {value}\n" for key, value in top)


def raw(rng: Random) -> str:
    """Words and signs in any order, any characters, or aliases that explode."""
    way = rng.random()
    if way < 0.1:
        return _laughs(rng)
    if way < 0.25:
        return "".join(
            chr(rng.choice((rng.randrange(128), rng.randrange(0xD800)))) for _ in range(80)
        )
    start = rng.choice(("", "", "space: ", "space:\n  width: 8\n  "))
    return start + "".join(rng.choice(TOKENS) for _ in range(rng.randrange(60)))


KINDS: dict[str, Callable[[Random], str]] = {"damaged": damaged, "plausible": plausible, "raw": raw}


def _tree(value: Any) -> Any:
    if isinstance(value, dict):
        return Mapping([(str(key), _tree(item)) for key, item in value.items()])
    return [_tree(item) for item in value] if isinstance(value, list) else str(value)


def _written(tree: Any, indent: str) -> str:
    """Block style for mappings, flow style inside lists."""
    if isinstance(tree, Mapping) and tree.items:
        lines = []
        for key, value in tree.items:
            block = isinstance(value, Mapping) and value.items
            lines.append(
                f"{indent}{key}:{chr(10) if block else ' '}{_written(value, indent + '  ')}"
            )
        return "\n".join(lines)
    return _in_flow(tree)


def _in_flow(tree: Any) -> str:
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{key}: {_in_flow(value)}" for key, value in tree.items) + "}"
    return "[" + ", ".join(map(_in_flow, tree)) + "]" if isinstance(tree, list) else tree


def _nodes(tree: Any) -> list[Any]:
    """All mappings and lists that hold something."""
    inside = [v for _, v in tree.items] if isinstance(tree, Mapping) else tree
    if isinstance(inside, str) or not inside:
        return []
    return [tree, *(node for value in inside for node in _nodes(value))]


def _change(tree: Any, rng: Random) -> None:
    """One key or value deleted, doubled, renamed, replaced, wrapped or moved."""
    nodes = _nodes(tree)
    if not nodes:
        return
    node = rng.choice(nodes)
    items: list[Any] = node.items if isinstance(node, Mapping) else node
    at = rng.randrange(len(items))
    ways = ("delete", "double", "many", "rename", "replace", "replace", "replace", "wrap", "move")
    way = rng.choice(ways)
    key, value = items[at] if isinstance(node, Mapping) else ("", items[at])
    if way == "delete":
        del items[at]
        return
    if way == "double":
        items.insert(rng.randrange(len(items) + 1), items[at])
        return
    if way == "many":
        times = rng.choice((3, 30, 3_000 if len(nodes) < 100 else 3))
        keyed = [(f"{key}{i}", value) for i in range(times)]
        items += keyed if isinstance(node, Mapping) else [value] * times
        return
    if way == "rename":
        cut = rng.randrange(len(key) + 1)
        key = rng.choice((key[:cut] + key[cut + 1 :], key + "s", rng.choice(KEYS), _hostile(rng)))
    elif way == "replace":
        value = _hostile(rng)
    elif way == "wrap":
        value = rng.choice(([value], Mapping([("choice", [value, value])]), Mapping([(key, value)]),
                            Mapping([("choice", value)]), [[value]]))  # fmt: skip
    elif isinstance(other := rng.choice(nodes), list):  # never into itself: it is written out first
        value = _in_flow(other)
    else:
        value = _in_flow(rng.choice(other.items)[1])
    items[at] = (key, value) if isinstance(node, Mapping) else value


def _hostile(rng: Random) -> str:
    return rng.choice(rng.choice((SCALARS, STRUCTURES)))


def _edited(text: str, rng: Random) -> str:
    """Characters cut and a token put in, or a line doubled, dropped or moved to the side."""
    if rng.random() < 0.6:
        start = rng.randrange(len(text) + 1)
        return text[:start] + rng.choice(TOKENS) + text[start + rng.choice((0, 0, 1, 5)) :]
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    changed = ([lines[at]] * 2, [], ["  " + lines[at]], [lines[at][1:]], ["\t" + lines[at]])
    lines[at : at + 1] = rng.choice(changed)
    return "\n".join(lines)


def _laughs(rng: Random) -> str:
    """Each line stands for several of the line before."""
    wide, rows = rng.choice((1, 2, 9)), rng.choice((2, 5, 20))
    lines = ["a0: &a0 {width: 8}"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * wide)}]" for i in range(1, rows)]
    return "\n".join([*lines, f"space: {rng.choice((f'*a{rows - 1}', '*a0', f'*a{rows}'))}"])


def _axis(rng: Random, values: Sequence[Any], *, place: bool = True) -> str:
    """One or some of the values, in one of the forms of an axis."""
    if rng.random() < 0.45:
        return str(rng.choice(values))
    some = rng.sample([*values], rng.randint(1, min(4, len(values))))
    text = f"choice: [{', '.join(map(str, some))}]"
    numbers = sorted(v for v in some if isinstance(v, int))
    if len(numbers) == len(some) > 1 and rng.random() < 0.2:
        forms = ("range: [{}, {}], step: 4", "range: [{}, {}]", "log_range: [{}, {}]")
        text = rng.choice(forms).format(numbers[0], numbers[-1])
    if place or rng.random() < 0.02:
        text += rng.choice(("", ", place: motif", ", place: per-layer", ", place: per-layer"))
    if place and rng.random() < 0.12:
        wanted = rng.choice(("pattern: dense", "kv_heads: 2", "gate: [head]", "position: rotary",
                             "sharing: own", "score: 7"))  # fmt: skip
        text += f", when: {{{wanted}}}, otherwise: {rng.choice(values)}"
    return f"{{{text}}}"


def _layer(rng: Random) -> str:
    axes = [
        ("query_heads", _axis(rng, [1, 2, 4, 6, 8, 64])),
        ("kv_heads", _axis(rng, [1, 2, 4, 8])),
        ("head_dim", _axis(rng, [2, 16, 64])),
    ]
    optional: list[tuple[str, float, Callable[[], str]]] = [
        ("pattern", 0.8, lambda: _axis(rng, _patterns(rng))),
        ("second_pattern", 0.2, lambda: _axis(rng, ["none", *_patterns(rng)])),
        ("second_kv_heads", 0.2, lambda: _axis(rng, [1, 2, 7])),
        ("sharing", 0.4, lambda: _axis(rng, ["own", "one-tensor", "reused", _latent(rng)])),
        ("score", 0.3, lambda: _axis(rng, [*SCORES])),
        ("position", 0.3, lambda: _axis(rng, [*POSITIONS, "{rotary: {base: 500000.0}}"])),
        ("gate", 0.2, lambda: _axis(rng, [*GATES])),
        ("weights", 0.2, lambda: _axis(rng, ["own", "tied"])),
    ]
    axes += [(name, make()) for name, chance, make in optional if rng.random() < chance]
    return _flow(axes)


def _patterns(rng: Random) -> list[str]:
    return [
        f"{{{name}: {_flow([(p, _axis(rng, [1, 2, 4, 64, 1024])) for p in _parameters(cls)])}}}"
        if _parameters(cls)
        else name
        for name, cls in PATTERNS.items()
    ]


def _parameters(cls: type[Any]) -> list[str]:
    return [f.name for f in fields(cls) if f.name != "seed"]


def _latent(rng: Random) -> str:
    return f"{{latent: {{rank: {_axis(rng, [4, 64])}, rotary_dim: {_axis(rng, [0, 8])}}}}}"


def _period(rng: Random) -> list[tuple[str, str]]:
    return [("period", _axis(rng, [1, 2, 3, 6, 12], place=False))] if rng.random() < 0.5 else []


def _constraint(rng: Random) -> str:
    count = rng.choice(("parameters", "kv_cache_bytes", "prefill_flops", "decode_flops"))
    items = [("count", count)]
    if count != "parameters" and rng.random() < 0.3:
        items.append(("at", str(rng.choice((1, 2, 1024)))))
    items.append((rng.choice(("min", "max")), str(10 ** rng.randrange(14))))
    return _flow(items)


def _flow(items: Sequence[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"


@dataclass
class Verdict:
    """What came of a document."""

    outcome: str  # refused, valid, empty: a space that holds nothing
    faults: list[str]
    read_seconds: float  # of processor time, to read and check it
    sample_seconds: float = 0.0  # building the space and drawing from it


def judge(text: str, *, draw: bool = True) -> Verdict:
    """Read a document and, where it is a space, draw a design from it."""
    started = time.process_time()
    faults: list[str] = []
    config: SpaceConfig | None = None
    readable = False
    try:
        document = parse_yaml(text, FILE)
        readable = True
        config = validate(SpaceFile, document).space
    except ConfigError as error:
        str(error).encode()
        faults += [fault for p in error.problems for fault in _faults(p.message)]
        for problem in error.problems:
            if problem.file != FILE or (readable and problem.line is None):
                faults.append(f"without its place: {problem}")
    except Exception as error:
        faults.append(f"{type(error).__name__} while reading: {error}")
    verdict = Verdict("refused", faults, time.process_time() - started)
    if config is not None:
        verdict.outcome = "valid"
    if config is not None and draw:
        started = time.process_time()
        verdict.outcome = _drawn(config, faults)
        verdict.sample_seconds = time.process_time() - started
    return verdict


def _drawn(config: SpaceConfig, faults: list[str]) -> str:
    rng = np.random.default_rng(0)
    try:
        space = Space.from_config(config)
        design = space.sample(rng)
        outside = [*space.contains(design), *space.contains(space.sample_structured(rng))]
        faults += [f"a sample that is not of the space: {reason}" for reason in outside]
    except DesignError as error:
        faults += _faults(str(error))
        if not EMPTY.search(str(error)):
            faults.append(f"DesignError while drawing: {error}")
        return "empty"
    except Exception as error:
        faults.append(f"{type(error).__name__} while drawing: {error}")
    return "valid"


def _faults(message: str) -> list[str]:
    found = [f"{jargon[0]!r} in {message!r}"] if (jargon := JARGON.search(message)) else []
    if not message or "\n" in message or not message.isprintable():
        found.append(f"not one line: {message!r}")
    if len(message) > LONGEST:
        found.append(f"{len(message)} characters: {message[:200]!r}")
    return found

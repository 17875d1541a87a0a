"""Subjects: the designs that a person named for measuring, and the configuration to do it under."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controller.candidates import Candidate, settings_of
from controller.config import RunConfig, config_of
from results import RunError, find_run, front_report, read_run
from search_space import (
    PRESETS,
    ConfigError,
    Design,
    DesignError,
    Document,
    Problem,
    Space,
    apply_override,
    load_yaml,
)

RUNS = Path("runs")
LENGTH, TEXT_LENGTH = 2048, 256  # of measuring and training, where nothing says otherwise
# Presets have no sizes of their own: these are those of a model that a laptop trains in minutes.
PLAIN_SPACE: dict[str, Any] = {
    "width": 128,
    "depth": 4,
    "context": 4096,
    "layer": {"query_heads": 8, "kv_heads": 8, "head_dim": 16, "pattern": "dense"},
}


@dataclass(frozen=True, slots=True)
class Subjects:
    """What was named, as it was named, and what it is measured under."""

    candidates: dict[str, Candidate]  # a trial's settings decide its training batch
    config: RunConfig
    reference: Design


def subjects(what: list[str], config: Path | None, overrides: list[str]) -> Subjects:
    """Presets, files with a design, and trials of runs; one sentence for what is none of them.

    Sizes and grid are those of `config`, else of the first run named, else plain ones. ConfigError
    or RunError.
    """
    found = [named for text in what for named in _designs(text)]
    document = _document(what, found, config)
    for override in overrides:
        document = apply_override(document, override)
    read = config_of(_undecided(document))
    presets = Space.from_config(read.space).presets()
    candidates: dict[str, Candidate] = {}
    for name, candidate in found:
        if candidate is None and name not in presets:
            kinds = " and ".join(PRESETS[name].kinds)
            raise _problem(
                f"the preset {name} is for models of kind {kinds}, but what it is measured under "
                f"is of kind {read.space.kind}; give another --config"
            )
        candidates[name] = candidate or Candidate(presets[name])
        _check(name, candidates[name].design, read)
    return Subjects(candidates, read, presets["mha"])


Named = tuple[str, Candidate | None]  # a preset's design is known once the sizes are


def _designs(text: str) -> list[Named]:
    """The designs that one word names."""
    if text in PRESETS:
        return [(text, None)]
    path = Path(text)
    if path.suffix == ".json":
        return [(text, Candidate(_read(path)))]
    run, colon, pick = text.rpartition(":")
    if colon:
        return _of_run(run, pick)
    near = difflib.get_close_matches(text, PRESETS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"presets are {', '.join(PRESETS)}"
    raise _problem(f"{text!r} is no preset, no .json file with a design, and no RUN:TRIAL; {hint}")


def _read(path: Path) -> Design:
    """The design in a file, by itself or as `attnas show --json` prints it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _problem(f"{path} can't be read ({error.strerror}); give another file") from None
    except ValueError as error:
        raise _problem(f"{path} is no JSON: {error}") from None
    inner = data.get("design", data) if isinstance(data, dict) else data
    try:
        return Design.from_json(json.dumps(inner))
    except DesignError as error:
        raise _problem(f"{path} holds no design: {error}") from None


def _of_run(name: str, pick: str) -> list[Named]:
    """A trial's design, the knee's, or all of the front, with what they were trained under."""
    run = read_run(find_run(name, RUNS))
    if pick in ("knee", "front"):
        report = front_report(run.frame(), run.objectives)
        rows = report[report["knee" if pick == "knee" else "on_front"]]
        if rows.empty:
            raise RunError(f"{run.path} has no front yet: no trial is complete")
    else:
        frame = run.frame()
        rows = frame[frame["trial"].astype(str) == pick].tail(1)
        if rows.empty:
            raise RunError(
                f"{run.path} has no trial {pick!r}; write a trial's number, knee or front"
            )
    frame = run.frame().set_index("trial")
    found: list[Named] = []
    for trial, design in zip(rows["trial"], rows["design"], strict=True):
        settings = frame.loc[[trial], "settings"].iloc[-1] if "settings" in frame else None
        known = settings_of(settings if isinstance(settings, str) else None)
        found.append((f"{name}:{trial}", Candidate(Design.from_json(str(design)), known)))
    return found


def _document(what: list[str], found: list[Named], config: Path | None) -> Document:
    """The configuration to measure under: what was given, the first run's own, or a plain one."""
    if config is not None:
        return load_yaml(config)
    for text in what:
        run, colon, _ = text.rpartition(":")
        if colon and text not in PRESETS and not text.endswith(".json"):
            return Document(dict(read_run(find_run(run, RUNS)).config))
    designs = [candidate.design for _, candidate in found if candidate]
    space = _space_like(designs[0]) if designs else PLAIN_SPACE | {"kind": _kind_of(found)}
    length, encoder = min(LENGTH, space["context"]), space.get("kind") == "encoder"
    text = {"length": min(TEXT_LENGTH, space["context"])}
    return Document(
        {
            "space": space,
            "task": {"mlm" if encoder else "lm": text},
            "measuring": {"prefill": [length]} | ({} if encoder else {"decode": [length]}),
        }
    )


def _undecided(document: Document) -> Document:
    """Without what the figures would decide: a search's objectives name cells of its own grid."""
    if not isinstance(document.data, dict):
        return document
    data = {name: part for name, part in document.data.items() if name != "limits"}
    return replace(document, data=data | {"objectives": {"accuracy": "max", "parameters": "min"}})


def _kind_of(found: list[Named]) -> str:
    """A kind of model that all presets named exist for, a decoder if that is one."""
    kinds = ("decoder", "encoder")
    return next((k for k in kinds if all(k in PRESETS[name].kinds for name, _ in found)), kinds[0])


def _space_like(design: Design) -> dict[str, Any]:
    """A space whose dense multi-head reference has a design's sizes."""
    if design.kind == "encoder-decoder":
        raise _problem("an encoder-decoder is measured as a configuration says; give --config")
    heads = max(design.layers, key=lambda layer: layer.heads.query * layer.heads.dim).heads
    sizes = {"width": design.width, "depth": design.depth, "context": design.context}
    layer = {"query_heads": heads.query, "kv_heads": heads.query, "head_dim": heads.dim}
    return {"kind": design.kind, **sizes, "layer": layer | {"pattern": "dense"}}


def _check(name: str, design: Design, config: RunConfig) -> None:
    """Design and configuration must go together."""
    if design.kind != config.space.kind:
        raise _problem(
            f"{name} is of kind {design.kind}, but what it is measured under is of kind "
            f"{config.space.kind}; give another --config"
        )
    longest = max(config.task.longest, *config.measuring.lengths(design.kind))
    if longest > design.context:
        raise _problem(
            f"{name} has a context of {design.context} tokens, but it is measured at {longest}; "
            "give shorter lengths with --set measuring.prefill=[...]"
        )


def _problem(message: str) -> ConfigError:
    return ConfigError([Problem(message)])

"""Strict YAML: what is read, what is refused, and on which line."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from search_space import (
    ConfigError,
    Document,
    SpaceFile,
    apply_override,
    load_space,
    load_yaml,
    parse_yaml,
    validate,
)

GOOD = """\
space:
  width: 128
  depth: {choice: [4, 6]}
  context: 8192
  layer:
    query_heads: 8
    kv_heads: {choice: [1, 2, 4, 8], place: per-layer}
    head_dim: 16
    pattern:
      choice:
        - dense
        - sliding-window: {window: {choice: [64, 128]}}
      place: per-layer
  constraints:
    - {count: kv_cache_bytes, at: 8192, max: 9_000_000}
"""


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(SpaceFile, parse_yaml(text, "x.yaml"))
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1_000", 1000),
        ("-7", -7),
        ("0x10", 16),
        ("1e-3", 0.001),
        ("1e3", 1000.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("true", True),
        ("yes", "yes"),
        ("on", "on"),
        ("1:30:00", "1:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("010", "010"),
        ("'8'", "8"),
        ("~", None),
        ("", None),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("1_000.5", 1000.5),
    ],
)
def test_a_scalar_means_what_it_looks_like(text: str, value: object) -> None:
    read = parse_yaml(f"key: {text}").data["key"]
    assert (type(read), read) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "`a` appears twice (first on line 1); keep one"),
        ("a:\n  b: 1\n  b: 1\n", 3, "`b` appears twice in `a`"),
        ("a:\n\tb: 1\n", 2, "tabs are not allowed"),
        ("a: 1\n2: b\n", 2, "keys must be text, but got 2"),
        ("a: 1\n[b]: 2\n", 2, "keys must be text, but got a list"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n", 3, "merge keys are not understood"),
        ("a: 1\nb: !!python/name:os.system x\n", 2, "tags are not understood"),
        ("a: 1\n---\nb: 1\n", 2, "starts a second"),
        ("%YAML 1.1\n---\na: 1\n", 2, "directives"),
        ("a: [1,\nb: 2\n", 3, "this is not YAML"),
        ("a: *x\n", 1, "`*x` needs an anchor"),
        ("a: &x [*x]\n", 1, "`*x` needs an anchor"),
        ("a: *" + "x" * 99, 1, "x...` needs an anchor"),
        ('"a\\nb": 1\n"a\\nb": 2\n', 2, "`a\\nb` appears twice"),
        ("a: !x%0Ay 1\n", 1, "but got !x\\ny; remove it"),
        ('a: 1\nb: "\\U99999999"\n', 2, "must name a Unicode character"),
        ('a: "\\ud800"\n', 1, "not half a pair"),
        ("a: 1\nb: " + "9" * 30, 2, "at most 18 digits"),
        ("a: 1\nb: \x00", 2, "the character U+0000 is not allowed"),
        ("[" * 90_000, 1, "nests at most 32 levels deep"),
        ("x" * 100_001, None, "at most 100,000 characters"),
    ],
)
def test_a_trap_of_yaml_is_refused_with_its_line(text: str, line: int | None, words: str) -> None:
    start = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "x.yaml")
    assert time.perf_counter() - start < 1
    assert words in caught.value.problems[0].message
    assert caught.value.problems[0].line == line


def test_aliases_that_explode_are_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 8)}]" for i in range(1, 20)]
    with pytest.raises(ConfigError, match="aliases expanded"):
        parse_yaml("\n".join(rows))


def test_an_alias_is_a_copy() -> None:
    document = parse_yaml("a: &x {n: 1}\nb: *x\n")
    assert apply_override(document, "b.n=2").data == {"a": {"n": 1}, "b": {"n": 2}}


@pytest.mark.parametrize("name", ["nothing.yaml", "."])
def test_a_path_that_is_no_file_is_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"no such file|folder"):
        load_yaml(tmp_path / name)


def test_bytes_that_are_not_utf8_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="byte 3 is not; save it as UTF-8"):
        load_yaml(tmp_path / "x.yaml")


def test_a_good_space_is_read_and_written_back(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)
    config = load_space(tmp_path / "x.yaml").config
    plain = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert validate(SpaceFile, Document({"space": plain})).space == config


def test_all_mistakes_are_reported_at_once_with_lines_and_suggestions() -> None:
    text = (
        GOOD.replace("depth: {choice", "depth: {choise")
        .replace("width: 128", "width: 129")
        .replace("head_dim: 16", "head_dim: 16.0")
        .replace("sliding-window:", "slidng-window:")
        .replace("count: kv_cache_bytes", "count: kv_cache_byte")
    )
    assert complaints(text) == [
        "x.yaml:2: `space.width`: width must be a multiple of 8, but got 129; try 128",
        "x.yaml:3: `space.depth` has no key 'choise'; did you mean `choice`?",
        "x.yaml:8: `space.layer.head_dim` must be a whole number, but got 16.0; write 16",
        "x.yaml:12: `space.layer.pattern.choice[1]` has no key 'slidng-window'; "
        "did you mean `sliding-window`?",
        "x.yaml:15: `space.constraints[0].count` must be parameters, kv_cache_bytes, "
        "prefill_flops, decode_flops or attended_pairs, but got the text 'kv_cache_byte'; "
        "did you mean kv_cache_bytes?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("width: 128", "width: '128'", 2, "must be a whole number, but got the text '128'"),
        ("width: 128", "width: true", 2, "must be a whole number, but got true"),
        ("width: 128", "width:", 2, "must be a whole number, but got nothing"),
        ("context: 8192", "", 1, "`space` needs a key `context`; add it"),
        ("[4, 6]", "[4, 4]", 3, "4 is listed twice; keep one"),
        ("[4, 6]", "[]", 3, "must have at least 1 entry, but got 0"),
        ("[4, 6]", "[4, 0]", 3, "a number of layers is 1 to 1,000, but got 0"),
        ("{choice: [4, 6]}", "{range: [6, 4]}", 3, "from low to high, but got [6, 4]"),
        ("{choice: [4, 6]}", "{range: [4, 6], step: 0}", 3, "must be at least 1, but got 0"),
        ("{choice: [4, 6]}", "{range: [1, 999999999999]}", 3, "at most 1,000 values"),
        ("{choice: [4, 6]}", "{log_range: [0, 6]}", 3, "must start above 0"),
        ("[4, 6]}", "[4, 6], place: motif}", 3, "always shared, but got motif"),
        ("per-layer}", "per-leyer}", 7, "did you mean per-layer?"),
        ("[1, 2, 4, 8]", "[3, 5]", 5, "query=8, kv=3; try kv=2"),
        ("[1, 2, 4, 8]", "[1, 0]", 7, "KV heads must be at least 1, but got 0"),
        ("head_dim: 16", "head_dim: 15", 8, "must be even"),
        ("- dense", "- dence", 11, "did you mean `dense`?"),
        ("- dense", "- " + "dense" * 99, 11, "...; it knows dense"),
        ("- dense", "- sliding-window", 11, "sliding-window needs window"),
        ("- dense", "- sink-window", 11, "sink-window needs window and sinks"),
        ("- dense", "- sliding-window: {window: 3}", 12, "listed twice"),
        ("[64, 128]", "[64, 0]", 12, "it must be at least 1, but got 0"),
        ("{choice: [64, 128]}", "{choice: [64], when: {pattern: dense}}", 12, "needs `otherwise`"),
        ("per-layer}", "per-layer, otherwise: 2}", 7, "`otherwise` is for an axis with `when`"),
        (
            "per-layer}",
            "per-layer, when: {patern: dense}, otherwise: 1}",
            7,
            "did you mean `pattern`",
        ),
        ("per-layer}", "per-layer, when: {kv_heads: 1}, otherwise: 1}", 7, "another axis"),
        ("at: 8192, max: 9_000_000", "at: 8192", 15, "needs `min` or `max`"),
        ("at: 8192", "at: 9999", 15, "hold at most 8192 tokens, but got at=9999"),
        ("max: 9_000_000", "max: 1, min: 2", 15, "at most max, but got min=2, max=1"),
        ("count: kv_cache_bytes", "count: parameters", 15, "do not depend on a context"),
        ("at: 8192", "dtype: int3", 15, "but got 'int3'"),
    ],
)
def test_a_mistake_in_a_space_is_a_sentence_with_its_line(
    old: str, new: str, line: int, words: str
) -> None:
    assert old in GOOD
    (complaint,) = complaints(GOOD.replace(old, new))
    assert complaint.startswith(f"x.yaml:{line}: ")
    assert words in complaint


def test_conditions_in_a_circle_are_named() -> None:
    text = GOOD.replace("per-layer}", "per-layer, when: {head_dim: 16}, otherwise: 1}")
    text = text.replace("16\n", "{choice: [16], when: {kv_heads: 1}, otherwise: 8}\n")
    assert "the conditions of kv_heads or head_dim go in a circle" in complaints(text)[0]


def test_a_layer_with_too_many_combinations_is_refused() -> None:
    text = GOOD.replace("head_dim: 16", "head_dim: {range: [2, 1000], step: 2}")
    text = text.replace("[64, 128]}", "[64]}").replace("{choice: [64]}", "{range: [1, 900]}")
    assert "at most 200,000 ways" in complaints(text)[0]
    text = GOOD.replace("128", "{range: [8, 8000], step: 8}", 1).replace("[4, 6]", "[4, 5, 6]")
    text = text.replace("8192", "{range: [8000, 8999]}", 1)
    assert "what the layers share" in complaints(text)[0]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("space.dpth=6", "`space` has no key 'dpth'; did you mean `depth`?"),
        ("spase.depth=6", "has no key 'spase'"),
        ("space.depth=six", "`space.depth` must be a whole number"),
        ("space.depth.choice.1=0", "a number of layers is 1 to 1,000, but got 0"),
        ("space.depth.choice.7=1", "a list of 2, so the key after it must be a number from 0 to 1"),
        ("space.width.choice=[8]", "`space.width` is 128, so it has no key 'choice'"),
        ("space.depth", "an override is written key.path=value"),
        ("space..depth=1", "an override is written key.path=value"),
        ("space.depth=[", "this is not YAML"),
        ("space.layer.pattern=dence", "did you mean `dense`?"),
    ],
)
def test_a_wrong_override_names_itself(override: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(SpaceFile, apply_override(parse_yaml(GOOD, "x.yaml"), override))
    assert [problem.file for problem in caught.value.problems] == [f"--set {override}"]
    assert words in caught.value.problems[0].message


def test_overrides_lie_over_the_file_and_over_each_other() -> None:
    document = parse_yaml(GOOD, "x.yaml")
    for override in ("space.depth={choice: [1, 2]}", "space.depth.choice.1=3", "space.period=2"):
        document = apply_override(document, override)
    space = validate(SpaceFile, document).space
    assert space.model_dump()["depth"]["choice"] == [1, 3]
    assert space.period == 2


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["cat"]
    lives: int = Field(ge=1)


class Dog(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["dog"]
    names: dict[str, list[Cat]]


class Home(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
    size: int | str = 1
    limit: float | None = None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "pets:\n  - kind: cat\n    lives: 0\n",
            3,
            "`pets[0].lives` must be at least 1, but got 0",
        ),
        ("pets:\n  - kind: cat\n    lifes: 1\n", 3, "did you mean `lives`?"),
        ("pets:\n  - {kind: cow}\n", 2, "`pets[0]` must be one of cat, dog, but got cow"),
        ("pets:\n  - {name: x}\n", 2, "`pets[0]`"),
        (
            "pets:\n- kind: dog\n  names:\n    cat:\n    - kind: cat\n      lives: x\n",
            6,
            "lives` must",
        ),
        ("pets: []\nsize: [1]\n", 2, "`size` must be a whole number or text, but got a list"),
        ("pets: []\nlimit: .inf\nsize: 1.5", 3, "`size` must be a whole number or text"),
        ("", 1, "the configuration must be a mapping, but got nothing"),
    ],
)
def test_nested_models_and_unions_get_the_right_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(Home, parse_yaml(text, "x.yaml"))
    (problem,) = caught.value.problems
    assert (problem.line, words in problem.message) == (line, True), problem


WORDS = [
    "space",
    "width",
    "depth",
    "context",
    "period",
    "layer",
    "query_heads",
    "kv_heads",
    "place",
]
WORDS += ["head_dim", "pattern", "choice", "range", "log_range", "when", "otherwise", "constraints"]
WORDS += ["dense", "sliding-window", "window", "count", "max", "kv_cache_bytes", "motif", "8", "0"]
WORDS += [
    "-1",
    "1e400",
    ".nan",
    "~",
    "'8'",
    "9" * 18,
    "&a",
    "*a",
    "!!str",
    "<<",
    "{",
    "}",
    "[",
    "]",
]
WORDS += [":", ": ", ",", "- ", "\n", "\n  ", "\n    ", "?", "|", ">", "#", '"', "---", "%", "@"]


def hostile(text: str) -> None:
    start = time.perf_counter()
    try:
        validate(SpaceFile, parse_yaml(text, "x.yaml"))
    except ConfigError as error:
        str(error).encode()
    assert time.perf_counter() - start < 1


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(WORDS), max_size=60).map("".join))
def test_hostile_text_gives_only_configuration_errors(text: str) -> None:
    hostile(text)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(GOOD)), st.integers(0, 12), st.sampled_from(WORDS))
def test_a_damaged_space_gives_only_configuration_errors(start: int, cut: int, word: str) -> None:
    hostile(GOOD[:start] + word + GOOD[start + cut :])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_only_configuration_errors(text: str) -> None:
    hostile(text)


def test_a_place_can_be_set_as_sentences_write_it() -> None:
    document = parse_yaml("space: {constraints: [{count: parameters, max: 1}]}")
    for path in ("space.constraints[0].max=5", "space.constraints.0.max=5"):
        changed = apply_override(document, path)
        assert changed.data["space"]["constraints"][0]["max"] == 5

"""A run's configuration: defaults that work, mistakes with their lines, a lossless round trip."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from controller import STRATEGIES, RunConfig, load_config
from evaluator import TrainingConfig
from search_space import DEFAULT_PRESETS, ConfigError

SPACE = {
    "width": 32,
    "depth": 2,
    "context": 2048,
    "layer": {"query_heads": 4, "kv_heads": 2, "head_dim": 8},
}
YAML = """\
space:
  width: 32
  depth: 2
  context: 2048
  layer: {query_heads: 4, kv_heads: 2, head_dim: 8}
"""


def config_of(**parts: Any) -> RunConfig:
    return RunConfig.model_validate({"space": SPACE} | parts)


def written(tmp_path: Path, text: str, *overrides: str) -> RunConfig:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_config(path, list(overrides))


def mistakes(tmp_path: Path, text: str, *overrides: str) -> list[tuple[int | None, str]]:
    """Line and sentence of every mistake."""
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text, *overrides)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def test_a_space_is_all_that_must_be_given(tmp_path: Path) -> None:
    config = written(tmp_path, YAML)
    assert config == config_of()
    assert config.task.recall is not None
    assert config.task.lm is not None
    assert config.training == TrainingConfig()
    assert config.measuring.prefill == config.measuring.decode == (2048,)
    assert list(config.objectives) == ["accuracy", "prefill_2048_ratio", "kv_cache_bytes"]
    assert config.search.strategy in STRATEGIES
    assert config.search.presets == DEFAULT_PRESETS
    assert (config.search.random_share, config.search.minutes) == (0.2, None)
    assert (config.engine.name, config.limits, config.threads) == ("ray", {}, 1)


def test_workers_are_as_many_as_fit_unless_given() -> None:
    assert config_of(engine={"name": "serial", "workers": 8}).workers == 1
    assert config_of(engine={"workers": 3}).workers == 3
    assert config_of().workers >= config_of(threads=2).workers >= 1
    assert config_of(threads=256).workers == 1


def test_the_evaluators_part_is_taken_over() -> None:
    config = config_of(training={"steps": 5}, limits={"parameters": {"max": 9e9}}, threads=2)
    evaluation = config.evaluation
    assert evaluation.training.steps == 5
    assert evaluation.measuring == config.measuring
    assert evaluation.limits["parameters"].max == 9e9
    assert evaluation.threads == 2


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (
            "objectives:\n  acuracy: max\n  kv_cache_bytes: min\n",
            7,
            "`objectives.acuracy`: there is no column 'acuracy'; did you mean accuracy?",
        ),
        (
            "limits:\n  parameter: {max: 5}\n",
            7,
            "`limits.parameter`: there is no column known before training 'parameter'; "
            "did you mean parameters?",
        ),
        (
            "search:\n  trials: 3\n  strategy: evolutoin\n",
            8,
            "`search.strategy`: there is no strategy 'evolutoin'; did you mean evolution?",
        ),
        (
            "search:\n  presets:\n    - mha\n    - slidingwindow\n",
            9,
            "`search.presets[1]`: there is no preset 'slidingwindow'; did you mean sliding-window?",
        ),
        (
            "search: {strategy: zzz}\n",
            6,
            f"`search.strategy`: there is no strategy 'zzz'; there are {', '.join(STRATEGIES)}",
        ),
        (
            "objectives:\n  accuracy: maximise\n  kv_cache_bytes: min\n",
            7,
            "`objectives.accuracy` must be min or max, but got the text 'maximise'",
        ),
        (
            "task:\n  recall: {pairs: 9}\n",
            7,
            "`task.recall`: `pairs` must be at most `keys`, for a key has one value, but got "
            "pairs=9, keys=8; raise keys to 9",
        ),
        (
            "engine:\n  nane: serial\n",
            7,
            "`engine` has no key 'nane'; did you mean `name`?",
        ),
    ],
    ids=[
        "objective", "limit", "strategy", "preset", "no near name", "direction", "task", "key",
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence_with_its_line(
    tmp_path: Path, text: str, line: int, sentence: str
) -> None:
    assert mistakes(tmp_path, YAML + text) == [(line, sentence)]


def test_a_limit_on_what_training_gives_is_refused(tmp_path: Path) -> None:
    [(line, sentence)] = mistakes(tmp_path, YAML + "limits: {accuracy: {min: 0.5}}\n")
    assert line == 6
    assert "there is no column known before training 'accuracy'" in sentence


@pytest.mark.parametrize("count", [1, 5])
def test_a_search_has_two_to_four_objectives(tmp_path: Path, count: int) -> None:
    columns = ["accuracy", "kv_cache_bytes", "parameters", "decode_flops", "prefill_flops"]
    text = "objectives:\n" + "".join(f"  {column}: min\n" for column in columns[:count])
    [(line, sentence)] = mistakes(tmp_path, YAML + text)
    assert line == 6
    assert f"a search needs two to four objectives, but got {count}" in sentence


def test_five_mistakes_are_found_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
space:
  width: 30
  depth: 2
  context: 2048
  layer: {query_heads: 4, kv_heads: 2, head_dim: 8}
training:
  step: 100
search:
  strategy: evolve
  random_share: 1.5
objectives:
  accuracy: max
  latency: min
"""
    found = mistakes(tmp_path, text)
    assert [line for line, _ in found] == [2, 7, 9, 10, 13]
    assert "width must be a multiple of 8, but got 30" in found[0][1]
    assert found[1][1] == "`training` has no key 'step'; did you mean `steps`?"


def test_an_objective_of_the_defaults_that_the_grid_lacks_is_refused(tmp_path: Path) -> None:
    text = YAML + "measuring: {prefill: [512], decode: [512]}\n"
    [(_, sentence)] = mistakes(tmp_path, text)
    assert "there is no column 'prefill_2048_ratio'; did you mean prefill_512_ratio?" in sentence


def test_a_context_shorter_than_the_grid_is_refused(tmp_path: Path) -> None:
    text = YAML.replace("context: 2048", "context: {choice: [512, 4096]}")
    text += "measuring:\n  prefill: [256, 2048]\n"
    assert mistakes(tmp_path, text) == [
        (
            6,
            "measuring at 2048 tokens needs a context at least that long, but the space has "
            "designs of context 512; raise `context` or measure at shorter lengths",
        )
    ]


@pytest.mark.parametrize(
    ("task", "length"),
    [("lm: {length: 300}", 300), ("recall: {pairs: 4, queries: 3, filler: 90}", 104)],
)
def test_a_context_shorter_than_a_training_sequence_is_refused(
    tmp_path: Path, task: str, length: int
) -> None:
    text = YAML.replace("context: 2048", "context: 64") + f"task: {{{task}}}\n"
    text += "measuring: {prefill: [64], decode: [64]}\n"
    text += "objectives: {accuracy: max, kv_cache_bytes: min}\n"
    assert mistakes(tmp_path, text) == [
        (
            6,
            f"training on sequences of {length} tokens needs a context at least that long, but "
            f"the space has designs of context 64; raise `context` or make them shorter",
        )
    ]


def test_an_override_replaces_and_its_mistake_names_it(tmp_path: Path) -> None:
    assert written(tmp_path, YAML, "search.trials=3", "engine.name=serial").search.trials == 3
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, YAML, "search.strategy=evolutoin")
    assert "--set search.strategy=evolutoin" in str(caught.value)
    assert "did you mean evolution?" in str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {
            "task": {"lm": {"text": "prose", "weight": 2}},
            "training": {"steps": 7, "learning_rate": 1e-3},
            "measuring": {"prefill": [64, 128], "decode": [32], "repeat": {"most": 9}},
            "limits": {"prefill_64_ms": {"max": 5}, "parameters": {"min": 1}},
            "objectives": {"bits_per_byte": "min", "decode_32_ratio": "min"},
            "search": {"presets": ["mqa"], "minutes": 1.5, "strategy": "random", "seed": 9},
            "engine": {"name": "serial"},
            "threads": 2,
        },
        {
            "space": SPACE
            | {
                "depth": {"choice": [2, 4]},
                "period": 2,
                "layer": {
                    "query_heads": 8,
                    "kv_heads": {
                        "choice": [1, 2],
                        "place": "per-layer",
                        "when": {"pattern": "dense"},
                        "otherwise": 8,
                    },
                    "head_dim": 8,
                    "pattern": {
                        "choice": [
                            "dense",
                            {"sliding-window": {"window": {"range": [4, 64], "step": 4}}},
                        ],
                        "place": "per-layer",
                    },
                },
                "constraints": [{"count": "parameters", "max": 1e9}],
            }
        },
    ],
    ids=["defaults", "every part", "a rich space"],
)
def test_plain_data_reads_back_as_the_same_configuration(parts: dict[str, Any]) -> None:
    config = config_of(**parts)
    plain = json.loads(json.dumps(config.to_plain()))
    again = RunConfig.model_validate(plain)
    assert again == config
    assert again.to_plain() == plain


@pytest.mark.parametrize("path", sorted(Path("configs").glob("*.yaml")), ids=lambda p: p.name)
def test_the_configurations_that_come_with_attnas_are_valid(path: Path) -> None:
    assert load_config(path).search.trials >= 1


@pytest.mark.parametrize(
    ("width", "asked", "scaled"),
    [
        ("32", "", False),
        ("{choice: [16, 32]}", "", True),
        ("32", "training: {scale_with_width: true}\n", True),
        ("{choice: [16, 32]}", "training: {scale_with_width: false}\n", False),
    ],
)
def test_rates_are_scaled_where_widths_differ(
    tmp_path: Path, width: str, asked: str, scaled: bool
) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(re.sub(r"width: \d+", f"width: {width}", YAML) + asked)
    assert load_config(file).evaluation.training.scale_with_width is scaled

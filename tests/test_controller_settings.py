"""Settings of training are searched beside the design: in the space's YAML, in trials, in rows."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller import (
    Candidate,
    CandidateSpace,
    RunConfig,
    Search,
    Session,
    Trial,
    load_config,
    resume,
    start,
)
from controller.cost import estimated_cost
from controller.worker import failed_row
from evaluator import Evaluator, Task, TaskConfig, TrainingConfig
from evaluator.settings import NOT_SETTINGS, settable, with_settings
from results import RunWriter, by_design, load, parse_objectives, read_run
from search_space import ConfigError, Design, Space, apply_override, load_yaml

RATE, BATCH = "training.learning_rate", "task.recall.batch"
RECALL = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8, "held_out": 64}
LAYER = {"query_heads": 2, "kv_heads": {"choice": [1, 2], "place": "per-layer"}, "head_dim": 8}
SETTINGS = {RATE: {"log_range": [0.001, 0.008]}, BATCH: {"choice": [4, 8]}}
OLD_RUN = Path(__file__).parent / "data" / "run-before-settings"


def tiny_config(settings: Any = SETTINGS, **search: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "space": {"width": 16, "depth": 2, "context": 32, "layer": LAYER}
            | ({"settings": settings} if settings else {}),
            "task": {"recall": RECALL},
            "training": {"steps": 3, "log_every": 1},
            "measuring": {
                "prefill": [24],
                "decode": [24],
                "processes": 1,
                "repeat": {"least": 6, "most": 6, "seconds": 0.05},
            },
            "objectives": {"accuracy": "max", "kv_cache_bytes": "min"},
            "search": {
                "strategy": "evolution",
                "trials": 9,
                "preset_seeds": 2,
                "presets": ["mha"],
                "finalists": 2,
            }
            | search,
            "engine": {"name": "serial"},
        }
    )


def candidates_of(config: RunConfig) -> CandidateSpace:
    return CandidateSpace(Space.from_config(config.space))


def unwatched(session: Session) -> Any:
    return nullcontext()


def started(path: Path, config: RunConfig, watch: Any = unwatched) -> Session:
    return start(config, "", path, watch, None)


def drained_after(trials: int) -> Any:
    def watch(session: Session) -> Any:
        search, take_in = session.search, session.search.finish

        def finish(row: Any) -> None:
            take_in(row)
            search.draining = len(search.rows) >= trials

        search.finish = finish
        return nullcontext()

    return watch


# candidates


def test_a_candidate_without_settings_has_the_key_of_its_design() -> None:
    design = next(candidates_of(tiny_config()).space.enumerate())
    assert Candidate(design).key == design.key
    assert Candidate(design).settings_json is None


def test_candidates_differ_in_key_where_design_or_settings_differ() -> None:
    candidates = list(candidates_of(tiny_config()).enumerate())
    assert len(candidates) == len(set(candidates)) == len({c.key for c in candidates}) == 4 * 8
    assert {len(c.key) for c in candidates} == {16}
    assert candidates_of(tiny_config()).size().count == 4 * 8


def test_a_candidate_survives_its_row() -> None:
    for candidate in candidates_of(tiny_config({**SETTINGS, "training.clip": 1})).enumerate():
        trial = Trial(0, 0, 0, candidate.design, "random", candidate.settings)
        row = run_of_nothing(trial)
        assert Candidate.of(row) == candidate
        assert (Trial.of(row), row.key) == (trial, candidate.key)


def run_of_nothing(trial: Trial) -> Any:
    return failed_row(trial, RuntimeError("x"), Path("/nowhere"), "w")


def test_samples_are_uniform_over_settings() -> None:
    space, rng = candidates_of(tiny_config()), np.random.default_rng(0)
    drawn = Counter(space.sample(rng).settings for _ in range(1600))
    assert len(drawn) == 8
    assert all(abs(count - 200) < 5 * (1600 * 7 / 64) ** 0.5 for count in drawn.values())


def test_a_mutation_moves_the_design_or_one_setting_half_the_time_each() -> None:
    space, rng = candidates_of(tiny_config()), np.random.default_rng(0)
    start = space.sample(rng)
    moved = [space.mutate(start, rng) for _ in range(400)]
    same_design = [m for m in moved if m.design == start.design]
    assert 160 < len(same_design) < 240
    assert {m.settings for m in moved if m.design != start.design} == {start.settings}
    for other in same_design:
        pairs = zip(start.settings, other.settings, strict=True)
        assert sum(one != two for one, two in pairs) == 1


def test_a_setting_mostly_moves_to_a_neighbouring_number() -> None:
    space = candidates_of(tiny_config({RATE: {"choice": [0.008, 0.001, 0.002, 0.004]}}))
    rng = np.random.default_rng(0)
    start = Candidate(space.sample(rng).design, ((RATE, 0.001),))
    rates = Counter(dict(space.mutate(start, rng).settings)[RATE] for _ in range(600))
    assert rates[0.002] > 2 * rates[0.004] > 0
    assert rates[0.008] > 0


def test_a_child_has_each_setting_of_either_parent() -> None:
    space, rng = candidates_of(tiny_config()), np.random.default_rng(0)
    one, other = space.sample(rng), space.sample(rng)
    one = Candidate(one.design, ((BATCH, 4), (RATE, 0.001)))
    other = Candidate(other.design, ((BATCH, 8), (RATE, 0.008)))
    children = {space.cross(one, other, rng).settings for _ in range(60)}
    assert children == {((BATCH, b), (RATE, r)) for b in (4, 8) for r in (0.001, 0.008)}


def test_children_of_a_preset_draw_the_settings_that_it_lacks() -> None:
    space, rng = candidates_of(tiny_config()), np.random.default_rng(0)
    preset = Candidate(space.space.presets()["mha"])
    for child in (space.mutate(preset, rng), space.cross(preset, preset, rng)):
        assert [name for name, _ in child.settings] == [BATCH, RATE]
        assert space.space.contains(child.design) == []


def test_a_space_without_settings_draws_what_its_designs_draw() -> None:
    space = candidates_of(tiny_config(None))
    one, two = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(20):
        a, b = space.sample(one), space.sample_structured(one)
        designs = (space.space.sample(two), space.space.sample_structured(two))
        assert (a, b) == tuple(map(Candidate, designs))
        assert space.mutate(a, one).design == space.space.mutate(designs[0], two)
        assert space.cross(a, b, one).design == space.space.cross(*designs, two)
    assert one.bit_generator.state == two.bit_generator.state
    assert str(space.size()) == str(space.space.size())


# the evaluator


def test_settings_change_their_fields_and_nothing_else() -> None:
    config = TaskConfig.model_validate(
        {"lm": {"text": "prose", "length": 16, "batch": 2}, "recall": RECALL}
    )
    training, task = TrainingConfig(steps=3), Task.load(config)
    changed, other = with_settings(
        training, task, {RATE: 0.5, "training.steps": 9, "task.lm.batch": 5}
    )
    assert changed == TrainingConfig(steps=9, learning_rate=0.5)
    assert [part.train_batch(0, 0).inputs.shape[0] for part in other.parts] == [5, 8]
    assert (other.vocabulary, other.shares()) == (task.vocabulary, task.shares())
    for mine, theirs in zip(task.parts, other.parts, strict=True):
        for one, two in zip(mine.held_out(), theirs.held_out(), strict=True):
            assert bool((one.inputs == two.inputs).all())
    assert with_settings(training, task, {}) == (training, task)


@pytest.fixture
def evaluator() -> Evaluator:
    config = tiny_config()
    reference = Space.from_config(config.space).presets()["mha"]
    return Evaluator(config.evaluation, Task.load(config.task), reference)


def test_rates_and_batches_are_really_used(evaluator: Evaluator) -> None:
    design = evaluator.reference
    plain = evaluator.evaluate(design, seed=1)
    same = evaluator.evaluate(design, seed=1, settings={RATE: 3e-3, BATCH: 8})
    faster = evaluator.evaluate(design, seed=1, settings={RATE: 3e-2})
    smaller = evaluator.evaluate(design, seed=1, settings={BATCH: 4})
    after = evaluator.evaluate(design, seed=1)
    assert plain.curve == same.curve == after.curve
    assert plain.curve[0] == faster.curve[0]  # before the first step
    assert plain.curve[1][1] != faster.curve[1][1]
    assert [tokens for tokens, _ in smaller.curve] == [tokens / 2 for tokens, _ in plain.curve]
    assert smaller.metrics["peak_train_bytes"] < plain.metrics["peak_train_bytes"]


def test_rows_keep_the_fingerprint_of_the_runs_data(evaluator: Evaluator) -> None:
    found = evaluator.evaluate(evaluator.reference, seed=0, settings={BATCH: 4})
    assert found.provenance["data"] == evaluator.task.fingerprint


# runs


def test_proposals_have_settings_and_presets_none(tmp_path: Path) -> None:
    session = started(tmp_path / "run", tiny_config(random_share=0.5))
    rows = load(tmp_path / "run")
    assert list(rows["origin"]) == [
        "preset:mha", "preset:mha",
        "strategy:evolution", "random", "strategy:evolution", "random", "strategy:evolution",
        "finalist", "finalist",
    ]  # fmt: skip
    assert set(rows["state"]) == {"complete"}
    assert rows["data"].nunique() == 1
    assert rows["settings"][:2].isna().all()
    for settings in rows["settings"][2:7]:
        assert sorted(json.loads(settings)) == [BATCH, RATE]
    assert rows["key"][2:7].nunique() == 5
    assert all(Candidate.of(row).key == row.key for row in session.search.rows)


def test_finalists_are_trained_under_their_settings_again(tmp_path: Path) -> None:
    rows = started(tmp_path / "run", tiny_config(presets=[], trials=6)).search.rows
    proposals, finalists = rows[:4], rows[4:]
    assert [row.origin for row in finalists] == ["finalist"] * 2
    for row in finalists:
        (first,) = (other for other in proposals if other.key == row.key)
        assert (row.design, row.settings) == (first.design, first.settings)
        assert row.settings is not None
        assert row.seed > first.seed


def test_designs_under_other_settings_are_rows_of_their_own(tmp_path: Path) -> None:
    started(tmp_path / "run", tiny_config(finalists=0, random_share=1.0))
    designs = by_design(load(tmp_path / "run"), parse_objectives(tiny_config().objectives))
    assert len(designs) == 8
    assert designs["settings"].notna().sum() == 7
    started(tmp_path / "plain", tiny_config(None, trials=3))
    plain = by_design(load(tmp_path / "plain"), parse_objectives(tiny_config().objectives))
    assert "settings" not in plain


def test_a_resumed_search_chooses_as_one_that_was_not_interrupted(tmp_path: Path) -> None:
    started(tmp_path / "whole", tiny_config())
    started(tmp_path / "broken", tiny_config(), drained_after(5))
    assert len(load(tmp_path / "broken")) == 5
    resume(tmp_path / "broken", unwatched, None)
    one, other = load(tmp_path / "whole"), load(tmp_path / "broken")
    for column in ("key", "design", "settings", "seed", "origin", "accuracy"):
        assert one[column].tolist() == other[column].tolist()


def test_a_lost_trial_is_tried_again_under_its_settings(tmp_path: Path) -> None:
    config = tiny_config(presets=[], finalists=0)
    with RunWriter.create(
        tmp_path / "run",
        config=config.to_plain(),
        config_text="",
        objectives=dict(config.objectives),
        provenance={},
        name="run",
    ) as writer:
        search = Search.of(config, writer)
        lost, out = search.next_trial(), search.next_trial()
        assert lost is not None
        assert out is not None
        assert lost.settings
        search.lost(lost, "the worker died", "w")
        again = search.next_trial()
        assert again is not None
        assert (again.attempt, again.candidate) == (1, lost.candidate)
    with RunWriter.open(tmp_path / "run") as writer:
        search = Search.of(config, writer)
        assert [search.next_trial() for _ in range(2)] == [out, again]


def test_a_result_under_other_settings_than_asked_is_refused(tmp_path: Path) -> None:
    config = tiny_config(presets=[])
    with RunWriter.create(
        tmp_path / "run",
        config=config.to_plain(),
        config_text="",
        objectives=dict(config.objectives),
        provenance={},
        name="run",
    ) as writer:
        trial = Search.of(config, writer).next_trial()
        assert trial is not None
        row = run_of_nothing(trial).to_plain() | {"settings": None}
        with pytest.raises(ValueError, match="must repeat its ask"):
            writer.append(type(run_of_nothing(trial)).from_plain(row))


# runs from before there were settings


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """Two rows, one in a segment and one in the journal, and an ask; written by schema 1."""
    for folder in ("inbox", "logs", "checkpoints"):
        (tmp_path / "old" / folder).mkdir(parents=True)
    shutil.copytree(OLD_RUN, tmp_path / "old", dirs_exist_ok=True)
    return tmp_path / "old"


def test_a_run_of_the_old_schema_is_read(old_run: Path) -> None:
    run = read_run(old_run)
    assert run.rows["trial"].to_pylist() == [0, 1]
    assert run.rows["settings"].to_pylist() == [None, None]
    assert [(ask.trial, ask.settings) for ask in run.pending] == [(2, None)]
    assert "settings" not in by_design(run.frame(), run.objectives)
    for text, key in zip(run.rows["design"].to_pylist(), run.rows["key"].to_pylist(), strict=True):
        assert Design.from_json(text).key == key


def test_a_run_of_the_old_schema_goes_on_to_the_choices_it_would_have_made(old_run: Path) -> None:
    """The keys are those that the attnas of that time went on to."""
    session = resume(old_run, unwatched, None)
    assert session.phase == "finished"
    rows = session.search.rows[:4]
    assert [(row.trial, row.key, row.origin) for row in rows] == [
        (0, "07e9b5a7cb45ffdf", "preset:mha"),
        (1, "5f5f9750b5090441", "strategy:evolution"),
        (2, "5e05ce66425104c2", "strategy:evolution"),
        (3, "c99a4fc5e42b90bb", "strategy:evolution"),
    ]
    assert session.search.rows[4].origin == "finalist"
    assert read_run(old_run).rows["settings"].to_pylist() == [None] * 5


# configurations

YAML = """\
space:
  width: 16
  depth: 2
  context: 64
  layer: {query_heads: 2, kv_heads: 1, head_dim: 8}
  settings:
    training.learning_rate: {log_range: [0.001, 0.008]}
    training.warmup: 0.2
    task.lm.batch: {choice: [2, 4]}
task:
  lm: {text: prose, length: 16}
measuring: {prefill: [32], decode: [32]}
objectives: {accuracy: max, kv_cache_bytes: min}
"""


def written(tmp_path: Path, text: str, *overrides: str) -> RunConfig:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return load_config(path, list(overrides))


def mistakes(tmp_path: Path, text: str, *overrides: str) -> list[tuple[int | None, str]]:
    with pytest.raises(ConfigError) as caught:
        written(tmp_path, text, *overrides)
    return [(problem.line, problem.message) for problem in caught.value.problems]


def test_settings_are_axes_of_the_space(tmp_path: Path) -> None:
    config = written(tmp_path, YAML)
    space = candidates_of(config)
    assert space.space.settings == {
        RATE: (0.001, 0.002, 0.004, 0.008),
        "training.warmup": (0.2,),
        "task.lm.batch": (2, 4),
    }
    assert space.combinations == 8
    plain = json.loads(json.dumps(config.to_plain()))
    assert RunConfig.model_validate(plain) == config


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        (
            "training.warmup", "training.warmpu", 8,
            "`space.settings.training.warmpu`: there is no such setting; "
            "did you mean training.warmup?",
        ),
        (
            "training.warmup", "foo.bar", 8,
            "`space.settings.foo.bar`: there is no such setting; there are training.steps, ",
        ),
        (
            "training.warmup: 0.2", "task.recall.batch: 2", 8,
            "`space.settings.task.recall.batch`: there is no such setting; did you mean "
            "task.lm.batch?",
        ),
        (
            "training.warmup: 0.2", "task.lm.length: {choice: [16, 32]}", 8,
            "`space.settings.task.lm.length`: trials that differ in this would not compare; only "
            "training.* and task.*.batch may be settings",
        ),
        ("training.warmup: 0.2", "task.lm.text: prose", 8, "would not compare"),
        ("training.warmup: 0.2", "training.folds: 2", 8, "not what it learns; leave it out"),
        ("training.warmup: 0.2", "task.lm.weight: 2", 8, "would not compare"),
        ("training.warmup: 0.2", "search.trials: 2", 8, "would not compare"),
        (
            "training.warmup: 0.2", "training.warmup: {choice: [0.5, 2]}", 8,
            "`space.settings.training.warmup.choice[1]`: `warmup` must be at most 1.0, but got 2",
        ),
        (
            "[0.001, 0.008]", "[0.5, 4]", 7,
            "`space.settings.training.learning_rate.log_range`: `learning_rate` must be at most "
            "1.0, but got 2.0",
        ),
        ("[2, 4]", "[2, 2.5]", 9, "`batch` must be a whole number, but got 2.5"),
        ("[2, 4]", "[2, many]", 9, "`batch` must be a number, but got the text 'many'"),
        ("[2, 4]", "[2, '4']", 9, "`batch` must be a number, but got the text '4'"),
        ("[2, 4]", "[0, 4]", 9, "`batch` must be at least 1, but got 0"),
        ("[2, 4]", "[2, true]", 9, "must be a number or text, but got true"),
        ("[2, 4]", "[2, 2]", 9, "2 is listed twice; keep one"),
        ("[2, 4]}", "[2, 4], place: motif}", 9, "this axis is always shared, but got motif"),
        ("[2, 4]}", "[2], when: {depth: 2}, otherwise: 1}", 9, "conditions are for the axes of a"),
        (
            "training.warmup", "warmup", 8,
            "a setting is named by a dotted path, such as training.learning_rate",
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_setting_is_a_sentence_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, sentence: str
) -> None:
    assert old in YAML
    found = mistakes(tmp_path, YAML.replace(old, new))
    assert {number for number, _ in found} == {line}
    assert sentence in found[0][1]


def test_every_setting_that_exists_is_known(tmp_path: Path) -> None:
    config = written(tmp_path, YAML)
    names = list(settable(config.training, config.task))
    learned = [name for name in TrainingConfig.model_fields if name not in NOT_SETTINGS]
    assert names == [f"training.{name}" for name in learned] + ["task.lm.batch"]
    assert set(TrainingConfig.model_fields) - set(learned) == {
        "folds", "checkpoint_every", "log_every",
    }  # fmt: skip


def test_an_override_reaches_a_setting_by_its_dotted_name(tmp_path: Path) -> None:
    config = written(
        tmp_path,
        YAML,
        "space.settings.task.lm.batch.choice[1]=8",
        "space.settings.training.warmup=0.3",
        "space.settings.training.clip={choice: [1, 2]}",
    )
    settings = Space.from_config(config.space).settings
    assert settings["task.lm.batch"] == (2, 8)
    assert settings["training.warmup"] == (0.3,)
    assert settings["training.clip"] == (1, 2)
    with pytest.raises(ConfigError, match=r"did you mean training.clip\?") as caught:
        written(tmp_path, YAML, "space.settings.training.clipp=1")
    assert "--set space.settings.training.clipp=1" in str(caught.value)
    path = tmp_path / "run.yaml"
    document = apply_override(load_yaml(path), "space.settings.task.lm.batch=4")
    assert document.data["space"]["settings"]["task.lm.batch"] == 4


def test_ends_of_a_log_range_are_not_lost_to_rounding(tmp_path: Path) -> None:
    text = YAML.replace("{log_range: [0.001, 0.008]}", "{log_range: [0.1, 0.9], base: 3}")
    assert Space.from_config(written(tmp_path, text).space).settings[RATE] == (0.1, 0.3, 0.9)


def test_the_cost_is_that_of_the_mean_of_the_steps() -> None:
    fixed, searched = (
        tiny_config({"training.steps": {"choice": steps}}) for steps in ([3], [3000, 9000])
    )
    costs = [
        estimated_cost(config, Space.from_config(config.space)) for config in (fixed, searched)
    ]
    assert costs[1].trial_s > 100 * costs[0].trial_s

"""Standard errors of scores: as wide as another held-out set of the same size would make them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from evaluator.model import model_of
from evaluator.scoring import (
    GROUPS,
    Scores,
    averaged,
    held_out_errors,
    one_answer,
    pseudo_values,
    score,
    standard_error,
    tallies_of,
    total,
)
from evaluator.tasks import Recall, RecallConfig, Tally, Task, TaskConfig
from search_space import preset

RECALL = {"pairs": 2, "queries": 2, "filler": 2, "keys": 4, "values": 4, "batch": 8}


def recall() -> Recall:
    return Recall(RecallConfig.model_validate(RECALL | {"held_out": 64}))


def answered(right: np.ndarray) -> list[Tally]:
    """Sequences of two answers each, `right` (N,) of which are right."""
    return [Tally(1.0, int(n), 2, int(n == 2), 1) for n in right]


def test_tallies_of_sequences_add_up() -> None:
    assert Tally(1.0, 2, 3, 0, 1, 4.0) + Tally(0.5, 1, 1, 1, 1, 2.0) == Tally(1.5, 3, 4, 1, 2, 6.0)
    assert total([Tally(1.0, 2, 3)]) == Tally(1.0, 2, 3)


def test_the_error_is_the_spread_over_held_out_sets_of_the_same_size() -> None:
    rng = np.random.default_rng(0)
    part, errors, accuracies = recall(), [], []
    for _ in range(300):
        sequences = answered(rng.binomial(2, 0.7, 128))
        values = pseudo_values(part, sequences, GROUPS)
        errors.append(standard_error(values))
        accuracies.append(part.scores(total(sequences))["accuracy_recall"])
        assert values.mean() == pytest.approx(accuracies[-1])
    assert np.mean(np.square(errors)) ** 0.5 == pytest.approx(np.std(accuracies), rel=0.1)


def test_what_neighbours_have_in_common_is_part_of_the_error() -> None:
    rng = np.random.default_rng(1)
    alike = np.repeat(rng.binomial(2, 0.7, 32), 8)  # eight neighbours are right or wrong together
    shuffled = rng.permutation(alike)
    wide, narrow = (
        standard_error(pseudo_values(recall(), answered(right), GROUPS))
        for right in (alike, shuffled)
    )
    assert wide > 1.5 * narrow


def test_where_all_answers_are_right_the_error_is_one_answer() -> None:
    task = Task((recall(),))
    found, groups = held_out_errors(task, [answered(np.full(64, 2))])
    one = one_answer(task.parts[0], total(answered(np.full(64, 2))))
    assert one == pytest.approx(1 / 128 / (1 - 1 / 4))  # of 128 answers; chance is one in four
    assert found == {"accuracy_se": pytest.approx(one), "accuracy_recall_se": pytest.approx(one)}
    assert groups == pytest.approx([1.0] * GROUPS)


def test_below_chance_the_error_is_not_cut_off_with_the_accuracy() -> None:
    right = np.random.default_rng(2).binomial(2, 0.1, 64)
    assert recall().scores(total(answered(right)))["accuracy_recall"] == 0
    found, _ = held_out_errors(Task((recall(),)), [answered(right)])
    assert found["accuracy_se"] > 3 * one_answer(recall(), total(answered(right)))


def test_few_sequences_make_fewer_groups_and_one_makes_none() -> None:
    task = Task((recall(),))
    assert len(held_out_errors(task, [answered(np.array([2, 0, 1]))])[1]) == 3
    assert held_out_errors(task, [answered(np.array([2]))]) == ({}, ())


def test_a_mix_has_an_error_of_its_own_and_one_per_part() -> None:
    prose = {"text": "prose", "length": 32, "batch": 4, "held_out": 20, "tokenizer": "bpe:300"}
    task = Task.load(TaskConfig.model_validate({"lm": prose, "recall": RECALL | {"held_out": 64}}))
    design = preset("mha", width=16, depth=1, context=32, heads=2, dim=8)
    torch.manual_seed(0)
    model = model_of(design, task.vocabulary, task.channels).eval()
    found = score(model, task)
    names = ("accuracy", "accuracy_lm", "accuracy_recall")
    assert {n for n in found.metrics if n.endswith("_se")} == {f"{name}_se" for name in names}
    whole, lm, recalled = (found.metrics[f"{name}_se"] for name in names)
    assert max(lm, recalled) / 3 < whole < lm + recalled
    assert len(found.groups) == GROUPS

    # Bits are per byte: with the bytes of each sequence, leaving some out leaves out their bytes.
    sequences = tallies_of(model, task, 0)
    part = task.parts[0]
    assert len({tally.size for tally in sequences}) > 1
    without_sizes = Tally(total(sequences).nats, 0, total(sequences).count)
    bits = part.scores(total(sequences))["bits_per_byte"]
    assert part.scores(without_sizes)["bits_per_byte"] == pytest.approx(bits)


def test_folds_hold_out_different_items_so_their_mean_is_known_better() -> None:
    folds = [Scores({"accuracy": a, "accuracy_se": 0.02}, (1.0,)) for a in (0.4, 0.5, 0.6, 0.5)]
    assert averaged(folds) == {
        "accuracy": pytest.approx(0.5),
        "accuracy_se": pytest.approx(0.01),
        "accuracy_fold_sd": pytest.approx(0.0816, rel=0.01),
    }
    assert averaged(folds[:1]) == {"accuracy": 0.4, "accuracy_se": pytest.approx(0.02)}

"""Copying, induction and list operations ask what they say, and chance is what it says."""

from __future__ import annotations

import re
import statistics
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from evaluator.tasks import IGNORED, Part, Tally
from evaluator.tasks.induction import INDUCTION, Induction, InductionConfig
from evaluator.tasks.interface import TaskType
from evaluator.tasks.listops import LISTOPS, Listops, ListopsConfig
from evaluator.tasks.selective_copy import COPYING, CopyingConfig, SelectiveCopy

PROBES = (COPYING, INDUCTION, LISTOPS)


def probe(task: TaskType, **fields: Any) -> Part:
    config = task.config.model_validate(fields)
    return task.build(config, task.read(config))


def answers(part: Part) -> Tensor:
    """All targets of the held-out set that count."""
    return torch.cat([batch.targets[batch.targets != IGNORED] for batch in part.held_out()])


def sequences(part: Part) -> list[tuple[list[int], list[int]]]:
    """A training batch and the held-out set, sequence by sequence."""
    batches = [part.train_batch(0, 0), *part.held_out()]
    inputs = [row for batch in batches for row in batch.inputs.tolist()]
    targets = [row for batch in batches for row in batch.targets.tolist()]
    return list(zip(inputs, targets, strict=True))


@pytest.mark.parametrize("task", PROBES, ids=lambda task: task.name)
def test_a_batch_is_a_function_of_seed_and_step(task: TaskType) -> None:
    part = probe(task)
    batch = part.train_batch(3, 7)
    torch.manual_seed(99)  # the global generator has no say
    again = probe(task).train_batch(3, 7)
    assert torch.equal(batch.inputs, again.inputs)
    assert torch.equal(batch.targets, again.targets)
    for seed, step in ((3, 8), (4, 7), (7, 3)):
        assert not torch.equal(batch.inputs, part.train_batch(seed, step).inputs)


@pytest.mark.parametrize("task", PROBES, ids=lambda task: task.name)
def test_the_held_out_set_is_the_same_each_time_and_as_large_as_asked(task: TaskType) -> None:
    part = probe(task, held_out=200)
    first, second = list(part.held_out()), list(part.held_out())
    assert [len(batch.inputs) for batch in first] == [128, 72]
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0].inputs[:64], part.train_batch(0, 0).inputs)


@pytest.mark.parametrize("task", PROBES, ids=lambda task: task.name)
def test_a_probe_is_described_by_its_configuration(task: TaskType) -> None:
    part = probe(task, batch=5)
    batch = part.train_batch(0, 0)
    assert batch.inputs.shape == batch.targets.shape == (5, part.config.longest)
    assert part.channels == 0
    seen = set(batch.inputs.flatten().tolist()) | set(answers(part).tolist())
    assert seen <= set(range(part.symbols))
    assert len(set(part.spelled(range(part.symbols)))) == part.symbols
    assert set(part.scores(Tally(1.0, 1, 2, 0, 1))) == set(task.columns)
    assert part.levels.metric in task.columns


@pytest.mark.parametrize("task", PROBES, ids=lambda task: task.name)
def test_everything_but_the_weight_is_in_the_fingerprint(task: TaskType) -> None:
    plain = task.config()
    values = {name: getattr(plain, name) for name in type(plain).model_fields}
    changes = {n: v[:-1] if isinstance(v, tuple) else v + 1 for n, v in values.items()}
    prints = {name: probe(task, **{name: value}).fingerprint for name, value in changes.items()}
    assert prints.pop("weight") == probe(task).fingerprint
    assert len({*prints.values(), probe(task).fingerprint}) == len(prints) + 1


@pytest.mark.parametrize("task", PROBES, ids=lambda task: task.name)
def test_accuracy_goes_from_chance_to_perfect(task: TaskType) -> None:
    part = probe(task)
    chance = part.levels.chance

    def accuracy(right: float) -> float:
        scores = part.scores(Tally(1.0, round(right * 10**9), 10**9, 1, 2))
        return scores[f"accuracy_{task.name}"]

    assert accuracy(1.0) == 1
    assert accuracy(chance / 2) == 0
    assert accuracy(chance) == pytest.approx(0, abs=1e-8)
    assert accuracy((1 + chance) / 2) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"symbols": 2, "count": 1, "length": 1, "distance": 0},
        {"count": 9, "length": 9, "distance": 1},
        {"symbols": 30, "count": 3, "length": 50},
    ],
    ids=str,
)
def test_copying_asks_for_the_data_symbols_in_their_order(fields: dict[str, Any]) -> None:
    part = probe(COPYING, **fields)
    c = part.config
    noise, mark = c.symbols, c.symbols + 1
    for tokens, targets in sequences(part):
        scattered, rest = tokens[: c.length], tokens[c.length :]
        assert rest == [noise] * c.distance + [mark] * c.count
        data = [token for token in scattered if token != noise]
        assert max(data) < c.symbols
        assert targets == [IGNORED] * (c.length + c.distance) + data


def test_copying_puts_data_symbols_anywhere() -> None:
    part = SelectiveCopy(CopyingConfig(held_out=2048))
    first = torch.cat([batch.inputs[:, :16] for batch in part.held_out()])
    shares = (first != 8).float().mean(0)
    assert shares.tolist() == pytest.approx([4 / 16] * 16, abs=0.05)  # five standard errors


@pytest.mark.parametrize("task", [COPYING, INDUCTION], ids=lambda task: task.name)
def test_answers_are_spread_evenly_so_that_chance_is_one_over_their_number(task: TaskType) -> None:
    part = probe(task, held_out=2048)
    shares = answers(part).bincount() / len(answers(part))
    kinds = {"copying": 8, "induction": part.symbols}[task.name]
    assert shares.tolist() == pytest.approx([1 / kinds] * kinds, abs=0.02)


def test_copying_counts_sequences_that_are_right_from_end_to_end() -> None:
    scores = probe(COPYING).scores(Tally(nats=1.0, correct=300, count=400, whole=40, sequences=100))
    assert (scores["copying_right"], scores["copying_exact"]) == (0.75, 0.4)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"symbols": 3, "cues": 1, "length": 2, "distance": 0},
        {"symbols": 20, "cues": 5, "length": 10, "distance": 3},
        {"symbols": 40, "cues": 2, "length": 33, "distance": 40},
    ],
    ids=str,
)
def test_induction_asks_what_followed_a_symbol_that_occurred_once(fields: dict[str, Any]) -> None:
    part = probe(INDUCTION, **fields)
    c = part.config
    for tokens, targets in sequences(part):
        shown, end = tokens[: c.length + c.distance], tokens[c.length + c.distance :]
        cues, given = end[::2], end[1::2]
        assert targets == [IGNORED] * len(shown) + [
            x for answer in given for x in (answer, IGNORED)
        ]
        assert len(set(cues)) == c.cues
        assert not set(cues) & set(given)
        for cue, answer in zip(cues, given, strict=True):
            assert shown.count(cue) == 1
            assert shown[shown.index(cue) + 1] == answer
            assert shown.index(cue) + 1 < c.length


def test_induction_puts_cues_anywhere_and_asks_in_any_order() -> None:
    part = Induction(InductionConfig(symbols=12, cues=2, length=5, distance=0, held_out=2048))
    places: dict[tuple[int, int], int] = {}
    for batch in part.held_out():
        for tokens in batch.inputs.tolist():
            at = (tokens.index(tokens[5]), tokens.index(tokens[7]))
            places[at] = places.get(at, 0) + 1
    expected = {(0, 2), (0, 3), (1, 3), (2, 0), (3, 0), (3, 1)}  # all that do not overlap
    assert set(places) == expected
    assert [count / 2048 for count in places.values()] == pytest.approx([1 / 6] * 6, abs=0.045)


def test_induction_cannot_be_guessed_from_what_is_near() -> None:
    """An answer is as likely each of the symbols that aren't cues, whatever stands nearby."""
    part = Induction(InductionConfig(symbols=6, cues=2, length=8, distance=8, held_out=4096))
    seen = total = 0
    for batch in part.held_out():
        for tokens, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
            seen += targets[16] == tokens[15]
            total += 1
    assert seen / total == pytest.approx(part.levels.chance, abs=0.035)  # five standard errors
    assert part.levels.chance == 0.25


def evaluated(tokens: list[str]) -> int:
    """A list's value, by a stack machine of its own."""
    functions = {
        "[MAX": max,
        "[MIN": min,
        "[MED": lambda digits: int(statistics.median(digits)),
        "[SM": lambda digits: sum(digits) % 10,
    }
    stack: list[Any] = []
    for token in tokens:
        if token == "]":
            digits: list[int] = []
            while isinstance(stack[-1], int):
                digits.append(stack.pop())
            stack.append(functions[stack.pop()](digits))
        else:
            stack.append(token if token in functions else int(token))
    (value,) = stack
    return value


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"length": 8, "depth": 1},
        {"length": 40, "depth": 1, "operands": 40, "operators": ["MED", "SM"]},
        {"length": 400, "depth": 10, "operands": 10, "held_out": 32},
    ],
    ids=str,
)
def test_list_operations_come_to_the_answer(fields: dict[str, Any]) -> None:
    part = probe(LISTOPS, **fields)
    c = part.config
    for tokens, targets in sequences(part):
        assert targets[:-1] == [IGNORED] * c.length
        text = " ".join(part.spelled(tokens))
        found = re.fullmatch(r"(?:\. )*(\[.*\]) =", text)  # padding in front, `=` at the end
        assert found
        written = found[1].split()
        assert evaluated(written) == targets[-1]

        depths = [0]
        for token in written:
            depths.append(depths[-1] + (token[0] == "[") - (token == "]"))
        assert max(depths) <= c.depth
        assert depths[-1] == 0
        assert len(written) <= c.length


def test_list_operations_are_long_and_deep_where_there_is_room() -> None:
    part = Listops(ListopsConfig(length=400, depth=10, operands=10, held_out=64))
    (batch,) = part.held_out()
    padding = part.spelled(range(part.symbols)).index(".")
    lengths = (batch.inputs != padding).sum(1)
    assert int(lengths.min()) >= 195
    assert int(lengths.max()) > 390


def test_chance_of_list_operations_is_the_share_of_the_most_frequent_answer() -> None:
    part = Listops(ListopsConfig(held_out=300))
    given = answers(part).tolist()
    assert len(given) == 300
    assert part.levels.chance == given.count(statistics.mode(given)) / 300
    assert part.scores(Tally(1.0, given.count(statistics.mode(given)), 300)) == {
        "accuracy_listops": 0.0,
        "listops_right": part.levels.chance,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"operators": ["MIN"], "length": 400, "operands": 300, "held_out": 64},
        {"operators": ["MIN"], "length": 100, "held_out": 16},
        {"operators": ["MAX"], "length": 100, "operands": 100, "held_out": 16},
    ],
    ids=str,
)
def test_list_operations_that_all_come_to_one_digit_are_refused(fields: dict[str, Any]) -> None:
    sentence = f"all {fields['held_out']} come to the same with operators={fields['operators'][0]},"
    with pytest.raises(ValueError, match=f"{sentence} length=.*; add MED or SM to `operators`, or"):
        probe(LISTOPS, **fields)
    assert probe(LISTOPS, **fields | {"operators": ["MIN", "SM"]}).levels.chance < 1


@pytest.mark.parametrize(
    ("config", "fields", "sentence"),
    [
        (CopyingConfig, {"count": 17}, "count=17, length=16; raise length to 17"),
        (InductionConfig, {"length": 5}, "length=5, cues=3; raise length to 6"),
        (ListopsConfig, {"operators": ["SM", "SM"]}, "each once, but got SM, SM; leave out the"),
        (ListopsConfig, {"operators": []}, "at least 1 item"),
        (InductionConfig, {"symbols": 4}, "symbols=4, cues=3; raise symbols to 5"),
    ],
    ids=str,
)
def test_a_probe_that_cannot_be_is_refused(
    config: type[Any], fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        config.model_validate(fields)


def test_list_operations_serve_decoders_and_encoders_and_the_others_decoders() -> None:
    assert {task.name: task.kinds for task in PROBES} == {
        "copying": ("decoder",),
        "induction": ("decoder",),
        "listops": ("decoder", "encoder"),
    }

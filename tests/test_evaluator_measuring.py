"""Latency is a ratio with an honest interval, bytes are counted, and nobody trains meanwhile."""

from __future__ import annotations

import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import evaluator.device_lock
from evaluator import CausalLM, GridConfig, RepeatConfig, measure_pair
from evaluator.costs import counted_costs, decode_work, latency_costs, memory_costs, prefill_work
from evaluator.device_lock import DeviceLock, private_folder
from evaluator.latency import BETWEEN_PROCESSES_SD, _median_interval, _with_process_spread
from evaluator.peak_bytes import peak_bytes
from evaluator.tasks import Batch
from search_space import Dense, Design, Heads, LayerDesign, SlidingWindow, counts

QUICK = RepeatConfig(least=6, most=6, seconds=0.01)


class Clock:
    """Time that passes in work alone, so that no other process can disturb a test."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def busy(self, *milliseconds: float) -> Callable[[], None]:
        """Work that takes so long, one value after the other."""
        turn = 0

        def work() -> None:
            nonlocal turn
            self.now += milliseconds[turn % len(milliseconds)] / 1e3
            turn += 1

        return work


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_work_that_takes_twice_as_long_has_an_interval_around_two(clock: Clock) -> None:
    timed = measure_pair(clock.busy(6), clock.busy(3), RepeatConfig(), clock)
    assert timed.low <= 2 <= timed.high
    assert timed.ratio == pytest.approx(2)
    assert (timed.candidate_ms, timed.reference_ms) == pytest.approx((6, 3))
    assert timed.settled
    assert timed.pairs >= 9


def test_noise_that_both_share_does_not_move_the_ratio(clock: Clock) -> None:
    """A machine that slows down and recovers: a pair sees the same of it."""
    speeds = [1, 1, 1, 1, 3, 3, 3, 3, 1, 1]
    candidate = clock.busy(*(4 * speed for speed in speeds))
    reference = clock.busy(*(2 * speed for speed in speeds))
    timed = measure_pair(candidate, reference, RepeatConfig(), clock)
    assert timed.ratio == pytest.approx(2)
    assert timed.settled


def test_a_measurement_that_did_not_settle_says_so(clock: Clock) -> None:
    erratic = clock.busy(3, 3, 3, 12, 3, 30, 3, 3, 12, 30, 12, 30, 3, 30)
    config = RepeatConfig(tolerance=0.01, least=8, most=8)
    timed = measure_pair(erratic, clock.busy(2.5), config, clock)
    assert not timed.settled
    assert timed.high / timed.low > 1.5


def test_a_cap_of_time_ends_a_measurement_at_six_pairs(clock: Clock) -> None:
    erratic = clock.busy(3, 3, 3, 9, 3, 15, 9)
    config = RepeatConfig(tolerance=0.001, least=6, most=1000, seconds=1e-3)
    assert measure_pair(erratic, clock.busy(2.5), config, clock).pairs == 6


def test_short_work_is_repeated_within_a_sample(clock: Clock) -> None:
    calls = [0, 0]

    def count(which: int) -> Callable[[], None]:
        def work() -> None:
            calls[which] += 1
            clock.now += (2**-20, 2**-18)[which]  # powers of two add up exactly

        return work

    timed = measure_pair(count(0), count(1), QUICK, clock)
    assert timed.pairs + timed.disturbed == 6
    assert calls == [3 + 6 * 2098, 3 + 6 * 525]  # samples of 2 ms, after a warm-up of three


def test_real_work_has_a_duration() -> None:
    numbers = torch.randn(64, 64)
    timed = measure_pair(lambda: numbers @ numbers, lambda: numbers @ numbers, QUICK)
    assert 0 < timed.low <= timed.ratio <= timed.high
    assert timed.candidate_ms > 0


@pytest.mark.parametrize(
    ("samples", "rank"), [(6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (60, 22)], ids=str
)
def test_the_interval_is_the_order_statistics_that_tables_give(samples: int, rank: int) -> None:
    """Ranks from published tables of the sign test at 5%, two-sided."""
    ratios = [float(i) for i in range(1, samples + 1)]
    random.Random(0).shuffle(ratios)
    assert _median_interval(ratios) == ((samples + 1) / 2, rank, samples + 1 - rank)


@pytest.mark.parametrize("samples", [6, 9, 17, 40])
def test_the_interval_covers_the_median_in_95_of_100_cases(samples: int) -> None:
    rng, covered, cases = np.random.default_rng(samples), 0, 2000
    for ratios in np.exp(rng.standard_t(2, (cases, samples))):  # heavy tails; the median is 1
        _, low, high = _median_interval(list(ratios))
        covered += low <= 1 <= high
    assert covered / cases >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / cases)


def test_the_spread_between_processes_widens_even_the_tightest_interval() -> None:
    low, high = _with_process_spread(2.0, 2.0, 2.0)
    assert math.log(2 / low) == pytest.approx(1.96 * BETWEEN_PROCESSES_SD)
    assert math.log(high / 2) == pytest.approx(1.96 * BETWEEN_PROCESSES_SD)
    wider = _with_process_spread(2.0, 1.0, 3.0)
    assert wider[0] < 1.0
    assert wider[1] > 3.0


def test_peak_bytes_are_those_counted_by_hand() -> None:
    held = torch.zeros(1000)  # 4,000 bytes

    def work() -> None:
        doubled = held * 2  # 8,000
        both = torch.cat((doubled, held))  # 16,000: the peak
        del doubled  # 12,000
        both[:10].clone()  # 12,040; a slice allocates nothing

    assert peak_bytes(work, [held]) == 16_000


def test_peak_bytes_see_what_the_backward_pass_keeps() -> None:
    weight = torch.zeros(1000, requires_grad=True)  # 4,000 bytes

    def work() -> None:
        (weight.exp() * 1.0).sum().backward()

    # exp 4,000 is kept for its gradient, the product 4,000, the sum 4
    assert peak_bytes(work, [weight]) >= 12_004


def test_peak_bytes_count_a_shared_storage_once() -> None:
    held = torch.zeros(1000)
    assert peak_bytes(lambda: held.view(10, 100).t(), [held, held[5:]]) == 4_000


def blank(batch: int, tokens: int) -> Batch:
    zeros = torch.zeros(batch, tokens, dtype=torch.long)
    return Batch(zeros, zeros)


@pytest.fixture
def design() -> Design:
    layer = LayerDesign(Heads(2, 1, 8), SlidingWindow(16))
    return Design(32, 128, (layer, LayerDesign(Heads(2, 2, 8), Dense())))


def test_memory_is_the_same_in_every_count(design: Design) -> None:
    grid = GridConfig(prefill=(128,), decode=(64,))
    found = [memory_costs(CausalLM(design, 20), grid, blank(4, 48)) for _ in range(3)]
    assert found[0] == found[1] == found[2]
    torch.set_num_threads(2)
    assert memory_costs(CausalLM(design, 20), grid, blank(4, 48)) == found[0]
    torch.set_num_threads(1)


def test_memory_counts_weights_cache_and_gradients(design: Design) -> None:
    grid = GridConfig(prefill=(128,), decode=(64,), batch=2)
    found = memory_costs(CausalLM(design, 20), grid, blank(4, 48))
    weights = 4 * counts.parameters(design, 20)
    cache = counts.kv_cache_bytes(design, 128, "float32", batch=2)
    tokens = 2 * 128 * 8
    stream = 2 * 128 * design.width * 4
    assert found["peak_prefill_bytes"] >= weights + cache + tokens + stream
    logits = 4 * 48 * 20 * 4
    assert found["peak_train_bytes"] >= 2 * weights + logits


def test_counting_memory_leaves_no_gradient_behind(design: Design) -> None:
    model = CausalLM(design, 20)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    memory_costs(model, GridConfig(prefill=(16,), decode=(16,)), blank(2, 8))
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_longer_training_sequences_need_more_memory(design: Design) -> None:
    grid, model = GridConfig(prefill=(16,), decode=(16,)), CausalLM(design, 20)
    peaks = [memory_costs(model, grid, blank(4, n))["peak_train_bytes"] for n in (16, 32, 64)]
    assert peaks[0] < peaks[1] < peaks[2]


def test_every_cell_of_the_grid_is_a_column(design: Design) -> None:
    grid = GridConfig(prefill=(16, 32), decode=(32, 64), repeat=QUICK)
    model = CausalLM(design, 20)
    found = latency_costs(model, CausalLM(design, 20), grid)
    metrics = found.metrics | counted_costs(design, 20, grid)
    metrics |= memory_costs(model, grid, blank(2, 8))
    assert set(metrics) == set(grid.columns())
    assert all(math.isfinite(value) and value > 0 for value in metrics.values())
    for cell in ("prefill_16", "prefill_32", "decode_32", "decode_64"):
        low, ratio, high = (metrics[f"{cell}_ratio{end}"] for end in ("_low", "", "_high"))
        assert low <= ratio <= high
    assert set(found.notes) <= {"prefill_16", "prefill_32", "decode_32", "decode_64"}


def test_a_cell_that_did_not_settle_has_a_note(design: Design) -> None:
    strict = RepeatConfig(tolerance=1e-9, least=6, most=6)
    grid = GridConfig(prefill=(16,), decode=(16,), repeat=strict)
    found = latency_costs(CausalLM(design, 20), CausalLM(design, 20), grid)
    assert found.notes["prefill_16"].startswith("did not settle within 0% in 6 pairs")


def test_the_counted_costs_are_those_of_the_longest_cells(design: Design) -> None:
    grid = GridConfig(prefill=(16, 64), decode=(100, 8), batch=3)
    assert counted_costs(design, 20, grid) == {
        "parameters": counts.parameters(design, 20),
        "kv_cache_bytes": counts.kv_cache_bytes(design, 100, "float32", 3),
        "prefill_flops": counts.prefill_flops(design, 64, 20),
        "decode_flops": counts.decode_flops(design, 100, 20),
    }


def test_timed_work_is_the_same_each_time(design: Design) -> None:
    """Caches go back to where they were, so that the hundredth call does what the first did."""
    model = CausalLM(design, 20)
    for work in (prefill_work(model, 2, 40), decode_work(model, 2, 40)):
        peaks = [peak_bytes(work[0], []) for _ in range(3)]
        assert peaks[0] == peaks[1] == peaks[2]
        assert not model.training


def test_decode_works_at_the_very_end_of_the_context(design: Design) -> None:
    decode_work(CausalLM(design, 20), 1, design.context)[0]()


@pytest.mark.parametrize("field", ["prefill", "decode"])
def test_a_grid_without_lengths_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        GridConfig.model_validate({field: []})


# A process of its own, without the two seconds that importing torch takes.
LOCK_USER = f"""
import importlib.util, os, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("device_lock", {evaluator.device_lock.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
folder = Path(sys.argv[1])
lock = module.DeviceLock("cpu", folder)
log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def note(text): os.write(log, (text + "\\n").encode())
def say(text): print(text, flush=True)
"""
HOLD = (
    LOCK_USER
    + """
with getattr(lock, sys.argv[2])():
    say("in")
    sys.stdin.readline()
"""
)
TRAIN = (
    LOCK_USER
    + """
say("in")
while not (folder / "stop").exists():
    with lock.shared():
        note("step in")
        sum(range(20_000))
        note("step out")
"""
)
MEASURE = (
    LOCK_USER
    + """
for _ in range(25):
    with lock.alone():
        note("measure in")
        sum(range(60_000))
        note("measure out")
(folder / "stop").touch()
"""
)


@contextmanager
def process(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for end in (child.stdin, child.stdout):
            if end is not None:
                with suppress(BrokenPipeError):
                    end.close()


def pipe(of: IO[str] | None) -> IO[str]:
    assert of is not None
    return of


def wait_until_in(child: subprocess.Popen[str]) -> None:
    assert pipe(child.stdout).readline() == "in\n"


def test_training_steps_share_the_device(tmp_path: Path) -> None:
    """The second is in while the first has not left: only its line on stdin lets it."""
    with process(HOLD, tmp_path, "shared") as one, process(HOLD, tmp_path, "shared") as other:
        wait_until_in(one)
        wait_until_in(other)
        for child in (one, other):
            assert child.poll() is None
            pipe(child.stdin).write("leave\n")
            assert child.wait(30) == 0


@pytest.mark.parametrize("held", ["shared", "alone"])
def test_a_killed_holder_frees_the_device(tmp_path: Path, held: str) -> None:
    with process(HOLD, tmp_path, held) as holder:
        wait_until_in(holder)
        with process(HOLD, tmp_path, "alone") as waiting:
            os.kill(holder.pid, signal.SIGKILL)
            wait_until_in(waiting)
            pipe(waiting.stdin).write("leave\n")
            assert waiting.wait(30) == 0


def test_measuring_excludes_training_and_is_not_starved_by_it(tmp_path: Path) -> None:
    """Two loops of steps without a pause; only 25 finished measurements stop them."""
    with process(TRAIN, tmp_path) as one, process(TRAIN, tmp_path) as other:
        wait_until_in(one)
        wait_until_in(other)
        with process(MEASURE, tmp_path) as measuring:
            assert measuring.wait(60) == 0
        assert one.wait(30) == other.wait(30) == 0
    events = (tmp_path / "log").read_text().splitlines()
    steps, measuring_now, measured, together = 0, False, 0, 0
    for event in events:
        if event == "measure in":
            assert steps == 0
            assert not measuring_now
            measuring_now = True
        elif event == "measure out":
            measuring_now, measured = False, measured + 1
        else:
            assert not measuring_now
            steps += 1 if event == "step in" else -1
            together = max(together, steps)
    assert measured == 25
    assert together == 2


def test_locks_of_two_devices_do_not_meet(tmp_path: Path) -> None:
    with DeviceLock("cuda:0", tmp_path).alone(), DeviceLock("cuda:1", tmp_path).alone():
        names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["cuda-0.floor", "cuda-0.gate", "cuda-1.floor", "cuda-1.gate"]


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    for enter in (DeviceLock("cpu", tmp_path).alone, DeviceLock("cpu", tmp_path).shared):
        with pytest.raises(ZeroDivisionError), enter():
            raise ZeroDivisionError
        with DeviceLock("cpu", tmp_path).alone():
            pass


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cpu.gate").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        DeviceLock("cpu", tmp_path)


def test_the_folder_of_locks_must_belong_to_this_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = private_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="must belong to you alone"):
        private_folder()

"""The fast float32 path is used where it is exact, says so, and leaves nothing behind."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from evaluator import fast_matmul
from evaluator.fast_matmul import LARGEST_ERROR, FastFp32, fast_fp32, largest_error, probe
from evaluator.model import CausalLM
from search_space import Design, Heads, LayerDesign, SlidingWindow


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def setting() -> str:
    return torch.backends.mkldnn.matmul.fp32_precision  # pyright: ignore[reportAttributeAccessIssue]


BEFORE = setting()


def test_the_probe_tells_float32_from_less():
    assert largest_error(F.linear) < 2e-6
    assert largest_error(lambda x, w: F.linear(x.double(), w.double())) == 0
    rounded = largest_error(lambda x, w: F.linear(x.bfloat16().float(), w.bfloat16().float()))
    assert 1e-3 < rounded < 1e-2
    assert rounded > LARGEST_ERROR


def test_one_inexact_shape_is_enough_to_be_refused():
    """As on CPUs with AMX, where a few rows stay exact."""

    def product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.linear(x.bfloat16().float() if len(x) > 512 else x, weight)

    assert largest_error(product) > LARGEST_ERROR


def test_what_is_used_is_as_exact_as_the_probe_says():
    with fast_fp32() as found:
        assert found == FastFp32(probe().supported, probe().error, found.used)
        assert found.used == (found.supported and found.error <= LARGEST_ERROR)
        assert largest_error(F.linear) <= LARGEST_ERROR
        assert setting() == ("bf16" if found.used else BEFORE)


def test_the_setting_is_restored_even_after_an_error():
    assert setting() == BEFORE
    with fast_fp32(), fast_fp32(False) as inner:
        assert not inner.used
    assert setting() == BEFORE
    with pytest.raises(KeyError), fast_fp32():
        raise KeyError
    assert setting() == BEFORE


@pytest.mark.parametrize(
    ("error", "used"), [(4e-7, True), (2e-3, False), (float("nan"), False)], ids=str
)
def test_an_inexact_path_is_refused(
    error: float, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_matmul, "probe", lambda: FastFp32(True, error, False))
    with fast_fp32() as found:
        assert found.used is used
        assert setting() == ("bf16" if used else BEFORE)


def test_what_is_recorded_is_short():
    assert FastFp32(True, 4.2e-7, True).describe() == "onednn-bf16-path error 4e-7"
    assert FastFp32(True, 4.2e-7, False).describe() == "onednn-bf16-path off, error 4e-7"
    assert FastFp32(True, 2e-3, False).describe() == "onednn-bf16-path refused, error 2e-3"
    assert FastFp32(False, 0.0, False).describe() == "no onednn-bf16-path"


def test_decoding_afterwards_is_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fast_matmul, "probe", lambda: FastFp32(True, 0.0, False))  # on anywhere
    torch.manual_seed(0)
    layer = LayerDesign(Heads.grouped(4, kv=2, dim=16), SlidingWindow(12))
    model, tokens = CausalLM(Design(64, 64, (layer, layer)), 50).eval(), torch.arange(40)[None]

    def decoded() -> torch.Tensor:
        caches = model.new_caches(1, 41)
        with torch.no_grad():
            model(tokens, caches)
            return model(tokens[:, :1], caches)

    before = decoded()
    with fast_fp32() as found:
        assert found.used
        model(tokens).square().mean().backward()
    assert torch.equal(decoded(), before)

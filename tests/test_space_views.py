"""Spaces as tuners and surrogates see them: flat variables, NNI's mutables, vectors, kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from space_examples import SPACES, every_space, space

from search_space import Design, DesignError, Heads, LayerDesign, Space

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from controller import nni_space


@every_space
def test_a_design_is_its_variables_and_back(make: Callable[[], Space]) -> None:
    home, rng = make(), np.random.default_rng(0)
    for _ in range(20):
        design = home.sample(rng)
        values = home.variables.values_of(design)
        assert list(values) == list(home.variables.choices)
        assert all(value in home.variables.choices[name] for name, value in values.items())
        assert home.variables.design_of(values) == design


@every_space
def test_any_values_are_a_design_of_the_space(make: Callable[[], Space]) -> None:
    home, rng = make(), np.random.default_rng(1)
    for _ in range(20):
        choices = home.variables.choices.items()
        values = {name: options[int(rng.integers(len(options)))] for name, options in choices}
        assert home.contains(home.variables.design_of(values)) == []


def test_variables_name_what_is_shared_repeated_and_free() -> None:
    assert SPACES["motifs of two lengths"]().variables.choices == {
        "period": (1, 2),
        "motif 0 pattern": ("dense", "sliding-window"),
        "motif 1 pattern": ("dense", "sliding-window"),
        "layer 0 kv_heads": (1, 2),
        "layer 1 kv_heads": (1, 2),
        "layer 2 kv_heads": (1, 2),
    }


def test_a_design_from_outside_has_no_values() -> None:
    home = SPACES["a condition"]()
    with pytest.raises(DesignError, match="not of the space: width is 64"):
        home.variables.values_of(Design(64, 16, (LayerDesign(Heads(4, 4, 8)),) * 3))


@every_space
def test_a_design_goes_to_nni_and_back(make: Callable[[], Space]) -> None:
    home, rng = make(), np.random.default_rng(2)
    mutable = nni_space.mutable_space(home)
    for _ in range(5):
        design = home.sample(rng)
        sample = nni_space.sample_of(home, design)
        assert mutable.freeze(sample) == sample
        assert nni_space.design_of(home, sample) == design
        assert home.contains(nni_space.design_of(home, mutable.random())) == []


@pytest.mark.parametrize("kind", ["TPE", "Evolution"])
def test_tuners_of_nni_search_a_space(kind: str) -> None:
    from nni.algorithms.hpo.evolution_tuner import EvolutionTuner
    from nni.algorithms.hpo.tpe_tuner import TpeTuner

    home = SPACES["keys reused from layer to layer"]()
    tuner = TpeTuner("minimize") if kind == "TPE" else EvolutionTuner("minimize", 8)
    tuner.update_search_space(nni_space.tuner_space(home))
    seen: list[int] = []
    for number in range(30):
        design = nni_space.design_of(home, tuner.generate_parameters(number))
        assert home.contains(design) == []
        seen.append(sum(layer.heads.kv for layer in design.layers))
        tuner.receive_trial_result(number, {}, float(seen[-1]))
        tuner.trial_end(number, True)
    assert len(set(seen)) > 1


@every_space
def test_different_designs_have_different_vectors_of_one_length(make: Callable[[], Space]) -> None:
    home = make()
    designs = list(home.enumerate())[:200]
    vectors = home.encoding.encode(designs)
    assert vectors.shape == (len(designs), len(home.encoding.names))
    assert len(home.encoding.groups) == len(home.encoding.names)
    assert vectors.min() >= 0
    assert vectors.max() <= 1
    assert len(np.unique(vectors, axis=0)) == len(designs)


@every_space
def test_the_kernel_is_positive_definite_and_falls_with_distance(
    make: Callable[[], Space],
) -> None:
    home, rng = make(), np.random.default_rng(3)
    designs = [home.sample(rng) for _ in range(40)]
    vectors = np.unique(home.encoding.encode(designs), axis=0)
    kernel = home.encoding.kernel(vectors, vectors)
    assert np.allclose(kernel, kernel.T)
    assert np.allclose(kernel.diagonal(), 1)
    assert np.linalg.eigvalsh(kernel).min() > -1e-10
    none = home.encoding.kernel(vectors, vectors, dict.fromkeys(home.encoding.groups, 0.0))
    assert (none == 1).all()


def test_near_designs_are_more_alike_than_far_ones() -> None:
    home, rng = SPACES["every family at once"](), np.random.default_rng(4)
    one = home.sample(rng)
    near = list(home.neighbours(one))
    far = [home.sample(rng) for _ in range(60)]
    encoded = home.encoding.encode([one])
    alike = [home.encoding.kernel(encoded, home.encoding.encode(some))[0] for some in (near, far)]
    assert np.median(alike[0]) > np.median(alike[1])


def test_a_space_of_one_design_has_vectors_of_no_length() -> None:
    home = space()
    assert home.encoding.encode([home.sample(np.random.default_rng(0))]).shape == (1, 0)


def test_designs_from_outside_the_space_can_be_compared() -> None:
    home = SPACES["an encoder-decoder"]()
    vectors = home.encoding.encode(list(home.presets().values()))
    assert np.isfinite(vectors).all()

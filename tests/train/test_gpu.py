"""Training on a GPU: the losses and derivatives of the CPU, whose sums are rounded otherwise."""

import jax
import numpy as np
import pytest

from tests.train.layered import simulated
from tests.train.nets import loss_and_gradient, unrolled
from tests.train.small import Noisy, task, trainer

pytestmark = pytest.mark.gpu


def test_the_derivatives_are_those_of_the_cpu():
    here, there = (loss_and_gradient(unrolled((1, 1), platform=p)) for p in ("gpu", "cpu"))
    assert here[0] == pytest.approx(there[0], rel=1e-10)
    for path, expected in there[1].items():
        largest = np.abs(expected).max()
        assert largest > 0
        np.testing.assert_allclose(here[1][path], expected, rtol=0, atol=1e-9 * largest)


def test_it_learns_the_same():
    here, there = (trainer(Noisy(), platform=platform) for platform in ("gpu", "cpu"))
    losses = [made.fit(task(), 3).loss for made in (here, there)]
    np.testing.assert_allclose(*losses, rtol=1e-8)
    for path, expected in there.parameters.items():
        np.testing.assert_allclose(here.parameters[path], expected, rtol=1e-6, atol=1e-9)
    assert {x.platform for x in here.devices} == {jax.devices("gpu")[0].platform}


def test_layers_are_simulated_alike():
    here, there = (simulated(platform=platform, precision="float64") for platform in ("gpu", "cpu"))
    np.testing.assert_allclose(here[0], there[0], rtol=1e-9, atol=1e-12)

"""Losses: each by its formula, in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import ParameterError, TrainError

LABEL = np.array([0, 2, 1, 2])
RANDOM = np.random.default_rng(0)
V = RANDOM.normal(size=(4, 6, 3))
SPIKES = (RANDOM.random((4, 6, 3)) < 0.4).astype(float)
OUTPUTS = {"out.V": jnp.asarray(V), "out.spikes": jnp.asarray(SPIKES)}


def entropy(y, label=LABEL):
    return np.log(np.exp(y).sum(axis=1)) - y[np.arange(len(y)), label]


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (dd.loss.cross_entropy("out.V"), V.mean(axis=1)),
        (dd.loss.cross_entropy("out.V", over="max"), V.max(axis=1)),
        (dd.loss.cross_entropy("out.V", over="last"), V[:, -1]),
        (dd.loss.cross_entropy("out.spikes"), SPIKES.sum(axis=1)),
        (
            dd.loss.latency("out.spikes", tau=4.0),
            (SPIKES * np.exp(-0.5 * np.arange(6) / 4.0)[:, None]).sum(axis=1),
        ),
    ],
)
def test_classes(loss, y):
    np.testing.assert_allclose(loss.value(OUTPUTS, LABEL, 0.5), entropy(y), rtol=1e-5)
    np.testing.assert_array_equal(loss.accuracy(OUTPUTS, LABEL, 0.5), y.argmax(axis=1) == LABEL)


def test_counts():
    loss, count = dd.loss.spike_count("out.spikes", 4.0, 1.0), SPIKES.sum(axis=1)
    wanted = np.where(np.arange(3) == LABEL[:, None], 4.0, 1.0)
    found = loss.value(OUTPUTS, LABEL, 1.0)
    np.testing.assert_allclose(found, ((count - wanted) ** 2).mean(axis=1), rtol=1e-5)


def test_a_course_with_gaps():
    target = V + 1.0
    target[0, :, 1] = np.nan
    target[1] = np.nan
    loss = dd.loss.mse("out.V")
    np.testing.assert_allclose(loss.value(OUTPUTS, target, 1.0), [1.0, 0.0, 1.0, 1.0], rtol=1e-5)
    gradient = jax.grad(lambda v: loss.value({"out.V": v}, target, 1.0).sum())(OUTPUTS["out.V"])
    assert np.isfinite(gradient).all() and not np.asarray(gradient[1]).any()


def test_the_distance_of_van_rossum_of_one_spike_is_a_half():
    """Of a spike that is missing: 1 / tau times the integral of exp(-2 t / tau)."""
    one = np.zeros((1, 4000, 1))
    one[0, 0] = 1.0
    loss = dd.loss.van_rossum("out.spikes", tau=10.0)
    found = loss.value({"out.spikes": jnp.asarray(one)}, np.zeros_like(one, bool), 0.05)
    assert float(found[0]) == pytest.approx(0.5, rel=0.01)
    same = loss.value({"out.spikes": jnp.asarray(one)}, one.astype(bool), 0.05)
    assert float(same[0]) == 0.0


def test_rates_outside_of_a_range():
    hz = SPIKES.sum(axis=1) / 6e-3
    loss = dd.loss.rate("out.spikes", 200.0, 400.0)
    wanted = np.square(np.maximum(200 - hz, 0)) + np.square(np.maximum(hz - 400, 0))
    np.testing.assert_allclose(loss.value(OUTPUTS, None, 1.0), wanted.mean(axis=1), rtol=1e-5)


def test_sums_multiples_and_keys():
    both = dd.loss.mse("out.V", key="trace") + 0.5 * dd.loss.cross_entropy("out.V", key="label")
    target = {"trace": V + 2.0, "label": LABEL}
    found = both.value(OUTPUTS, target, 1.0)
    np.testing.assert_allclose(found, 4.0 + 0.5 * entropy(V.mean(axis=1)), rtol=1e-5)
    assert both.watch == ("out.V",) and both.accuracy is not None
    both.check({"out.V": 3}, target)
    with pytest.raises(TrainError, match=r"classes from 0 to 2, but out\.V has 2 units"):
        both.check({"out.V": 2}, target)
    with pytest.raises(TrainError, match='no "trace"'):
        both.value(OUTPUTS, LABEL, 1.0)


@pytest.mark.parametrize(
    ("what", "kind", "says"),
    [
        (lambda: dd.loss.cross_entropy("out.V", over="least"), ParameterError, "mean, max, last"),
        (lambda: dd.loss.latency("out.spikes", tau=0.0), ParameterError, "number > 0"),
        (lambda: dd.loss.mse("out.V") * dd.loss.mse("out.V"), TypeError, "unsupported operand"),
        (lambda: dd.loss.mse("out.V").value(OUTPUTS, LABEL, 1.0), TrainError, "step, neuron"),
        (lambda: dd.loss.cross_entropy("out.V").value(OUTPUTS, V, 1.0), TrainError, "int"),
    ],
)
def test_bad_losses(what, kind, says):
    with pytest.raises(kind, match=says):
        what()

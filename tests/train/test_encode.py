"""Encoders, data, and the tasks that are made of them."""

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import TrainError
from distdyn.train.tasks.yinyang import class_of, yin_yang


def test_latency():
    found = dd.encode.latency(np.array([[0.0, 0.5, 1.0, np.nan]]), steps=9, earliest=1, latest=7)
    assert found.shape == (1, 9, 4) and found.dtype == bool
    np.testing.assert_array_equal(found.argmax(axis=1)[0, :3], [1, 4, 7])
    np.testing.assert_array_equal(found.sum(axis=1)[0], [1, 1, 1, 0])


def test_rate():
    values = np.array([[0.0, 0.5, 1.0]])
    found = dd.encode.rate(values, steps=20_000, most=100.0, dt=1.0, seed=1)
    np.testing.assert_allclose(found.mean(axis=1)[0], [0.0, 0.05, 0.1], atol=0.006)  # 3 sd
    again = dd.encode.rate(values, steps=20_000, most=100.0, dt=1.0, seed=1)
    np.testing.assert_array_equal(found, again)


def test_delta_follows_the_signal():
    signal = np.cumsum(np.random.default_rng(0).uniform(-0.1, 0.1, (2, 300, 3)), axis=1)
    found = dd.encode.delta(signal, 0.1)
    up, down = found[..., :3], found[..., 3:]
    level = signal[:, :1] + 0.1 * np.cumsum(up.astype(float) - down, axis=1)
    assert abs(level - signal).max() < 0.1 + 1e-9 and not (up & down).any()


def test_phase():
    found = dd.encode.phase(np.array([[1.0, 0.5, 0.0]]), steps=10, period=5)
    for neuron, at in enumerate((0, 2, 4)):
        np.testing.assert_array_equal(np.flatnonzero(found[0, :, neuron]), [at, at + 5])


def test_batches_are_all_trials_in_another_order_in_each_epoch():
    data = dd.tasks.Dataset({"x": np.arange(10)}, {"y": np.arange(10) * 2}, batch=4, seed=3)
    epochs = [[*data.batches(k)] for k in (0, 1, 0)]
    assert [len(of) for of in epochs] == [2, 2, 2]  # two trials wait
    seen = [np.concatenate([inputs["x"] for inputs, _ in of]) for of in epochs]
    assert len(set(seen[0])) == 8
    assert not np.array_equal(seen[0], seen[1]) and np.array_equal(seen[0], seen[2])
    for inputs, target in epochs[1]:
        np.testing.assert_array_equal(target["y"], 2 * inputs["x"])


def test_yin_yang_has_three_classes_of_equal_size_with_its_geometry():
    points, label = yin_yang(3000, 1)
    assert np.bincount(label).tolist() == [1000, 1000, 1000]
    np.testing.assert_array_equal(class_of(points), label)
    assert (np.hypot(*(points - 0.5).T) <= 0.5).all()
    # The figure turned by half a circle has yin where yang was.
    turned = class_of(1.0 - points)
    is_dot = label == 2
    assert (turned[is_dot] == 2).all()
    assert (turned[~is_dot] == 1 - label[~is_dot]).mean() > 0.99


def test_yin_yang_as_spikes():
    task = dd.tasks.YinYang(train=200, test=100, batch=50, seed=2)
    inputs, label = next(iter(task.batches(0)))
    spikes = inputs["inp"]
    assert spikes.shape == (50, 60, 5) and label.shape == (50,)
    at = spikes.argmax(axis=1)
    assert (at[:, 4] == 2).all()  # the one that always spikes first
    np.testing.assert_allclose(at[:, 0] + at[:, 2], 42, atol=1)  # x and 1 - x
    assert len(task.testing) == 100


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (lambda: dd.encode.latency(np.array([[1.5]]), 5), "between 0 and 1"),
        (lambda: dd.encode.latency(np.array([[0.5]]), 5, 3, 9), "earliest <= latest"),
        (lambda: dd.encode.rate(np.array([[0.5]]), 5, 2000.0, 1.0, 0), "at most 1000 Hz"),
        (lambda: dd.encode.delta(np.zeros((2, 3)), 0.1), "signal"),
        (lambda: dd.encode.phase(np.array([[0.5]]), 5, 6), "period"),
        (lambda: dd.tasks.Dataset({"x": np.zeros(3)}, np.zeros(4)), "one number of trials"),
    ],
)
def test_bad_input(what, says):
    with pytest.raises(TrainError, match=says):
        what()

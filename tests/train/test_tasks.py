"""Tasks that are drawn: what is asked can be told from what is given, and seeds say all."""

from statistics import NormalDist

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import ParameterError
from distdyn.train.tasks.moving_bars import events


def same(one, other):
    (inputs, target), (others, wanted) = one, other
    return np.array_equal(inputs["inp"], others["inp"]) and np.array_equal(
        target, wanted, equal_nan=True
    )


@pytest.mark.parametrize(
    "name",
    ["DelayedMatch", "Evidence", "FlipFlop", "MovingBars", "PerceptualDecision", "Randman"],
)
def test_a_batch_follows_from_seed_and_epoch(name):
    task = getattr(dd.tasks, name)
    first = [next(iter(task(seed=s).batches(e))) for s, e in ((1, 0), (1, 0), (1, 1), (2, 0))]
    assert same(first[0], first[1])
    assert not same(first[0], first[2]) and not same(first[0], first[3])


def test_evidence_is_the_side_of_more_cues():
    task = dd.tasks.Evidence(dt=2.0, batch=200, noise=20.0)
    inputs, side = next(task.batches(0))
    spikes = inputs["inp"]
    assert spikes.shape == (200, (7 * 150 + 1000 + 150) // 2, 40)
    left, right, recall, noise = (spikes[:, :, k : k + 10] for k in (0, 10, 20, 30))
    more = right.sum(axis=(1, 2)) > left.sum(axis=(1, 2))
    assert (more == side).mean() > 0.9, "a cue is about 40 spikes: a few ties are misjudged"
    assert 0.3 < side.mean() < 0.7
    assert not spikes[:, 525:1025, :20].any() and not recall[:, :1025].any()
    assert recall[:, 1025:].mean() / 2e-3 == pytest.approx(40.0, rel=0.1)
    assert noise.mean() / 2e-3 == pytest.approx(20.0, rel=0.05)


@pytest.mark.parametrize("options", [{"cues": 4}, {"pause": 0.1}])
def test_evidence_that_is_not_possible(options):
    with pytest.raises(ParameterError, match="Evidence"):
        dd.tasks.Evidence(**options).trials(1, np.random.default_rng(0))


def test_a_decision_is_told_by_the_sums_of_the_streams():
    """Adding up is right as often as anybody can be; sigma is that of any step of time."""
    for dt in (10.0, 20.0):
        task = dd.tasks.PerceptualDecision(coherences=(0.064,), dt=dt, batch=4000)
        inputs, side = next(task.batches(0))
        given = inputs["inp"]
        before, behind = round(100 / dt), round(2100 / dt)
        assert given.shape == (4000, round(2200 / dt), 3)
        assert (given[:, :behind, 0] == 1).all() and not given[:, behind:].any()
        assert not given[:, :before, 1:].any()
        streams = given[:, before:behind, 1:]
        seen = streams.mean(axis=(0, 1, 2)), streams.std()
        assert seen == (pytest.approx(0.5, abs=1e-3), pytest.approx(dt**-0.5, rel=0.02))
        larger = streams.sum(axis=1).argmax(axis=1)
        best = NormalDist().cdf(0.064 * np.sqrt(2000 / 2))
        assert (larger == side).mean() == pytest.approx(best, abs=0.01), "four standard errors"


def test_coherences_are_drawn_and_without_any_nothing_is_told():
    task = dd.tasks.PerceptualDecision(sigma=0.0, dt=20.0, batch=2000)
    inputs, side = next(task.batches(0))
    apart = np.diff(inputs["inp"][:, 50, 1:], axis=1)[:, 0]
    found, count = np.unique(np.abs(apart).round(4), return_counts=True)
    assert found.tolist() == pytest.approx(task.coherences) and (count > 300).all()
    is_told = np.abs(apart) > 1e-6
    assert ((apart > 0) == side)[is_told].all()
    assert 0.4 < side[~is_told].mean() < 0.6


@pytest.mark.parametrize("options", [{"coherences": ()}, {"coherences": (1.5,)}, {"sigma": -1.0}])
def test_a_decision_that_is_not_possible(options):
    with pytest.raises(ParameterError, match="PerceptualDecision"):
        dd.tasks.PerceptualDecision(**options)


def test_a_match_is_told_by_who_spikes_before_and_behind_the_delay():
    task = dd.tasks.DelayedMatch(stimuli=3, dt=2.0, batch=1200)
    inputs, is_same = next(task.batches(0))
    spikes = inputs["inp"]
    assert spikes.shape == (1200, (300 + 1000 + 300) // 2, 30)
    counts = spikes.reshape(1200, 800, 3, 10).sum(axis=3)
    shown = [counts[:, of].sum(axis=1) for of in (slice(150), slice(650, None))]
    first, second = (of.argmax(axis=1) for of in shown)
    assert ((first == second) == is_same).all(), "some 120 spikes of the group, 15 of the others"
    pairs = np.bincount(3 * first + second, minlength=9).reshape(3, 3) / 1200
    assert pairs == pytest.approx((np.eye(3) + (1 - np.eye(3)) / 2) / 6, abs=0.04)
    assert spikes[:, 150:650].mean() / 2e-3 == pytest.approx(5.0, rel=0.02)
    assert shown[0].max(axis=1).mean() / (10 * 0.3) == pytest.approx(40.0, rel=0.02)


@pytest.mark.parametrize("options", [{"stimuli": 1}, {"delay": 0.1}])
def test_a_match_that_is_not_possible(options):
    with pytest.raises(ParameterError, match="DelayedMatch"):
        dd.tasks.DelayedMatch(**options).trials(1, np.random.default_rng(0))


def test_manifolds_are_smooth_and_apart():
    """Times of neighbours on a manifold are near each other; of other classes they are not."""
    task = dd.tasks.Randman(classes=3, test=600, batch=600)
    inputs, label = next(task.testing.batches(0))
    spikes = inputs["inp"]
    assert spikes.shape == (600, 100, 20) and (spikes.sum(axis=1) == 1).all()
    times = spikes.argmax(axis=1).astype(float)
    assert times.min() >= 1 and times.max() <= 50
    apart = np.abs(times[:, None] - times[None]).mean(axis=2) + 1e9 * np.eye(600)
    assert (label[apart.argmin(axis=1)] == label).mean() > 0.95
    assert np.median(apart.min(axis=1)) < 2.0


def test_a_bar_darkens_behind_and_brightens_before_itself():
    """To the right, from 6.25 to 10.25, half a pixel a step; it covers two pixels on each side."""
    bar = np.array([[0.0, 8.25, 5.0, 4.0, 7.0, 4.0, 1.0]])
    step, polarity, row, column = events(bar, 8)[0].nonzero()
    assert set(row) == {2, 3, 4, 5, 6, 7, 8}
    for k in range(8):
        before, behind = (np.abs(np.arange(16) - 6.25 - t / 2) <= 2 for t in (k, k + 1))
        assert set(column[(step == k) & (polarity == 1)]) == set(np.flatnonzero(behind & ~before))
        assert set(column[(step == k) & (polarity == 0)]) == set(np.flatnonzero(before & ~behind))


def test_the_motion_of_a_bar_is_its_class():
    """By how the phase of the field's longest waves moves on, for each polarity alone."""
    task = dd.tasks.MovingBars(train=400, batch=400, classes=6, noise=0.0)
    inputs, label = next(task.batches(0))
    assert inputs["inp"].shape == (400, 30, 512) and inputs["inp"].dtype == bool
    assert np.bincount(label).tolist() == [67, 67, 67, 67, 66, 66]
    field = inputs["inp"].reshape(400, 3, 10, 2, 16, 16).sum(axis=2)  # thirds of a trial
    wave = np.exp(2j * np.pi * np.arange(16) / 16)
    right, down = (field.sum(axis=axis) @ wave for axis in (3, 4))
    moved = [np.angle(z[:, 1:] / z[:, :-1]).sum(axis=(1, 2)) for z in (right, down)]
    angle = np.arctan2(moved[1], moved[0]) / (2 * np.pi)
    assert (np.rint(angle * 6) % 6 == label).mean() > 0.99


def test_a_trial_run_backwards_is_one_of_the_opposite_class():
    task = dd.tasks.MovingBars()
    values, label = task.trials(300, 0)
    bars = values[:, :-1].copy()
    forwards = events(bars, 30)
    bars[:, 0] += np.pi
    bars[:, -1] *= -1
    assert np.array_equal(events(bars, 30), forwards[:, ::-1])
    assert 0.4 < (values[:, -2] > 0).mean() < 0.6
    assert np.bincount(label[values[:, -2] > 0]).min() > 8, "as often brighter in each class"


def test_pixels_do_not_tell_the_class_and_noise_is_what_is_asked():
    task = dd.tasks.MovingBars(train=4000, batch=4000, classes=4, steps=12, noise=0.0, seed=3)
    inputs, label = next(task.batches(0))
    counts = inputs["inp"].sum(axis=1)
    of_class = np.array([counts[label == c].mean(axis=0) for c in range(4)])
    error = np.array([counts[label == c].std(axis=0) for c in range(4)]) / 1000**0.5
    assert np.abs((of_class - counts.mean()) / error).max() < 4.5, "of 2048 normal numbers"
    noisy = dd.tasks.MovingBars(train=4000, batch=4000, classes=4, steps=12, noise=0.6, seed=3)
    (others, same_label), (again, _) = (next(noisy.batches(0)) for _ in range(2))
    assert np.array_equal(label, same_label) and np.array_equal(others["inp"], again["inp"])
    is_still = ~inputs["inp"]
    assert not (inputs["inp"] & ~others["inp"]).any()
    assert others["inp"][is_still].mean() == pytest.approx(0.6 / 12, rel=0.01)


@pytest.mark.parametrize(
    "options", [{"classes": 5}, {"classes": 0}, {"steps": 0}, {"noise": -1.0}, {"noise": 31.0}]
)
def test_bars_that_are_not_possible(options):
    with pytest.raises(ParameterError, match="MovingBars"):
        dd.tasks.MovingBars(**options)


def test_a_flip_flop_keeps_the_sign_of_the_last_pulse():
    task = dd.tasks.FlipFlop(bits=2, duration=2000.0, dt=10.0, pulse=30.0, settle=50.0, batch=40)
    inputs, wanted = next(task.batches(0))
    given = inputs["inp"]
    assert given.shape == wanted.shape == (40, 200, 2)
    assert set(np.unique(given)) == {-1.0, 0.0, 1.0} and (given[:, 0] != 0).all()
    assert np.isnan(wanted[:, :5]).all() and not np.isnan(wanted[:, -100:]).all()
    pauses = []
    for bit, of_bit in zip(*(x.transpose(0, 2, 1).reshape(80, 200) for x in (given, wanted)),
                           strict=True):  # fmt: skip
        (on,) = np.nonzero(bit)
        last = bit[on[np.searchsorted(on, np.arange(200), side="right") - 1]]
        assert ((of_bit == last) | np.isnan(of_bit)).all()
        pauses += [pause for pause in np.diff(on) - 1 if pause]
    # Every step of a pause is its last one with probability dt / interval.
    assert np.mean(pauses) * task.dt == pytest.approx(task.interval, rel=0.1)
    assert 0.45 < (given > 0).sum() / (given != 0).sum() < 0.55


@pytest.mark.parametrize("options", [{"bits": 0}, {"interval": 0.5}, {"pulse": 0.1}])
def test_a_flip_flop_that_is_not_possible(options):
    with pytest.raises(ParameterError, match="FlipFlop"):
        dd.tasks.FlipFlop(**options).trials(1, np.random.default_rng(0))

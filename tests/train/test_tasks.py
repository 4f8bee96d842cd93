"""Tasks that are drawn: what is asked can be told from what is given, and seeds say all."""

from statistics import NormalDist

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import ParameterError


def same(one, other):
    (inputs, target), (others, wanted) = one, other
    return np.array_equal(inputs["inp"], others["inp"]) and np.array_equal(target, wanted)


@pytest.mark.parametrize("name", ["DelayedMatch", "Evidence", "PerceptualDecision", "Randman"])
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

"""States that leave the numbers and populations that run away: noticed, said, kept to look at."""

import json
import warnings
from contextlib import contextmanager
from typing import NamedTuple

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import CheckpointError, ParameterError, SimulationError
from distdyn.parallel.snapshot import take
from distdyn.run.checkpoint.stored import Stored

DT = 0.1


class Square(dd.ODE):
    """x' = x^2, which is at infinity at t = 1 / x_0."""

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(x=0.0)

    def derivative(self, t, s, drive):
        return self.State(x=s.x * s.x)


class Exploding(dd.Network):
    def __init__(self):
        self.N = dd.Population(80, Square(), x=np.where(np.arange(80) == 33, 0.5, 0.0))
        self.cells = dd.Population(20, dd.LIF(I_e=1000.0))


class Runaway(dd.Network):
    """Cells that excite each other until nothing but t_ref holds them back, and cells at rest."""

    def __init__(self, weight=1e4, t_ref=2.0):
        self.quiet = dd.Population(100, dd.LIF(t_ref=t_ref, I_e=400.0))
        self.E = dd.Population(100, dd.LIF(t_ref=t_ref, I_e=400.0))
        kinetics = dd.Exponential(tau=5.0)
        within = {"weight": weight, "delay": 1.0}
        self.exc = dd.Projection(self.E, self.E, dd.FixedIndegree(20), kinetics, **within)
        self.out = dd.Projection(self.E, self.quiet, dd.OneToOne(), kinetics, weight=0.0, delay=1.0)


@contextmanager
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def runner(network, **options):
    return dd.DSRunner(network, **{"dt": DT, "progress": "off", "precision": "float64"} | options)


# --- B12 -----------------------------------------------------------------------------------------


def test_a_state_that_leaves_the_numbers_is_saved_and_said_where(tmp_path):
    run = runner(Exploding(), out=tmp_path / "a", record="spikes", checkpoint_every=1.0)
    with pytest.raises(SimulationError) as caught:
        run.run(100.0)
    run.close()
    step = run.step
    place = tmp_path / "a" / f"failed-step-{step:012d}"
    message = str(caught.value)
    assert 'population "N": x of neuron 33 is' in message and f"at step {step}" in message
    assert f'The state is saved in "{place}".' in message
    assert message in json.loads((tmp_path / "a" / "run.json").read_text())["exit_reason"]
    stored = Stored(place)
    stored.verify(run.world)
    assert 'population "N"' in stored.manifest["failed"]
    with jax.enable_x64(True):
        held = dict(take(run._shard))["cells/N"].fields["state.x"]
    saved = stored.read("cells/N", np.arange(80))["state.x"]
    np.testing.assert_array_equal(saved, held)
    assert not np.isfinite(saved[33]) and (np.delete(saved, 33) == 0).all()


def test_nothing_goes_on_from_a_state_that_failed(tmp_path):
    with (
        pytest.raises(SimulationError),
        runner(Exploding(), out=tmp_path / "a", checkpoint_every=1.0) as run,
    ):
        run.run(100.0)
    (failed,) = (tmp_path / "a").glob("failed-*")
    with pytest.raises(CheckpointError, match=r"could not go on .* from before"):
        runner(Exploding(), out=tmp_path / "b", resume=failed)
    with runner(Exploding(), out=tmp_path / "a", resume="auto", checkpoint_every=1.0) as again:
        assert 0 < again.step < Stored(failed).step
    runner(Exploding(), out=tmp_path / "a", overwrite=True).close()
    assert not failed.exists()


def test_a_state_that_cannot_be_saved_keeps_the_first_error(tmp_path, monkeypatch):
    from distdyn.run import store

    run = runner(Exploding(), out=tmp_path / "a")

    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(store, "create_tables", full)
    with pytest.raises(SimulationError, match=r"x of neuron 33 .* could not be saved: .*No space"):
        run.run(100.0)
    assert not list((tmp_path / "a").glob("*failed*"))
    run.close()


# --- runaway -------------------------------------------------------------------------------------


def test_a_population_that_runs_away_is_a_warning_once():
    with pytest.warns(UserWarning, match='population "E": .* at step') as caught:
        run = runner(Runaway(), record="spikes")
        first = run.run(60.0)
        run.run(40.0)
    (warning,) = caught
    assert warning.filename == __file__
    words = str(warning.message)
    rate, step = (float(words.split(word)[1].split()[0]) for word in ('"E":', "at step"))
    stamps = first.spikes["E"].step
    of_window = (stamps > step - 200) & (stamps <= step)
    assert rate == pytest.approx(of_window.sum() / 100 / 20e-3, rel=1e-3)
    assert rate > 0.9 * 1e3 / (2.0 + DT)


def test_populations_that_are_not_told_apart_count_as_one():
    with silence():
        runner(Runaway()).run(100.0)  # half of the cells are at rest


def test_a_population_by_itself_need_not_be_recorded():
    class Alone(dd.Network):
        def __init__(self):
            self.E = dd.Population(10, dd.LIF(t_ref=1.0, I_e=1e6))

    with pytest.warns(UserWarning, match=r'"E": .* possible with a spike every 1.1 ms'):
        runner(Alone()).run(20.0)


def test_fast_is_not_runaway():
    """63 % of what t_ref allows, as in Brunel's synchronous state."""

    class Driven(dd.Network):
        def __init__(self):
            cell = dd.LIF(C_m=250.0, tau_m=10.0, E_L=-65.0, V_reset=-65.0, V_th=-50.0, t_ref=2.0)
            self.E = dd.Population(10, cell, V=-65.0)
            self.current = dd.CurrentInput(self.E, 3000.0)

    with silence():
        rate = runner(Driven(), record="spikes").run(100.0).rates()["E"]
    assert rate == pytest.approx(1e4 / 34, rel=0.03)


def test_sources_fire_as_they_are_told():
    class Sources(dd.Network):
        def __init__(self):
            self.P = dd.Population(10, dd.Poisson(rate=9500.0))

    with silence():
        assert runner(Sources(), record="spikes", max_rate=1.0).run(50.0).rates()["P"] > 4000.0


@pytest.mark.parametrize("splits", [[100.0], [0.1] * 33 + [46.7, 50.0]], ids=["whole", "split"])
def test_faster_than_max_rate_is_an_error_at_the_same_window(tmp_path, splits):
    run = runner(Runaway(), record="spikes", max_rate=150.0, out=tmp_path / "a")
    with pytest.raises(SimulationError) as caught:
        for duration in splits:
            run.run(duration)
    run.close()
    assert (
        'population "E": 300 Hz at step 400 (mean over 20 ms), more than max_rate = 150 Hz'
        in str(caught.value)
    )
    assert list((tmp_path / "a").glob("failed-step-*"))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), "10", True])
def test_impossible_limits(rate):
    with pytest.raises(ParameterError, match="max_rate"):
        runner(Runaway(), max_rate=rate)

"""Sweeps: each point as a runner has it, alike however they are cut, kept in a file."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn import cli
from distdyn.analysis.sweep import merge
from distdyn.analysis.sweep.grid import Points
from distdyn.analysis.sweep.models import ModelWork
from distdyn.errors import AnalysisError, NameLookupError, SimulationError

ROOT = Path(__file__).parents[2]
CURRENTS = {"I_e": np.linspace(0.0, 600.0, 40), "tau_m": [10.0, 20.0]}


def peak(t, state):
    return {"peak": jnp.max(state.V), "until": t[-1]}


def alone(model, duration, record, **given):
    return dd.DSRunner(model, dt=0.1, precision="float64", record=record, **given).run(duration)


def assert_same(one, other):
    assert list(one) == list(other) and one.status == other.status
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


# --- points ---------------------------------------------------------------------------------------


def test_a_grid_is_all_combinations_the_last_name_fastest():
    points = Points.of({"a": [1, 2], "E.b": [0.5, 1.5, 2.5]})
    assert points.shape == (2, 3) and len(points) == 6
    assert points[4] == {"a": 2, "E.b": 1.5}
    assert isinstance(points[4]["a"], int)


def test_a_list_and_a_structured_array_are_their_points():
    one = Points.of([{"g": 4.0, "n": 1}, {"g": 5.0, "n": 3}])
    two = Points.of(np.rec.fromarrays([[4.0, 5.0], [1, 3]], names="g,n"))
    assert one[1] == two[1] == {"g": 5.0, "n": 3} and one.sha256 == two.sha256


@pytest.mark.parametrize(
    "grid, words",
    [
        ({}, "no parameter"),
        ([], "no points"),
        ({"a": []}, "at least one"),
        ({"a": ["x"]}, "no list of numbers"),
        ({"a b": [1]}, "not the name"),
        ([{"a": 1}, {"b": 1}], "point 1"),
    ],
)
def test_what_gives_no_points_is_an_error(grid, words):
    with pytest.raises(AnalysisError, match=words):
        Points.of(grid)


# --- models ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lif():
    measures = ["rate", "cv", "mean", "std", "min", "max", "final", peak]
    return dd.sweep(dd.LIF(), CURRENTS, measures, duration=400.0, warmup=100.0, every=0.1)


@pytest.mark.parametrize("k", [3, 60, 79])
def test_a_point_is_what_a_runner_has(lif, k):
    recording = alone(dd.LIF(**lif.points[k]), 500.0, ["spikes", "V"]).between(100.0, 500.0)
    V = recording.traces["V"].value[:, 0]
    assert lif["rate"][k] == recording.rates()["cell"]
    found = [lif[f"V.{name}"][k] for name in ("mean", "std", "min", "max", "final")]
    np.testing.assert_allclose(found, [V.mean(), V.std(), V.min(), V.max(), V[-1]], rtol=1e-9)
    assert lif["peak"][k] == lif["V.max"][k] and lif["until"][k] == 500.0
    if recording.counts()["cell"] > 2:
        expected = dd.measure.cv(recording.spikes["cell"])[0]
        np.testing.assert_allclose(lif["cv"][k], expected, atol=1e-12)
    else:
        assert lif.status[k] == "cv is nan"


def test_the_rate_is_that_of_the_closed_form(lif):
    """1 / rate = t_ref + tau ln((R I - V_reset + E_L) / (R I - V_th + E_L)), to one spike."""
    cell, at = dd.LIF(), lif.on_grid("I_e") / dd.LIF().C_m * lif.on_grid("tau_m") + dd.LIF().E_L
    with np.errstate(invalid="ignore", divide="ignore"):
        period = cell.t_ref + lif.on_grid("tau_m") * np.log((at - cell.V_reset) / (at - cell.V_th))
    expected = np.where(at > cell.V_th, 1e3 / np.nan_to_num(period, nan=np.inf), 0.0)
    # Spikes fall on steps of 0.1 ms, and are counted over 0.4 s.
    np.testing.assert_allclose(lif.on_grid("rate"), expected, atol=2.5 + 1.0)


def test_noise_and_initial_states_are_those_of_a_runner():
    model = dd.WongWang(mu_0=30.0)
    points = [{"seed": 1, "S1": 0.1}, {"seed": 2, "S1": 0.4}]
    table = dd.sweep(model, points, "final", duration=50.0)
    for k, point in enumerate(points):
        runner = dd.DSRunner(
            model, dt=0.1, precision="float64", record=["S1", "n2"], seed=point["seed"]
        )
        runner["cell"].S1 = point["S1"]
        traces = runner.run(50.0).traces
        np.testing.assert_allclose(table["S1.final"][k], traces["S1"].value[-1, 0], rtol=1e-12)
        np.testing.assert_allclose(table["n2.final"][k], traces["n2"].value[-1, 0], rtol=1e-12)


def test_parts_of_a_model_have_paths():
    model = dd.Conductance(
        C_m=1.0, INa=dd.INa_HH1952(), IK=dd.IK_HH1952(), IL=dd.ILeak(g=0.3, E=-54.387)
    )
    table = dd.sweep(model, {"INa.g": [60.0, 120.0], "IL.E": [-54.4, -50.0]}, "final", duration=5.0)
    one = dd.Conductance(
        C_m=1.0, INa=dd.INa_HH1952(g=60.0), IK=dd.IK_HH1952(), IL=dd.ILeak(g=0.3, E=-50.0)
    )
    V = alone(one, 5.0, ["V"]).traces["V"].value[-1, 0]
    np.testing.assert_allclose(table["V.final"][1], V, rtol=1e-10)


class Delayed(dd.ODE):
    """x' = -x(t - delay)."""

    delay: float = 1.0

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(x=jnp.ones(()))

    def derivative(self, t, s, drive, past):
        return self.State(x=-past("x", self.delay))


def test_delays_may_be_varied():
    table = dd.sweep(Delayed(), {"delay": [0.5, 1.5]}, "final", duration=3.0)
    for k, delay in enumerate((0.5, 1.5)):
        x = alone(Delayed(delay=delay), 3.0, ["x"]).traces["x"].value[-1, 0]
        np.testing.assert_allclose(table["x.final"][k], x, rtol=1e-10)


def test_decisions_end_where_they_are_known_to():
    """train_analysis 5.G: at mu = 40 and full coherence there is one fixed point."""
    model = dd.WongWang(
        J_same=0.3725, J_other=0.1137, I_0=0.3297, J_ext=0.00117, tau_S=60.0, mu_0=40.0, sigma=0.0
    )
    table = dd.sweep(
        model, {"coherence": [100.0], "S1": [0.0, 0.9]}, "final", duration=3000.0, dt=1
    )
    np.testing.assert_allclose(table["S1.final"], 0.76089530, atol=1e-8)
    np.testing.assert_allclose(table["S2.final"], 0.00247571, atol=1e-8)


def test_a_measure_may_have_loops_of_its_own():
    def slowed(t, state):
        last, _ = jax.lax.scan(lambda x, V: (0.9 * x + 0.1 * V, None), 0.0, state.V)
        return {"slow": last}

    table = dd.sweep(dd.LIF(), {"I_e": [0.0, 100.0]}, slowed, duration=20.0, devices=2)
    assert np.isfinite(table["slow"]).all()


def test_a_fold_needs_no_trajectory():
    above = dd.Fold(
        lambda state: jnp.zeros(()),
        lambda time, t, state, spike: time + 0.1 * (state.V > -60.0),
        lambda time, duration: {"above": time / duration},
    )
    table = dd.sweep(dd.LIF(), {"I_e": [200.0]}, above, duration=100.0)
    V = alone(dd.LIF(I_e=200.0), 100.0, ["V"]).traces["V"].value
    np.testing.assert_allclose(table["above"][0], (V > -60.0).mean(), atol=1e-9)


def test_devices_change_nothing():
    grid = {"seed": range(5), "mu_0": np.linspace(0, 60, 31)}
    one, two, four = (
        dd.sweep(dd.WongWang(), grid, "std", duration=20.0, devices=devices)
        for devices in (1, 2, 4)
    )
    assert np.ptp(one["S1.std"]) > 0
    assert_same(one, two)
    assert_same(one, four)


def test_a_point_that_fails_is_noted_and_ends_nothing(tmp_path):
    grid = {"tau_m": [10.0, -1.0], "V": [-65.0, np.nan]}
    table = dd.sweep(dd.LIF(), grid, "final", duration=10.0)
    assert table.status[0] == "done" and "tau_m = -1" in table.status[2]
    assert np.isnan(table["V.final"][1:]).all() and len(table.reasons) == 3
    out = tmp_path / "s.h5"
    for _ in range(2):  # the second time the file knows
        with pytest.raises(SimulationError, match=r"point 1, .*'V': nan"):
            dd.sweep(dd.LIF(), grid, "final", duration=10.0, out=out, strict=True)


def test_a_state_that_explodes_is_noted():
    table = dd.sweep(
        Explodes(method=dd.Euler()), {"a": [-1.0, 1e3]}, lambda t, s: {"x0": s.x[0]}, duration=50.0
    )
    assert table.status == ["done", "the state is not finite at the end"]


class Explodes(dd.ODE):
    """x' = a x^2."""

    a: float = 1.0

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(x=jnp.ones(()))

    def derivative(self, t, s, drive):
        return self.State(x=self.a * s.x**2)


@pytest.mark.parametrize(
    "given, words",
    [
        ({"grid": {"I_f": [1.0]}}, 'Did you mean "I_e"'),
        ({"measure": "rat"}, 'Did you mean "rate"'),
        ({"measure": []}, "measures nothing"),
        ({"system": 3}, "neither a model nor a network"),
        ({"measure": lambda t, s: jnp.max(s.V)}, "one value without a name, not numbers by name"),
        ({"measure": lambda t, s: {"V": s.V}}, "not numbers by name"),
        ({"duration": 0.0}, "nothing to measure"),
        ({"measure": peak, "every": 0.3}, "does not divide"),
        ({"share": (2, 2)}, "0 <= k < n"),
        ({"system": dd.WongWang(), "grid": {"mu_0": [1.0]}}, "never spikes"),
    ],
)
def test_what_is_not_possible_is_said(given, words):
    usual = {"system": dd.LIF(), "grid": {"I_e": [1.0]}, "measure": "rate", "duration": 10.0}
    with pytest.raises(AnalysisError, match=words):
        dd.sweep(**{**usual, **given})


# --- networks -------------------------------------------------------------------------------------


class Net(dd.Network):
    def __init__(self, n=40, w=6.0):
        cell = dd.LIF(E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0, tau_m=20.0, I_e=200.0)
        self.E = dd.Population(n, cell, V=dd.Normal(-55.0, 3.0))
        self.exc = dd.Projection(
            self.E, self.E, dd.FixedProb(0.2), dd.Exponential(tau=5.0), weight=w, delay=0.1
        )


def last(recording):
    return {"last": recording.spikes["E"].step[-1], "count": len(recording.spikes["E"])}


def test_a_run_of_a_network_is_what_a_runner_has():
    points = [
        {"n": 40, "w": 6.0, "E.I_e": 210.0, "seed": 3},
        {"n": 30, "w": 0.5, "E.I_e": 190.0, "seed": 4},
    ]
    table = dd.sweep(Net, points, ["rate", last], duration=60.0, warmup=10.0)
    runner = dd.DSRunner(Net(n=30, w=0.5), dt=0.1, seed=4, record=["spikes"])
    runner["E"].I_e = 190.0
    runner.warm_up(10.0)
    recording = runner.run(60.0)
    found = [table[name][1] for name in ("E.rate", "last", "count")]
    assert found == [recording.rates()["E"], *last(recording).values()]
    assert table.status == ["done", "done"]


def test_a_network_that_is_given_has_paths_and_failures_are_noted():
    table = dd.sweep(
        Net(), {"exc.weight": [0.0, 3.0], "E.tau_m": [20.0, -2.0]}, "cv", duration=50.0
    )
    assert [word == "done" for word in table.status] == [True, False, True, False]
    assert "tau_m" in table.status[1] and np.isnan(table["E.cv"][1])
    with pytest.raises(NameLookupError, match=r'Did you mean "E\.tau_m"'):
        dd.sweep(Net(), {"E.tau_n": [1.0]}, "rate", duration=10.0)


# --- files ----------------------------------------------------------------------------------------

GIVEN = {
    "system": dd.LIF(), "grid": {"I_e": np.linspace(0.0, 600.0, 200)}, "measure": peak,
    "duration": 20.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole():
    return dd.sweep(**GIVEN)


def test_a_table_comes_back_from_its_file(whole, tmp_path):
    whole.save(tmp_path / "s.h5")
    assert_same(whole, dd.Sweep.load(tmp_path / "s.h5"))
    lif = dd.sweep(dd.LIF(), {"I_e": [1.0], "tau_m": [1.0, -1.0]}, "rate", duration=1.0)
    lif.save(tmp_path / "t.h5")
    again = dd.Sweep.load(tmp_path / "t.h5")
    assert_same(lif, again)
    assert again.on_grid("tau_m").shape == (1, 2)


def test_what_is_done_is_not_done_again(whole, tmp_path, monkeypatch):
    out, done = tmp_path / "new" / "s.h5", []
    do = ModelWork.do
    monkeypatch.setattr(ModelWork, "do", lambda self, units: done.extend(units) or do(self, units))
    half = dd.sweep(**GIVEN, out=out, share=(0, 2))
    assert not half.is_complete and half.status.count("waiting") == 96
    first, done[:] = set(done), []
    assert_same(whole, dd.sweep(**GIVEN, out=out, share=None))
    assert done and not first & set(done), "blocks are not done twice"
    done.clear()
    assert_same(whole, dd.sweep(**GIVEN, out=out, devices=4))
    assert not done and [path.name for path in out.parent.iterdir()] == ["s.h5"]
    dd.sweep(**GIVEN, out=out, overwrite=True)
    assert done


@pytest.mark.parametrize(
    "name, other",
    [
        ("grid", {"grid": {"I_e": np.linspace(0.0, 601.0, 200)}}),
        ("model", {"system": dd.LIF(tau_m=11.0)}),
        ("seed", {"seed": 1}),
        ("measure", {"measure": lambda t, state: {"peak": jnp.min(state.V)}}),
        ("duration", {"duration": 21.0}),
    ],
)
def test_another_sweep_in_the_file_is_an_error(whole, name, other, tmp_path):
    file = tmp_path / "s.h5"
    whole.save(file)
    kept = file.read_bytes()
    with pytest.raises(AnalysisError, match=f"its {name} is"):
        dd.sweep(**{**GIVEN, **other}, out=file)
    assert file.read_bytes() == kept


def test_the_last_job_of_an_array_joins_all(whole, tmp_path, monkeypatch):
    out = tmp_path / "s.h5"
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "3")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "10")
    monkeypatch.setenv("SLURM_ARRAY_TASK_STEP", "5")
    waiting = []
    for task in ("15", "10"):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", task)
        waiting.append(dd.sweep(**GIVEN, out=out).status.count("waiting"))
        assert not out.exists()
    assert waiting == [136, 64] and dd.Sweep.load(out).status.count("waiting") == 64
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "20")
    assert_same(whole, dd.sweep(**GIVEN, out=out))
    assert [path.name for path in tmp_path.iterdir()] == ["s.h5"]
    assert_same(whole, merge(out))


KILLED = """
import sys
import numpy as np
import distdyn as dd
grid = {"mu_0": np.linspace(0, 60, 100), "coherence": range(40)}
table = dd.sweep(dd.WongWang(), grid, "std", duration=60.0, out=sys.argv[1])
fresh = dd.sweep(dd.WongWang(), grid, "std", duration=60.0)
print(table.sha256 == fresh.sha256, len(table.reasons))
"""


def test_a_sweep_that_was_killed_goes_on_to_the_same_table(tmp_path):
    out = tmp_path / "s.h5"
    command = [sys.executable, "-c", KILLED, str(out)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    job = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    known = 0
    while job.poll() is None and not known:
        time.sleep(0.01)
        if out.exists():
            known = int(dd.Sweep.load(out).is_known.sum())
    os.kill(job.pid, signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL, "it was done before it was killed"
    assert 0 < dd.Sweep.load(out).status.count("done") < 4000
    again = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert again.stdout == "True 0\n"


def test_a_damaged_file_is_an_error(tmp_path):
    (tmp_path / "s.h5").write_text("nonsense")
    with pytest.raises(dd.DistDynError, match="cannot read"):
        dd.Sweep.load(tmp_path / "s.h5")
    with pytest.raises(dd.DistDynError, match="no such file"):
        dd.Sweep.load(tmp_path / "t.h5")


# --- command --------------------------------------------------------------------------------------


def test_the_command_says_what_it_found(tmp_path, capsys):
    words = ["sweep", "LIF", "--set", "tau_m=20", "--grid", "I_e=0:400:3", "--grid", "t_ref=2,4"]
    words += ["--duration", "100", "--measure", "rate", "mean", "--out", str(tmp_path / "s.h5")]
    assert cli.main([*words, "--json"]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    table = dd.Sweep.load(tmp_path / "s.h5")
    assert said["sha256"] == table.sha256 and (said["points"], said["done"]) == (6, 6)
    assert said["measures"]["rate"]["max"] == table["rate"].max() > 0
    assert table["t_ref"].dtype == np.int64 and table["I_e"].tolist()[::2] == [0.0, 200.0, 400.0]
    assert cli.main(["sweep", "--merge", "--out", str(tmp_path / "s.h5"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["sha256"] == table.sha256


@pytest.mark.parametrize(
    "words, message",
    [
        (["LIF", "--grid", "I_e=0:2", "--duration", "1"], "NAME=FIRST:LAST:NUMBER"),
        (["LIF", "--grid", "I_e=0:2:3"], "no duration"),
        (["LIV", "--grid", "I_e=0:2:3", "--duration", "1"], 'Did you mean "LIF"'),
        (["LIF", "--grid", "I_e=1", "--duration", "1", "--share", "3"], "K/N"),
        (["--merge"], "--out FILE"),
    ],
)
def test_wrong_words_end_with_2(words, message, capsys):
    assert cli.main(["sweep", *words]) == 2
    assert message in capsys.readouterr().err

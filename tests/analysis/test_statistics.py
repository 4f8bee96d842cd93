"""Statistics of runs that are read in pieces: the numbers of the measures of whole recordings."""

import json

import numpy as np
import pytest
from scipy.stats import ks_2samp

import distdyn as dd
from distdyn import cli
from distdyn.analysis.statistics import ks_distance
from distdyn.analysis.statistics.spikes import pieces
from distdyn.analysis.statistics.sums import Intervals
from distdyn.errors import AnalysisError, NameLookupError
from distdyn.run.directory import RunDirectory
from distdyn.run.recording import Header
from distdyn.run.store import StoredSpikes

M = dd.measure
SIZES = {"E": 50, "silent": 3}
STEPS, DT, T0 = 20_000, 0.1, 5.0


def written(directory, seed):
    """A run directory with spikes of neurons of many rates, some of which never fire."""
    rng = np.random.default_rng(seed)
    probability = np.where(np.arange(50) % 7, rng.gamma(1.0, 3e-3, 50), 0.0)
    common = rng.random(STEPS) < 0.01
    fires = rng.random((STEPS, 50)) < probability
    fires |= common[:, None] & (np.arange(50) % 3 == 1) & (rng.random((STEPS, 50)) < 0.5)
    step, id = np.nonzero(fires)
    header = Header(DT, SIZES, {"E": 0, "silent": 50}, tuple(SIZES), t0=T0)
    writer = RunDirectory(directory).create(header)
    writer.begin(0)
    writer.append_spikes("E", step + 1, id)
    writer.finish(STEPS, "completed")
    writer.close()
    return directory


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [str(written(folder / name, seed)) for seed, name in enumerate("ab")]


@pytest.fixture(scope="module")
def found(runs):
    return dd.statistics(runs[0], sample=30, resolution=4.0)


@pytest.mark.parametrize("window", [None, (105.0, 1105.0)])
def test_they_are_those_of_the_whole_recording(runs, window):
    found = dd.statistics(runs[0], sample=30, resolution=4.0, window=window)["E"]
    spikes, window = dd.load(runs[0]).spikes["E"], window or (T0, T0 + STEPS * DT)
    assert found.window == window
    np.testing.assert_allclose(found.rate, M.rates(spikes, window, n=50), rtol=1e-12)
    np.testing.assert_allclose(found.cv, M.cv(spikes, n=50, window=window), rtol=1e-9)
    matrix = M.count_correlation(spikes, window, 10.0, n=50)[np.ix_(found.sample, found.sample)]
    assert len(found.sample) == 30 and np.nanmax(found.correlation) > 0.1
    np.testing.assert_allclose(found.correlation, matrix[np.triu_indices(30, 1)], atol=1e-12)
    _, rate = M.population_rate(spikes, window, 1.0, n=50)
    frequency, power = M.power(rate, 1.0, 4.0)
    np.testing.assert_allclose(found.frequency, frequency)
    np.testing.assert_allclose(found.power, power[:, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("block", [13, 1000])
def test_the_length_of_the_pieces_changes_nothing(runs, found, block):
    again = dd.statistics(runs[0], sample=30, resolution=4.0, block=block)
    for path in SIZES:
        for name in ("rate", "cv", "correlation", "power"):
            of = getattr(found[path], name), getattr(again[path], name)
            np.testing.assert_array_equal(*of, err_msg=f"{path}.{name}")


def test_no_more_than_a_piece_is_read_at_once(runs, monkeypatch):
    read, most = StoredSpikes.read, []
    monkeypatch.setattr(
        StoredSpikes, "read", lambda self, a, b: most.append(b - a) or read(self, a, b)
    )
    dd.statistics(runs[0], block=100)
    rows = dd.load(runs[0]).spike_rows["E"]
    assert sum(most) >= rows.count > 20 * max(most)
    assert max(len(step) for step, _ in pieces(rows, 100)) <= 200, "steps have at most 50 spikes"


def test_neurons_that_never_fire_are_there(found):
    silent = found["silent"]
    assert silent.rate.tolist() == [0.0] * 3 and np.isnan(silent.cv).all()
    assert np.isnan(silent.correlation).all() and not silent.power.any()
    assert (found["E"].rate[::7] == 0).mean() >= 0.5
    assert "none" in repr(silent) and "Hz" in repr(found["E"])


def test_regular_and_long_intervals_lose_nothing_to_rounding():
    sums = Intervals(2)
    step = np.arange(1, 3000, dtype=np.int64) * 10**6
    for k in range(0, len(step), 7):
        sums.add(step[k : k + 7], np.zeros(len(step[k : k + 7]), np.int64))
    assert sums.cv()[0] == 0.0 and np.isnan(sums.cv()[1])


@pytest.mark.parametrize("n, m", [(1, 1), (7, 11), (200, 150)])
def test_the_distance_is_that_of_scipy(n, m):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0, 1, n).round(1), rng.normal(0.5, 2, m).round(1)  # with ties
    assert ks_distance(a, b) == pytest.approx(ks_2samp(a, b).statistic, abs=1e-15)
    assert ks_distance(np.append(a, np.nan), a) == 0.0
    assert np.isnan(ks_distance(a, np.array([np.nan])))


def test_a_run_is_compared_with_itself_and_with_another(runs):
    same = dd.compare(runs[0], runs[0])
    assert {one.ks for one in same.differences["E"].values()} == {0.0}
    other = dd.compare(*runs, ["E"])
    assert list(other.differences) == ["E"]
    for name, one in other.differences["E"].items():
        a, b = (getattr(side["E"], name) for side in other.statistics)
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        assert one.ks == pytest.approx(ks_2samp(a, b).statistic)
        assert (one.mean, one.n) == ((a.mean(), b.mean()), (len(a), len(b)))
    # Smirnov's table: 1.358 sqrt((n + m) / (n m)) at 5 %.
    assert other.differences["E"]["rate"].expected == pytest.approx(1.358 * np.sqrt(2 / 50), 1e-3)


def test_the_command_prints_a_table_and_json(runs, capsys):
    assert cli.main(["compare", *runs, "--populations", "E", "--json"]) == 0
    *table, line = capsys.readouterr().out.splitlines()
    assert table[0].split()[:3] == ["population", "measure", "A"] and len(table) == 4
    said = json.loads(line)["populations"]["E"]
    expected = dd.compare(*runs, "E").differences["E"]
    assert said["cv"]["ks"] == expected["cv"].ks > 0
    assert cli.main(["compare", runs[0], runs[1] + "x"]) == 2


@pytest.mark.parametrize(
    "given, error, words",
    [
        ({"populations": "F"}, NameLookupError, 'no population "F"'),
        ({"width": 0.25}, AnalysisError, "not a multiple of dt"),
        ({"width": 1500.0}, AnalysisError, "has not two of them"),
        ({"bin": 0.0}, AnalysisError, "Use a smaller one > 0"),
        ({"sample": 1}, AnalysisError, "at least 2"),
        ({"run": 3}, AnalysisError, "is no recording"),
    ],
)
def test_what_is_not_possible_is_said(runs, given, error, words):
    with pytest.raises(error, match=words):
        dd.statistics(**{"run": runs[0], **given})

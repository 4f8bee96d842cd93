"""The description of the microcircuit against the numbers of its reference implementation."""

import numpy as np
import pytest

import distdyn as dd
from distdyn.network.network import graph
from distdyn.zoo import by_name, microcircuit
from distdyn.zoo.microcircuit import Microcircuit


def test_sizes_and_numbers_of_synapses():
    network = graph(Microcircuit())
    assert [*network.populations] == [*microcircuit.NAMES]
    assert network.size == 77_169
    totals = {path: p.expected_synapses for path, p in network.projections.items()}
    assert sum(totals.values()) == 298_880_970
    assert len(totals) == 55
    assert totals["proj.L23E_L23E"] == 45_499_806
    assert totals["proj.L5I_L4E"] == 7003
    outdegree = [
        sum(n for path, n in totals.items() if path.startswith(f"proj.{name}_")) / size
        for name, size in zip(microcircuit.NAMES, microcircuit.SIZES, strict=True)
    ]
    np.testing.assert_array_equal(
        np.round(outdegree), [4514, 5271, 3278, 6478, 2720, 2982, 2702, 4132]
    )


def test_weights_and_currents():
    network = Microcircuit()
    assert network.proj["L4I_L4I"].weight.mu == pytest.approx(-351.234, abs=1e-3)
    assert network.proj["L4E_L23E"].weight.mu == pytest.approx(175.617, abs=1e-3)
    assert network.proj["L4E_L23E"].weight.sd == pytest.approx(17.5617, abs=1e-4)
    assert network.proj["L23E_L23E"].weight.mu == pytest.approx(87.8085, abs=1e-4)
    assert network.proj["L23E_L23E"].delay.mean() == pytest.approx(1.547, abs=1e-3)
    assert network.proj["L23I_L23E"].delay.mean() == pytest.approx(0.777, abs=1e-3)
    np.testing.assert_allclose(
        [getattr(network, name).model.I_e for name in microcircuit.NAMES],
        [561.97, 526.85, 737.59, 667.34, 702.47, 667.34, 1018.58, 737.59],
        atol=0.006,
    )


@pytest.mark.parametrize("drive", ["dc", "poisson"])
@pytest.mark.parametrize("scale", [0.1, 0.25])
def test_scaling_keeps_mean_and_variance_of_the_input(scale, drive):
    def moments(network):
        populations = [getattr(network, name) for name in microcircuit.NAMES]
        mean = np.array([p.model.I_e for p in populations])
        variance = np.zeros(8)
        rates = dict(zip(microcircuit.NAMES, microcircuit.PUBLISHED_RATES, strict=True))
        for path, projection in network.proj.items():
            pre, post = path.split("_")
            i = microcircuit.NAMES.index(post)
            events = projection.expected_synapses / populations[i].size * rates[pre]
            mean[i] += 1e-3 * microcircuit.TAU_SYN * projection.weight.mu * events
            variance[i] += projection.weight.mu**2 * events
        for path, source in getattr(network, "external", {}).items():
            i = microcircuit.NAMES.index(path)
            mean[i] += 1e-3 * microcircuit.TAU_SYN * source.weight * source.rate
            variance[i] += source.weight**2 * source.rate
        return mean, variance

    full, small = (moments(Microcircuit(x, drive)) for x in (1.0, scale))
    # sizes and in-degrees are whole numbers: 1 / 106 in the smallest population
    np.testing.assert_allclose(small[0], full[0], atol=0.005 * np.abs(full[0]).max())
    np.testing.assert_allclose(small[1], full[1], rtol=0.01)


def test_same_mean_drive_by_current_and_by_spikes():
    dc, poisson = Microcircuit(drive="dc"), Microcircuit(drive="poisson")
    for name in microcircuit.NAMES:
        source = poisson.external[name]
        mean = 1e-3 * microcircuit.TAU_SYN * source.weight * source.rate
        assert getattr(dc, name).model.I_e == pytest.approx(mean)
        assert getattr(poisson, name).model.I_e == 0.0


def test_table_says_which_rates_are_off():
    rates = dict(zip(microcircuit.NAMES, microcircuit.PUBLISHED_RATES, strict=True))
    assert microcircuit.rate_table(rates).count(" ok") == 8
    lines = microcircuit.rate_table(rates | {"L5E": 6.9, "L6E": 1.3}).splitlines()
    assert "beyond 0.61" in lines[5]
    assert "beyond 0.15" in lines[7]


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "small"
    runner = dd.DSRunner(Microcircuit(0.02), dt=0.1, seed=1, record="spikes", out=directory)
    runner.run(100.0)
    return directory


def test_table_of_a_run_directory(run_directory, capsys):
    microcircuit.main([str(run_directory)])
    text = capsys.readouterr().out
    for name, rate in dd.load(run_directory).rates().items():
        assert name in text
        assert f"{rate:.3f}" in text
    assert "scale 0.02" in text


def test_table_of_a_directory_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit):
        microcircuit.main([str(tmp_path / "nothing")])
    assert "nothing" in capsys.readouterr().err


# Hz at scale 0.2 with constant drive from 500 to 2500 ms: mean of four runs of an independent
# program that draws its own connections. The runs differ by 0.2 Hz in L5E, by 0.04 Hz elsewhere.
REDUCED = (0.571, 2.186, 3.791, 4.890, 7.153, 7.613, 0.856, 6.732)


def test_rates_of_a_fifth(seed):
    runner = dd.DSRunner(by_name("microcircuit")(0.2), dt=0.1, seed=seed, record="spikes")
    runner.run(500.0)
    rates = runner.run(2000.0).gather().rates()
    for name, expected in zip(microcircuit.NAMES, REDUCED, strict=True):
        allowed = 0.7 if name == "L5E" else 0.12  # three times the differences between two runs
        assert abs(rates[name] - expected) < allowed, name

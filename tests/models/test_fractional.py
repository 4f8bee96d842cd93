"""Cells of fractional order: the L1 scheme in numpy with all of the past, and published bursts."""

from math import gamma

import numpy as np
import pytest

import distdyn as dd
from tests.models.side_by_side import spike_times

DT = 0.1
WHOLE = dd.CaputoL1(memory=200.0)


def izhikevich(a, method=WHOLE):
    return dd.FractionalIzhikevich(I_e=10.0, order={"V": a, "u": a}, method=method)


CELLS = {
    "Izhikevich_1": izhikevich(1.0, dd.CaputoL1(memory=DT)),
    "Izhikevich_0.8": izhikevich(0.8),
    "FHR_0.8": dd.FractionalFHR(I_e=1.0, method=WHOLE),
    "FHR_0.9": dd.FractionalFHR(I_e=1.0, method=WHOLE, order={"V": 0.9, "w": 0.9, "y": 0.9}),
}


@pytest.fixture(scope="module")
def times():
    return spike_times(CELLS, dt=DT, duration=200.0)


def L1(f, start, a, *, V_th, reset=None, duration=200.0):
    """Spike times by x' = x - sum_j b_j (x_{n+1-j} - x_{n-j}) + Gamma(2 - a) h^a f(x)."""
    n = round(duration / DT)
    j = np.arange(1.0, n + 1)
    b = ((j + 1) ** (1 - a) - j ** (1 - a))[:, None]
    x, changes, times = np.array(start, float), np.zeros((n, len(start))), []
    for k in range(n):
        past = (b[:k] * changes[:k][::-1]).sum(0)
        new = x - past + gamma(2 - a) * DT**a * np.array(f(x))
        if new[0] >= V_th and (reset or x[0] < V_th):
            times.append((k + 1) * DT)
            new = np.array(reset(new)) if reset else new
        changes[k] = new - x
        x = new
    return times


def test_FractionalIzhikevich_spikes_when_the_scheme_does(times):
    def f(x):
        V, u = x
        return [0.04 * V**2 + 5 * V + 140 - u + 10, 0.02 * (0.2 * V - u)]

    expected = L1(f, [-65.0, -13.0], 0.8, V_th=30.0, reset=lambda x: [-65.0, x[1] + 8.0])
    np.testing.assert_allclose(times["Izhikevich_0.8"], expected, atol=1e-9)


def test_FractionalIzhikevich_spikes_regularly_or_bursts_by_its_order_alone(times):
    """Regular at order 1, as `Izhikevich` (44.81 ms); pairs at 0.8, as in the paper's figure."""
    regular = np.diff(times["Izhikevich_1"])[1:]
    np.testing.assert_allclose(regular, 45.1, atol=0.15)  # Euler's at 0.1 ms
    gaps = np.diff(times["Izhikevich_0.8"])[3:]
    assert gaps[0::2].min() > 40.0 and gaps[1::2].max() < 5.0


@pytest.mark.parametrize("a", [0.8, 0.9])
def test_FractionalFHR_spikes_when_the_scheme_does(times, a):
    def f(x):
        v, w, y = x
        dv = v - v**3 / 3 - w + y + 1.0
        return [dv, 0.08 * (0.7 + v - 0.8 * w), 1e-4 * (-0.775 - v - y)]

    expected = L1(f, [-1.0, -0.5, 0.0], a, V_th=1.0)
    assert len(expected) >= 3
    np.testing.assert_allclose(times[f"FHR_{a}"], expected, atol=1e-9)


def test_FractionalFHR_bursts_at_order_1():
    """The ordinary equations: by scipy bursts of 5 to 22 spikes, 40 to 60 ms apart, and pauses."""
    cell = dd.FractionalFHR(order={"V": 1.0, "w": 1.0, "y": 1.0}, method=dd.CaputoL1(memory=DT))
    found = spike_times({"cell": cell}, dt=DT, duration=8000.0)["cell"]
    gaps = np.diff(found[found > 1000.0])
    assert np.sum(gaps > 200.0) >= 4 and np.sum((gaps > 40.0) & (gaps < 65.0)) > 0.75 * len(gaps)


def test_a_cell_of_fractional_order_runs_on_two_devices_to_the_same_bits():
    class Few(dd.Network):
        def __init__(self):
            method = dd.CaputoL1(memory=20.0)
            cell = dd.FractionalIzhikevich(I_e=dd.Uniform(8.0, 12.0), method=method)
            self.N = dd.Population(7, cell)
            self.syn = dd.Projection(
                self.N, self.N, dd.AllToAll(), dd.Delta(), weight=0.3, delay=1.0
            )

    runs = [dd.DSRunner(Few(), dt=DT, record="spikes", devices=n).run(150.0) for n in (1, 2)]
    assert runs[0].counts()["N"] > 20.0
    assert runs[0].spikes_sha256() == runs[1].spikes_sha256()

"""The golden network: 200 cells, every number given by a formula, spikes known to the last one.

The hash was obtained alike with NEST 3.10, with NumPy and with a C program.
"""

import hashlib

import numpy as np
import pytest

import distdyn as dd

WHOLE = "52ded88a9f83722ba800501cdbf96224b426b669f34c43226349989a04e515f6"
FIRST_100_MS = "27c659d3bf2f70b8fe8f7e1e649750b97b4ef82876d37d49f5dde9376d7be026"


class Golden(dd.Network):
    """160 excitatory and 40 inhibitory cells with 20 synapses each."""

    def __init__(self):
        j = np.arange(200)
        cell = dd.LIF(
            C_m=250.0,
            tau_m=10.0,
            E_L=-65.0,
            V_th=-50.0,
            V_reset=-65.0,
            t_ref=2.0,
            I_e=380 + 1.3 * ((37 * j) % 101),
        )
        self.N = dd.Population(200, cell, V=-65 + 14.9 * ((53 * j) % 149) / 149)

        i, k = (x.ravel() for x in np.meshgrid(j, np.arange(1, 21), indexing="ij"))
        post = (17 * i + 7 * k + 3 * k**2) % 200
        delay = 0.1 * (1 + (5 * i + 3 * k) % 30)
        e, h = i < 160, i >= 160
        self.exc = dd.Projection(
            self.N[:160],
            self.N,
            dd.Edges(i[e], post[e]),
            dd.Exponential(tau=2.0),
            weight=20 + 0.37 * ((i + k)[e] % 11),
            delay=delay[e],
        )
        self.inh = dd.Projection(
            self.N[160:],
            self.N,
            dd.Edges(i[h] - 160, post[h]),
            dd.Exponential(tau=5.0),
            weight=-(90 + 0.71 * ((i + 3 * k)[h] % 7)),
            delay=delay[h],
        )


def sha256(step, id):
    lines = "".join(f"{s},{i}\n" for s, i in zip(step, id, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def run(durations, precision):
    runner = dd.DSRunner(Golden(), dt=0.1, record="N.spikes", precision=precision)
    parts = [runner.run(T).gather().spikes["N"] for T in durations]
    step = np.concatenate([part.step for part in parts])
    id = np.concatenate([part.id for part in parts])
    return runner, step, id


@pytest.mark.parametrize("durations", [(1000.0,), (0.1, 0.3, 1.7, 110.0, 887.9), (100.0,) * 10])
def test_spikes_are_the_known_ones(durations):
    runner, step, id = run(durations, "float64")
    assert [*zip(step[:3], id[:3], strict=True)] == [(9, 59), (10, 163), (14, 73)]
    first = step <= 1000
    assert first.sum() == 662
    assert sha256(step[first], id[first]) == FIRST_100_MS
    assert len(step) == 6668
    assert sha256(step, id) == WHOLE
    # The state at the end; 1e-9: the known run adds up input in floating point, ours in integers.
    V = np.asarray(runner["N"].V)
    assert V[1] == pytest.approx(-50.3967547384586, abs=1e-9)
    assert V.sum() == pytest.approx(-11018.155785571324, abs=1e-7)


def test_single_precision_keeps_the_rate():
    _, step, id = run((1000.0,), "float32")
    assert abs(len(step) / 6668 - 1) < 0.01
    # Rounding decides the first difference; long before, the spikes are the same.
    early = step <= 100
    np.testing.assert_array_equal(
        np.stack([step[early], id[early]]),
        np.stack([x[: early.sum()] for x in run((20.0,), "float64")[1:]]),
    )

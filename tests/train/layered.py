"""A network with layers of several kinds, for tests of training and for ranks; a script runs it.

mpirun -n 2 python layered.py --devices 2       # the hash of what the simulator gives, from rank 0
"""

import argparse
import hashlib

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import distdyn as dd

STEPS = 30


def spikes(trials, seed=0):
    """Of the pixels: bool[trial, step, pixel]."""
    return np.random.default_rng(seed).random((trials, STEPS, 72)) < 0.15


class Layered(dd.Network):
    """A convolution, two that remember, one that drops out, and a projection beside them."""

    def __init__(self, given=None, dropout=0.5):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=0.5, V_reset=0.0, t_ref=0.0)
        step, pixel = np.nonzero(np.zeros((0, 0)) if given is None else given)
        self.inp = dd.Population((2, 6, 6), dd.SpikeTimes(id=pixel, time=step + 1.0))
        self.E = dd.Population((4, 3, 3), cell)
        self.F = dd.Population(7, cell)
        self.out = dd.Population(3, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        self.conv = dd.Layer(
            self.inp, self.E, lambda key: eqx.nn.Conv2d(2, 4, 3, stride=2, padding=1, key=key),
            dd.Delta(), delay=2.0,
        )  # fmt: skip
        self.gru = dd.Layer(
            self.F, self.E[3:8], lambda key: eqx.nn.GRUCell(7, 5, key=key),
            dd.Exponential(5.0), delay=1.0,
        )  # fmt: skip
        self.lstm = dd.Layer(
            (self.F, self.E[:20:2]), self.out, lambda key: eqx.nn.LSTMCell(17, 3, key=key),
            dd.Delta(), delay=3.0,
        )  # fmt: skip
        self.dense = dd.Layer(
            self.E, (self.F, self.out), lambda key: eqx.nn.Sequential(
                [eqx.nn.Lambda(jnp.ravel), eqx.nn.LayerNorm(36), eqx.nn.Dropout(dropout),
                 eqx.nn.Linear(36, 10, key=key)]
            ),
            dd.Exponential(5.0), delay=1.0,
        )  # fmt: skip
        self.rec = dd.Projection(
            self.E, self.F, dd.FixedProb(0.3), dd.Exponential(5.0), weight=dd.Normal(0.5, 0.5),
            delay=dd.Uniform(1.0, 3.0),
        )  # fmt: skip


WHERE = [
    "conv.weight", "conv.bias", "gru.weight_ih", "gru.bias_n", "lstm.weight_hh", "rec.weight",
    "dense.layers.1.weight", "dense.layers.3.weight", "dense.layers.3.bias", "E.tau_m",
]  # fmt: skip


def simulated(parameters=None, **given):
    """What the simulator gives, on rank 0: potentials, and the hash of all."""
    runner = dd.DSRunner(
        Layered(spikes(1)[0]), dt=1.0, seed=1, progress="off", parameters=parameters,
        record=["E.spikes", "F.spikes", "out.V"], **given,
    )  # fmt: skip
    for _ in range(2):  # in pieces: what is on its way stays on its way
        runner.run(7.0)
    runner.reset()
    pieces = [runner.run(t).gather() for t in (11.0, 1.0, STEPS - 12.0)]
    if None in pieces:
        return None  # another rank than the first
    found = hashlib.sha256()
    for piece in pieces:
        for of in piece.spikes.values():
            found.update(of.step.tobytes() + of.id.tobytes())
        found.update(piece.traces["out.V"].value.tobytes())
    return np.concatenate([piece.traces["out.V"].value for piece in pieces]), found.hexdigest()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=1)
    options = parser.parse_args()
    found = simulated(devices=options.devices)
    if found is not None:
        print(found[1], flush=True)


if __name__ == "__main__":
    main()

"""A small network that learns, for tests of the trainer and for ranks; as a script it trains.

mpirun -n 2 python small.py --devices 2 --mesh 1 2       # one JSON object, from rank 0
"""

import argparse
import json

import numpy as np
import optax

import distdyn as dd

STEPS, TRIALS = 12, 24


class Small(dd.Network):
    """Two generators, nine cells with delays, and a readout for each of two classes."""

    def __init__(self):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=0.0)
        self.inp = dd.Population(2, dd.SpikeTimes([], []))
        self.E = dd.Population(9, cell)
        self.out = dd.Population(2, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        normal, all_ = dd.Normal(0.4, 0.6), dd.AllToAll()
        self.w_in = dd.Projection(self.inp, self.E, all_, dd.Delta(), weight=normal, delay=1.0)
        self.rec = dd.Projection(
            self.E, self.E, dd.FixedProb(0.5), dd.Delta(), weight=dd.Normal(0.0, 0.3),
            delay=dd.Uniform(1.0, 3.0),
        )  # fmt: skip
        self.w_out = dd.Projection(
            self.E, self.out, all_, dd.Delta(), weight=dd.Normal(0.0, 0.3), delay=1.0
        )


WHERE = ["w_in.weight", "rec.weight", "w_out.weight", "E.tau_m"]


OPTIMIZERS = {
    "adam": optax.adam(5e-2),
    # Two norms, that of all weights and those of each parameter, and weights that decay.
    "norms": optax.chain(optax.clip_by_global_norm(0.02), optax.lamb(5e-2, weight_decay=1e-2)),
    "factors": optax.adafactor(1e-2, min_dim_size_to_factor=2),
    "noise": optax.chain(optax.add_noise(0.1, 0.5, 1), optax.sgd(1e-2)),
}
RULES = {
    "bptt": dd.BPTT(),
    "eprop": dd.EProp(),
    "ppprop": dd.PPProp(),
    "three": dd.ThreeFactor(0.1),
}


def task(seed=0):
    """Which of the two generators spikes more often."""
    random = np.random.default_rng(seed)
    label = np.arange(TRIALS) % 2
    p = np.where(label[:, None] == np.arange(2), 0.6, 0.2)
    spikes = random.random((TRIALS, STEPS, 2)) < p[:, None]
    return dd.tasks.Dataset({"inp": spikes}, label, batch=8, seed=seed)


class Noisy(Small):
    """The same with everything that is drawn: each trial has numbers of its own."""

    def __init__(self):
        super().__init__()
        self.P = dd.Population(3, dd.Poisson(rate=200.0))
        self.p = dd.Projection(
            self.P, self.E, dd.AllToAll(), dd.Delta(), weight=dd.Uniform(0.0, 0.5), delay=1.0
        )
        self.bombarded = dd.PoissonInput(self.E, 500.0, dd.Delta(), weight=0.1, delay=1.0)
        self.white = dd.CurrentInput(self.E, dd.inputs.WhiteNoise(0.5))
        self.coloured = dd.CurrentInput(self.out, dd.inputs.OU(sigma=0.1, tau=5.0))


def trainer(network=None, **given):
    """A trainer of the small network, or another, in double precision."""
    options = {
        "loss": dd.loss.cross_entropy("out.V"), "optimizer": optax.adam(5e-2), "where": WHERE,
        "dt": 1.0, "seed": 1, "precision": "float64", "progress": "off",
    }  # fmt: skip
    return dd.DSTrainer(network or Small(), **{**options, **given})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--mesh", type=int, nargs=2)
    parser.add_argument("--rule", choices=list(RULES), default="bptt")
    parser.add_argument("--optimizer", choices=list(OPTIMIZERS), default="adam")
    options = parser.parse_args()
    mesh, rule = options.mesh and tuple(options.mesh), RULES[options.rule]
    optimizer = OPTIMIZERS[options.optimizer]
    where = WHERE[:3] if options.rule == "three" else WHERE
    made = trainer(devices=options.devices, mesh=mesh, rule=rule, optimizer=optimizer, where=where)
    history = made.fit(task(), 4)
    exchanges = made.exchanged()[1] / made.updates
    judged = made.evaluate(task(1))
    outputs = made.predict(next(task(2).batches(0))[0])["out.V"]
    parameters, digest = made.parameters, made.digest
    if made.world.rank == 0:
        weights = {path: np.ravel(x).tolist() for path, x in parameters.items()}
        found = {"loss": history.loss.tolist(), "judged": judged, "weights": weights}
        shape = {"outputs": float(outputs.sum()), "shape": list(outputs.shape)}
        counted = {"digest": digest, "exchanges": exchanges}
        print(json.dumps({**found, **shape, **counted}), flush=True)


if __name__ == "__main__":
    main()

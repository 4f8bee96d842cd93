"""Run networks on whatever ranks and devices there are, and print a hash of the spikes of each.

mpirun -n 3 python same.py --devices 2 golden brunel coba       # one JSON object, from rank 0
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import distdyn as dd
from distdyn.run import chunks
from distdyn.zoo import by_name

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.models.library import Everyone, Rates

# Exchanges are counted: no chunk is cut short because the machine is busy.
chunks.CHUNK_SECONDS = 3600.0


class Golden(dd.Network):
    """The golden network of tests/validation/test_golden.py."""

    def __init__(self):
        j = np.arange(200)
        cell = dd.LIF(
            C_m=250.0, tau_m=10.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0,
            I_e=380 + 1.3 * ((37 * j) % 101),
        )  # fmt: skip
        self.N = dd.Population(200, cell, V=-65 + 14.9 * ((53 * j) % 149) / 149)
        i, k = (x.ravel() for x in np.meshgrid(j, np.arange(1, 21), indexing="ij"))
        post, delay = (17 * i + 7 * k + 3 * k**2) % 200, 0.1 * (1 + (5 * i + 3 * k) % 30)
        e, h = i < 160, i >= 160
        self.exc = dd.Projection(
            self.N[:160], self.N, dd.Edges(i[e], post[e]), dd.Exponential(tau=2.0),
            weight=20 + 0.37 * ((i + k)[e] % 11), delay=delay[e],
        )  # fmt: skip
        self.inh = dd.Projection(
            self.N[160:], self.N, dd.Edges(i[h] - 160, post[h]), dd.Exponential(tau=5.0),
            weight=-(90 + 0.71 * ((i + 3 * k)[h] % 7)), delay=delay[h],
        )  # fmt: skip


class Brunel(dd.Network):
    """1,250 cells driven by Poisson trains, with random weights and delays."""

    def __init__(self):
        cell = dd.LIF(C_m=250.0, tau_m=20.0, E_L=0.0, V_th=20.0, V_reset=10.0, t_ref=2.0)
        self.E = dd.Population(1000, cell, V=dd.Uniform(0.0, 20.0))
        self.I = dd.Population(250, cell, V=dd.Uniform(0.0, 20.0))
        everyone, delay = (self.E, self.I), dd.Uniform(0.3, 3.0)
        self.exc = dd.Projection(
            self.E, everyone, dd.FixedIndegree(100), dd.Exponential(tau=0.5),
            weight=dd.Normal(80.0, 20.0, low=0.0), delay=delay,
        )  # fmt: skip
        self.inh = dd.Projection(
            self.I, everyone, dd.FixedProb(0.1), dd.Exponential(tau=0.5),
            weight=dd.Normal(-400.0, 40.0, high=0.0), delay=delay,
        )  # fmt: skip
        self.drive = dd.PoissonInput(
            everyone, 9000.0, dd.Exponential(tau=0.5), weight=85.0, delay=0.1
        )


class Varied(dd.Network):
    """Parameters that differ between cells, a signal per cell, generators, and three groups."""

    def __init__(self):
        rng = np.random.default_rng(3)
        cell = dd.LIF(tau_m=dd.Uniform(8.0, 12.0), I_e=dd.Normal(380.0, 20.0), t_ref=2.0)
        self.A = dd.Population(331, cell, V=dd.Normal(-58.0, 5.0))
        self.B = dd.Population(1, dd.LIF(I_e=400.0))
        self.P = dd.Population(77, dd.Poisson(rate=30.0))
        self.S = dd.Population(40, dd.SpikeTimes(id=np.arange(40), time=np.full(40, 5.0)))
        times, values = np.array([0.0, 20.0]), rng.uniform(0.0, 60.0, (2, 200))
        self.current = dd.CurrentInput(self.A[100:300], dd.Steps(times, values))
        self.ab = dd.Projection(
            self.A, (self.A, self.B), dd.FixedTotal(3000), dd.Exponential(tau=1.0),
            weight=dd.Normal(10.0, 3.0), delay=dd.Uniform(0.5, 2.0),
        )  # fmt: skip
        self.pa = dd.Projection(
            self.P, self.A[::3], dd.FixedOutdegree(20), dd.Alpha(tau=1.0), weight=40.0, delay=1.0
        )
        self.sa = dd.Projection(
            (self.S, self.B), self.A, dd.FixedProb(0.3), dd.Delta(), weight=0.4, delay=0.7
        )


class Gaps(dd.Network):
    """No projection at all between some of these; everybody fires in one step; hardly any cells."""

    def __init__(self):
        cell = dd.LIF(C_m=1.0, tau_m=10.0, E_L=0.0, V_th=0.5, V_reset=0.0, t_ref=0.0)
        self.source = dd.Population(1, dd.SpikeTimes(id=[0, 0], time=[10.0, 30.0]))
        self.all = dd.Population(600, cell, V=0.0)
        self.none = dd.Population(0, cell)
        self.two = dd.Population(2, dd.LIF(I_e=500.0))
        self.start = dd.Projection(
            self.source, self.all, dd.AllToAll(), dd.Delta(), weight=1.0, delay=0.1
        )
        self.ring = dd.Projection(
            self.all, self.all, dd.OneToOne(), dd.Delta(), weight=1.0, delay=2.5
        )


class Alone(dd.Network):
    """No projection at all."""

    def __init__(self):
        self.N = dd.Population(33, dd.LIF(I_e=dd.Uniform(300.0, 500.0)))


class Pair(dd.Network):
    """Small enough for the reference implementation, which is slow."""

    def __init__(self):
        cell = dd.LIF(I_e=dd.Uniform(380.0, 500.0), t_ref=2.0)
        self.A = dd.Population(40, cell, V=dd.Uniform(-65.0, -50.0))
        self.B = dd.Population(23, cell, V=dd.Uniform(-65.0, -50.0))
        self.syn = dd.Projection(
            (self.A, self.B), (self.B, self.A), dd.FixedProb(0.3), dd.Exponential(tau=2.0),
            weight=dd.Normal(20.0, 20.0), delay=dd.Uniform(0.4, 1.5),
        )  # fmt: skip


class TwoAreas(dd.Network):
    """Two areas of 500 cells with 5 ms between them and 0.1 ms inside."""

    def __init__(self):
        cell = dd.LIF(I_e=dd.Normal(370.0, 20.0))
        self.areas = [dd.Population(500, cell, V=dd.Normal(-58.0, 5.0)) for _ in range(2)]
        for k, (a, b) in enumerate(((0, 0), (1, 1), (0, 1), (1, 0))):
            self.__dict__[f"p{k}"] = dd.Projection(
                self.areas[a], self.areas[b], dd.FixedProb(0.05), dd.Exponential(tau=2.0),
                weight=dd.Normal(30.0, 5.0) if a != b else dd.Normal(-30.0, 5.0),
                delay=5.0 if a != b else dd.Uniform(0.1, 1.0),
            )  # fmt: skip


class Drawn(dd.Network):
    """Rules whose rows can be drawn again, on ends that are slices of several groups."""

    def __init__(self, storage):
        cell = dd.LIF(I_e=dd.Uniform(350.0, 500.0), t_ref=2.0)
        self.A = dd.Population(331, cell, V=dd.Uniform(-65.0, -50.0))
        self.B = dd.Population(100, cell, V=dd.Uniform(-65.0, -50.0))
        self.P = dd.Population(77, dd.Poisson(rate=30.0))
        psc, everyone = dd.Exponential(tau=2.0), (self.A, self.B)
        given = {"storage": storage, "delay": dd.Uniform(0.3, 2.0)}
        self.aa = dd.Projection(
            self.A, everyone, dd.FixedProb(0.1), psc, weight=dd.Normal(5.0, 2.0), **given
        )
        self.ba = dd.Projection(
            self.B[::3], self.A[7:], dd.FixedTotal(5000), psc, weight=-10.0, **given
        )
        self.pb = dd.Projection(
            self.P, everyone, dd.FixedOutdegree(20, multapses=False), psc, weight=20.0, **given
        )


class Leaky(dd.ODE):
    """A leaky cell in white noise, whose drift is an Ornstein-Uhlenbeck process."""

    V_th: float = -50.0
    V_reset: float = -65.0
    t_ref: float = 2.0
    E_L: Any = -55.0

    class State(NamedTuple):
        V: jax.Array
        y: jax.Array

    def init(self, id, key):
        return self.State(V=-60.0, y=0.0)

    def derivative(self, t, s, drive):
        return self.State(V=(self.E_L - s.V + s.y + drive.current / 25) / 10, y=-s.y / 5)

    def diffusion(self, t, s, drive):
        return self.State(V=1.0, y=2.0)

    def reset(self, s):
        return s._replace(V=self.V_reset)


class MackeyGlass(dd.ODE):
    """The equation of Mackey and Glass in other units; it spikes where V crosses 1 upward."""

    tau: Any = 17.0
    V_th: float = 1.0

    class State(NamedTuple):
        V: jax.Array

    def init(self, id, key):
        return self.State(V=1.2)

    def derivative(self, t, s, drive, past):
        V = past("V", self.tau)
        return self.State(V=0.2 * V / (1 + V**10) - 0.1 * s.V + 1e-4 * drive.current)


class Memory(dd.Network):
    """Cells with noise, with delays that differ, of fractional order, and that adapt."""

    def __init__(self):
        method = dd.CaputoL1(memory=5.0)
        cell = dd.LIF(I_e=dd.Uniform(700.0, 900.0), order={"V": 0.9}, method=method)
        self.N = dd.Population(331, Leaky(E_L=dd.Normal(-52.0, 2.0)))
        self.D = dd.Population(100, MackeyGlass(tau=dd.Uniform(15.0, 19.0), method=dd.RK4()))
        self.F = dd.Population(77, cell)
        self.A = dd.Population(55, dd.AdEx(I_e=dd.Uniform(500.0, 900.0), method=dd.RK4()))
        everyone = (self.N, self.D, self.F, self.A)
        self.syn = dd.Projection(
            everyone, everyone, dd.FixedProb(0.1), dd.Exponential(tau=2.0),
            weight=dd.Normal(5.0, 3.0), delay=dd.Uniform(0.5, 2.0),
        )  # fmt: skip


class Plastic(dd.Network):
    """Populations that learn from each other, one rule for each direction."""

    def __init__(self):
        cell = dd.LIF(I_e=dd.Uniform(370.0, 420.0), t_ref=2.0)
        self.A = dd.Population(331, cell, V=dd.Uniform(-65.0, -50.0))
        self.B = dd.Population(100, cell, V=dd.Uniform(-65.0, -50.0))
        psc, delay = dd.Exponential(tau=2.0), dd.Uniform(0.5, 2.0)
        self.pairs = dd.Projection(
            (self.A, self.B), self.A, dd.FixedProb(0.1), psc, weight=dd.Uniform(5.0, 15.0),
            delay=delay, plasticity=dd.STDP(w_max=60.0),
        )  # fmt: skip
        self.triplets = dd.Projection(
            self.A, self.B, dd.FixedIndegree(30), psc, weight=10.0, delay=delay,
            plasticity=dd.TripletSTDP(A3_plus=0.5, A2_minus=0.5),
        )  # fmt: skip
        self.short = dd.Projection(
            self.B, self.A, dd.FixedProb(0.1), psc, weight=-20.0, delay=delay,
            plasticity=dd.TsodyksMarkram(U=0.3, tau_d=50.0, tau_f=100.0),
        )  # fmt: skip
        self.voltage = dd.Projection(
            self.A, self.B, dd.FixedProb(0.05), psc, weight=10.0, delay=delay,
            plasticity=dd.Clopath(A_LTD=0.3, A_LTP=2e-3, theta_minus=-70.0, theta_plus=-54.0),
        )  # fmt: skip
        self.scaled = dd.Projection(
            self.B, self.B, dd.FixedProb(0.1), psc, weight=10.0, delay=delay,
            plasticity=dd.Scaling(dd.RewardSTDP(b=1e-3), rate=100.0, tau=500.0, tau_w=1000.0),
        )  # fmt: skip


class Coupled(dd.Network):
    """Couplings of every kind, between several populations and groups."""

    def __init__(self):
        cell = dd.LIF(
            C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0, I_e=210.0
        )
        self.E = dd.Population(200, cell, V=dd.Normal(-55.0, 5.0))
        self.I = dd.Population(70, cell, V=dd.Normal(-55.0, 5.0))
        both, some = (self.E, self.I), dd.FixedProb(0.1)
        self.nmda = dd.Projection(
            self.E, both, some, dd.NMDA(), dd.MgBlock(), weight=dd.Uniform(0.0, 0.6),
            delay=dd.Uniform(0.1, 3.0),
        )  # fmt: skip
        self.ampa = dd.Projection(
            self.E, both, dd.AllToAll(autapses=False), dd.AMPA(), dd.COBA(E=0.0), weight=0.02,
            delay=1.5,
        )  # fmt: skip
        self.gaba = dd.Projection(
            self.I, both, some, dd.GABAa(), dd.COBA(E=-80.0), weight=1.0, delay=1.5
        )
        self.slow = dd.Projection(
            self.I, self.E, some, dd.GABAb(), dd.COBA(E=-95.0), weight=1.0, delay=1.5
        )
        self.gap = dd.Projection(self.I, self.I, some, dd.GapJunction(), weight=0.05, delay=0.0)
        self.sums = dd.Projection(
            (self.I, self.E[::3]), (self.I[5:40], self.E[1:20]), dd.AllToAll(autapses=False),
            dd.Exponential(tau=5.0), dd.COBA(E=-80.0), weight=0.01, delay=1.0,
        )  # fmt: skip
        self.W = dd.Population(40, dd.WilsonCowan(), E=dd.Uniform(0.0, 0.3))
        near = {"rule": dd.FixedProb(0.2)}
        self.add = dd.Projection(
            self.W, self.W, synapse=dd.Additive(most=1.0), weight=dd.Normal(0.1, 0.02),
            delay=dd.Uniform(1.0, 9.0), **near,
        )  # fmt: skip
        self.pull = dd.Projection(
            self.W, self.W, synapse=dd.Diffusive(most=1.0), weight=0.1, delay=0.0, **near
        )
        self.K = dd.Population(60, dd.Kuramoto(), theta=dd.Uniform(-3.0, 3.0))
        self.sine = dd.Projection(
            self.K, self.K, synapse=dd.Sine(lag=0.3), weight=0.01, delay=2.0, **near
        )


class Structured(dd.Network):
    """A torus whose cells are joined by distance, as a grid and by graphs."""

    def __init__(self):
        cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, I_e=210.0)
        torus = dd.Lattice(20.0, periodic=True)
        self.E = dd.Population((20, 15), cell, V=dd.Normal(-55.0, 5.0), positions=torus)
        hat = dd.DistanceDependent(dd.profiles.MexicanHat(70.0, 30.0), cutoff=150.0)
        values = {"synapse": dd.Exponential(tau=5.0), "weight": 3.0, "delay": 0.7}
        conduction = dd.ByDistance(lambda d: 0.3 + d / 100.0)
        weight = dd.ByDistance(dd.profiles.Gaussian(60.0, -9.0))
        by_distance = {**values, "weight": weight, "delay": conduction}
        rules = [dd.Grid(8), dd.SmallWorld(6, 0.2), dd.ScaleFree(3), dd.PowerLaw(3, 0.6)]
        self.near = dd.Projection(self.E, self.E, hat, **by_distance)
        self.one = dd.Projection(self.E, self.E, dd.SmallWorld(4, 0.3, directed=True), **values)
        self.of = [dd.Projection(self.E, self.E, rule, **values) for rule in rules]


NETWORKS = {
    "plastic": (Plastic, 200.0, "float32"),
    "coupled": (Coupled, 30.0, "float32"),
    "everyone": (Everyone, 60.0, "float32"),
    "rates": (Rates, 100.0, "float32"),
    "structured": (Structured, 100.0, "float32"),
    "memory": (Memory, 100.0, "float32"),
    "cobahh": (lambda: by_name("cobahh")(n=400), 50.0, "float32"),
    "decision": (lambda: by_name("decision")(n=1000, start=20.0), 150.0, "float32"),
    "stored": (lambda: Drawn("stored"), 60.0, "float32"),
    "procedural": (lambda: Drawn("procedural"), 60.0, "float32"),
    "golden": (Golden, 100.0, "float64"),
    "whole": (Golden, 1000.0, "float64"),
    "brunel": (Brunel, 200.0, "float32"),
    "coba": (lambda: by_name("coba")(n=1000), 100.0, "float32"),
    "varied": (Varied, 60.0, "float32"),
    "gaps": (Gaps, 60.0, "float32"),
    "alone": (Alone, 50.0, "float32"),
    "pair": (Pair, 40.0, "float32"),
    "areas": (TwoAreas, 100.0, "float32"),
    "dc": (lambda: by_name("microcircuit")(scale=0.1), 100.0, "float32"),
    "poisson": (lambda: by_name("microcircuit")(scale=0.1, drive="poisson"), 100.0, "float32"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--platform", default=None)
    parser.add_argument("--share-gpu", action="store_true")
    parser.add_argument("--areas", action="store_true", help="one area per node")
    parser.add_argument("--states", action="store_true", help="a hash of all states, too")
    parser.add_argument("--overlap", action="store_true", help="compute while spikes travel")
    parser.add_argument("networks", nargs="+")
    options = parser.parse_args()
    found = {}
    for name in options.networks:
        make, duration, precision = NETWORKS[name]
        network = make()
        runner = dd.DSRunner(
            network, dt=0.1, seed=7, record="spikes", precision=precision,
            devices=options.devices, progress="off",
            decomposition=decomposition(network) if options.areas else None,
            overlap=options.overlap, platform=options.platform, share_gpu=options.share_gpu,
        )  # fmt: skip
        recording = runner.run(duration)
        found[name] = {
            "hash": recording.spikes_sha256(),
            "spikes": sum(recording.counts().values()),
            "counts": recording.counts(),
            "state": state_of(runner) if options.states else None,
            "intervals": runner._shard.intervals,
            "exchanges": runner._shard.exchanges,
        }
        rank = runner.world.rank
    if rank == 0:
        print(json.dumps(found), flush=True)


def state_of(runner: dd.DSRunner) -> str:
    """A hash of the bits of all variables of all cells, and of weights that learn. Collective."""
    words = hashlib.sha256()
    for path in runner.graph.populations:
        for name in runner._shard.state_names(path):
            words.update(runner._shard.read_state(path, name).tobytes())
    for path, projection in runner.graph.projections.items():
        if projection.plasticity is not None:
            words.update(runner[path].weight.tobytes())
    return words.hexdigest()


def decomposition(network: dd.Network):
    from distdyn.network.ends import block_size
    from distdyn.parallel.launch import world
    from partition import Decomposition

    us = world()
    sizes = [500, 500]
    blocks = [block_size(n) for n in sizes]
    owners = []
    for area, (size, block) in enumerate(zip(sizes, blocks, strict=True)):
        ranks = [rank for rank in range(us.size) if us.node_of[rank] == area % us.nodes]
        owners.append(np.array([ranks[k % len(ranks)] for k in range(-(-size // block))]))
    return Decomposition(tuple(sizes), tuple(blocks), tuple(owners), us.size)


if __name__ == "__main__":
    main()

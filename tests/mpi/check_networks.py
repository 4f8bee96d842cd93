"""The networks of `checks.py`: sums, draws, sizes, counts, bursts, delays and an explosion."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import distdyn as dd

CELL = dd.LIF(C_m=250.0, tau_m=10.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0)
QUICK = dd.LIF(C_m=1.0, tau_m=10.0, E_L=0.0, V_th=0.5, V_reset=0.0, t_ref=0.0)


class Weights(dd.Network):
    """10,000 spikes arrive in one step at each of 33 cells, with weights of nine decades."""

    def __init__(self) -> None:
        n, m = 10_000, 33
        rng = np.random.default_rng(5)
        self.weight = 10 ** rng.uniform(-6, 3, n * m) * rng.choice([-1, 1], n * m)
        pre, self.post = np.tile(np.arange(n), m), np.repeat(np.arange(m), n)
        self.source = dd.Population(n, dd.SpikeTimes(id=np.arange(n), time=np.full(n, 5.0)))
        self.N = dd.Population(m, dd.LIF(V_th=1e9))
        self.syn = dd.Projection(
            self.source, self.N, dd.Edges(pre, self.post), dd.Exponential(tau=2.0),
            weight=self.weight, delay=0.1,
        )  # fmt: skip


class Streams(dd.Network):
    """Cells and generators that draw; perhaps others before them."""

    def __init__(self, n: int, others: int = 0) -> None:
        if others:
            self.other = dd.Population(others, CELL, V=dd.Normal(-60.0, 5.0))
            self.noise = dd.PoissonInput(
                self.other, 3000.0, dd.Exponential(tau=1.0), weight=20.0, delay=0.1
            )
        self.A = dd.Population(n, CELL, V=dd.Normal(-60.0, 5.0))
        self.P = dd.Population(n, dd.Poisson(rate=50.0))
        self.drive = dd.PoissonInput(
            self.A, 3000.0, dd.Exponential(tau=1.0), weight=20.0, delay=0.1
        )


class Tiny(dd.Network):
    def __init__(self, *sizes: int) -> None:
        self.of = [dd.Population(n, dd.LIF(I_e=390.0 + 20 * k)) for k, n in enumerate(sizes)]
        everyone = tuple(self.of)
        self.syn = dd.Projection(
            everyone, everyone, dd.AllToAll(), dd.Exponential(tau=2.0), weight=30.0, delay=0.5
        )


class Drawn(dd.Network):
    """Random weights, delays and states in a population of any size."""

    def __init__(self, n: int) -> None:
        self.N = dd.Population(n, dd.LIF(I_e=dd.Normal(390.0, 20.0)), V=dd.Normal(-58.0, 5.0))
        self.syn = dd.Projection(
            self.N, self.N, dd.FixedIndegree(20), dd.Exponential(tau=2.0),
            weight=dd.Normal(10.0, 30.0), delay=dd.Uniform(0.2, 2.0),
        )  # fmt: skip


class Counts(dd.Network):
    """Autapses, multapses, two equal projections, more sources than there are."""

    def __init__(self) -> None:
        rules = {
            "once": dd.OneToOne(), "again": dd.OneToOne(), "all": dd.AllToAll(),
            "indegree": dd.FixedIndegree(100), "outdegree": dd.FixedOutdegree(60),
            "total": dd.FixedTotal(7777), "some": dd.FixedIndegree(10, autapses=False),
            "distinct": dd.FixedIndegree(40, multapses=False),
            "listed": dd.Edges(np.repeat(np.arange(50), 7), np.repeat(np.arange(50)[::-1], 7)),
        }  # fmt: skip
        self.S = dd.Population(50, dd.SpikeTimes(id=np.arange(50), time=np.full(50, 1.0)))
        self.T = dd.Population(50, dd.LIF(V_th=1e6))
        self.R = dd.Population(50, dd.LIF())
        for pre in (self.S, self.R):
            post = self.T if pre is self.S else self.R
            name = "to" if pre is self.S else "within"
            self.__dict__[name] = {
                key: dd.Projection(pre, post, rule, dd.Exponential(tau=2.0), weight=1.0, delay=0.5)
                for key, rule in rules.items()
            }


class Burst(dd.Network):
    """10,000 cells are silent for a second, then all spike in every 15th step; 40 do nothing."""

    def __init__(self) -> None:
        n = 10_000
        self.start = dd.Population(1, dd.SpikeTimes(id=[0], time=[1000.0]))
        self.N = dd.Population(n, QUICK, V=0.0)
        self.alone = dd.Population(40, CELL)
        self.first = dd.Projection(
            self.start, self.N, dd.AllToAll(), dd.Delta(), weight=1.0, delay=0.1
        )
        there = (np.arange(n) + n // 2 + 1) % n
        self.ring = dd.Projection(
            self.N, self.N, dd.Edges(np.arange(n), there), dd.Delta(), weight=1.0, delay=1.5
        )


class Pairs(dd.Network):
    """64 cells, each onto its mirror image after 3 ms; and one synapse of 0.1 ms."""

    def __init__(self, pre: int, post: int) -> None:
        self.N = dd.Population(64, CELL)
        sources = np.append(np.arange(64), pre)
        targets = np.append(np.arange(64)[::-1], post)
        self.delay = np.append(np.full(64, 3.0), 0.1)
        self.syn = dd.Projection(
            self.N, self.N, dd.Edges(sources, targets), dd.Exponential(tau=2.0), weight=1.0,
            delay=self.delay,
        )  # fmt: skip


class Delayed(dd.Network):
    def __init__(self, delay: Any) -> None:
        self.N = dd.Population(64, CELL)
        self.loop = dd.Projection(
            self.N, self.N, dd.Edges(np.arange(64), np.arange(64)[::-1]), dd.Exponential(tau=2.0),
            weight=1.0, delay=delay,
        )  # fmt: skip


class Square(dd.ODE):
    """x' = x^2: infinite after 1 / x0."""

    x0: float = 0.0

    class State(NamedTuple):
        x: jax.Array

    def init(self, id: Any, key: Any) -> Any:
        return self.State(x=jnp.float32(0.0))

    def derivative(self, t: Any, s: Any, drive: Any) -> Any:
        return self.State(x=s.x * s.x)


class Exploding(dd.Network):
    def __init__(self) -> None:
        x = np.zeros(80)
        x[33] = 0.5
        self.N = dd.Population(80, Square(), x=x)
        self.M = dd.Population(80, CELL)

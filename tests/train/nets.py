"""A small network with every kind of connection that has a derivative, and what it is given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.core.firing import Firing
from distdyn.network.network import graph
from distdyn.parallel.parameters import Setting
from distdyn.train import local
from distdyn.train.exchange import gathered, read
from distdyn.train.inputs import given_to
from distdyn.train.layout import mesh_of
from distdyn.train.unrolled import Unrolled

TRIALS, STEPS = 8, 45  # of a length that chunks do not divide
CURRENT = dd.Exponential(tau=5.0)


class Every(dd.Network):
    """Dense, sparse, drawn again, delayed, of conductances, of potentials, and of channels."""

    def __init__(self, n=18):
        cell = dd.LIF(C_m=10.0, tau_m=10.0, E_L=0.0, V_th=1.0, V_reset=0.0, t_ref=1.0)
        coba = dd.LIF(C_m=100.0, tau_m=10.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=2.0)
        hh = dd.Conductance(
            C_m=1.0, INa=dd.INa_HH1952(), IK=dd.IK_HH1952(), IL=dd.ILeak(g=0.3, E=-54.387),
            I_e=dd.Uniform(6.0, 9.0),
        )  # fmt: skip
        self.inp = dd.Population(5, dd.SpikeTimes([], []))
        self.E = dd.Population(n, cell, V=dd.Uniform(0.0, 0.9))
        self.C = dd.Population(7, coba)
        self.H = dd.Population(6, hh)
        self.out = dd.Population(3, dd.LeakyIntegrator(C_m=10.0, tau_m=10.0, E_L=0.0))
        self.drive = dd.CurrentInput(self.C, 150.0)
        normal = dd.Normal(0.6, 0.8)
        self.dense = dd.Projection(
            self.inp, self.E, dd.AllToAll(), CURRENT, weight=normal, delay=1.0
        )
        self.sparse = dd.Projection(
            self.E, (self.E, self.out), dd.FixedProb(0.3), CURRENT,
            weight=dd.Normal(0.1, 0.5), delay=dd.Uniform(1.0, 4.0),
        )  # fmt: skip
        self.drawn = dd.Projection(
            self.E, self.E, dd.FixedProb(0.4), CURRENT, weight=dd.Normal(0.05, 0.1), delay=3.0,
            storage="procedural",
        )  # fmt: skip
        self.one = dd.Projection(
            self.E[2:14:3], self.out, dd.FixedProb(0.5), CURRENT, weight=0.4, delay=2.0
        )
        self.coba = dd.Projection(
            self.E, self.C, dd.FixedProb(0.5), dd.Exponential(tau=5.0), dd.COBA(E=0.0),
            weight=dd.Uniform(1.0, 5.0), delay=1.0,
        )  # fmt: skip
        self.to_hh = dd.Projection(
            self.C, self.H, dd.AllToAll(), CURRENT, weight=dd.Uniform(0.0, 2.0), delay=1.0
        )
        self.gap = dd.Projection(
            self.C,
            self.C,
            dd.FixedProb(0.5),
            dd.GapJunction(),
            weight=dd.Uniform(0.0, 0.5),
            delay=0.0,
        )


WHERE = [
    "dense.weight", "sparse.weight", "drawn.weight", "one.weight", "coba.weight", "to_hh.weight",
    "gap.weight", "E.tau_m", "C.V_th", "H.INa.g", "H.I_e",
]  # fmt: skip
WATCH = ["out.V", "E.spikes", "C.V", "H.V"]


def unrolled(
    shape, precision="float64", firing=None, network=None, where=WHERE, watch=WATCH, platform="cpu",
    team=None,
):  # fmt: skip
    """The network on a mesh of this shape, or on one of each rank of a team."""
    firing = firing or Firing(dd.surrogate.SoftSign(2.0))
    devices = jax.devices(platform)[: shape[0] * shape[1]]
    setting = Setting(1.0, 1, precision, 0)
    mesh, members = mesh_of(devices, shape), graph(network or Every())
    with jax.enable_x64(True):
        return Unrolled(members, setting, mesh, firing, watch, where, team)


def inputs():
    """What it is given."""
    random = np.random.default_rng(0)
    return {
        "inp": random.random((TRIALS, STEPS, 5)) < 0.25,
        "drive": random.normal(0.0, 20.0, (TRIALS, STEPS, 7)),
    }


def value_of(outputs):
    """A loss that all that is watched takes part in."""
    return (
        (outputs["out.V"] ** 2).mean()
        + outputs["E.spikes"].mean()
        + 1e-3 * (outputs["C.V"] ** 2).mean()
        + 1e-3 * (outputs["H.V"] ** 2).mean()
    )


def loss_and_gradient(net, chunk="auto", given=None, window=None, value=value_of):
    """The loss, its derivatives as numpy arrays of one order for all meshes, and the outputs.

    Behind them the compiled program, for those who want to know how.
    """
    with jax.enable_x64(True):
        placed, trials, steps = given_to(net.graph, net.layout, given or inputs())
        trial = net.layout.place(np.arange(trials, dtype=np.uint32), "data")

        @jax.jit
        def derive(parameters, held):
            def loss(parameters):
                found = net(
                    parameters, held, placed, trial, steps=steps, chunk=chunk, window=window
                )
                return value(found), found

            return jax.value_and_grad(loss, has_aux=True)(parameters)

        program = derive.lower(net.parameters, net.held).compile()
        (loss, outputs), gradient = program(net.parameters, net.held)
        if net.layout.team is not None:
            gradient = {path: summed(net, path, x) for path, x in gradient.items()}
        canonical = {path: net.canonical(path, x) for path, x in gradient.items()}
        outputs = {name: np.asarray(x) for name, x in outputs.items()}
        return float(loss), canonical, outputs, program


def summed(net, path, x):
    """The derivative in what all ranks have, of which each has found what its neurons do."""
    return x if net.where[path].is_dealt else net.layout.team.sum(np.asarray(x))


def check_same(found, expected):
    """Two losses with their derivatives, and with what is watched if it is there, are equal."""
    assert found[0] == pytest.approx(expected[0], rel=1e-12)
    assert found[1].keys() == expected[1].keys()
    for path, gradient in expected[1].items():
        largest = np.abs(gradient).max()
        assert largest > 0, f"{path} has no derivative: the test says nothing"
        np.testing.assert_allclose(found[1][path], gradient, rtol=0, atol=1e-12 * largest)
    for mine, theirs in zip(found[2:3], expected[2:3], strict=True):
        for name, y in theirs.items():
            np.testing.assert_allclose(mine[name], y, rtol=1e-12, atol=1e-12)


class Smooth(Firing):
    """A spike that is smooth, so that differences can say what its derivative is."""

    def spike(self, spike, distance, is_possible):
        return jax.nn.sigmoid(4.0 * jnp.asarray(distance))

    def choose(self, soft, spike, yes, no):
        return jax.tree.map(
            lambda a, b: b + soft * (a - b) if jnp.issubdtype(b.dtype, jnp.floating) else b, yes, no
        )


def smooth(monkeypatch):
    """Let devices send what smooth spikes are: no bits."""
    monkeypatch.setattr(local, "gathered", as_values)
    monkeypatch.setattr(local, "read", as_read)


def as_values(spikes, values, parts, message=None, after=None):
    """Smooth spikes are no bits."""
    _, found, message = gathered([], [*spikes, *values], parts, message, after)
    return found[: len(spikes)], found[len(spikes) :], message


def as_read(message, spikes, values, dtype):
    _, found = read(message, [], [*spikes, *values], dtype)
    return found[: len(spikes)], found[len(spikes) :]

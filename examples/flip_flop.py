"""What a network has learned, read off its equations: eight memories, and the ways between them.

Three bits, each of which a pulse sets to 1 or to -1. A recurrent network of rates learns by
backpropagation through time to hold them. Where it nearly stands still without input says how: at a
stable point for each of the eight states, with saddles between them, over which a pulse must lead.
Three bits that are kept independently would have 3^3 = 27 points: 8 stable ones at the corners of a
cube, saddles with one unstable direction on its 12 edges, with two on its 6 faces, with three in
its middle.

Source: Sussillo & Barak (2013), Neural Comput. 25, 626.

    python examples/flip_flop.py [--quick] [--out flip_flop.png]
"""

import argparse
import time
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import distdyn as dd

DT = 10.0
BLUE, GREY = "#1b4f8f", "#b4b8bf"
SADDLES = {1: "#e0a526", 2: "#c8432b", 3: "#222222"}  # by how many directions are unstable


class Unit(dd.ODE):
    """tau x' = -x + I, of which others see tanh(x)."""

    tau: float = dd.param(10.0, "ms", "time constant", positive=True)

    class State(NamedTuple):
        x: jax.Array

    def init(self, id, key):
        return self.State(x=jnp.zeros(()))

    def derivative(self, t, s, drive):
        return self.State(x=(drive.current - s.x) / self.tau)

    def emit(self, s):
        return jnp.tanh(s.x)


class Memory(dd.Network):
    """Units that take the pulses, n that are connected all with all, and one that shows each bit.

    Args:
        bits: how many.
        n: units.
        pulses: float[step, bit]; None: they come with the data.
    """

    def __init__(self, bits=3, n=64, pulses=None):
        self.seen = dd.Population(bits, Unit())
        self.inp = dd.CurrentInput(self.seen, 0.0 if pulses is None else dd.Sampled(pulses, DT))
        self.cells = dd.Population(n, Unit(tau=20.0))
        self.out = dd.Population(bits, Unit())

        def connect(pre, post, sd):
            return dd.Projection(
                pre, post, dd.AllToAll(), dd.Additive(), weight=dd.Normal(0.0, sd), delay=0.0
            )

        self.w_in = connect(self.seen, self.cells, 1.0)
        self.rec = connect(self.cells, self.cells, 0.5 * n**-0.5)
        self.w_out = connect(self.cells, self.out, n**-0.5)


def main(is_quick, out):
    start = time.perf_counter()
    bits, n, updates, T = (2, 24, 250, 4_000.0) if is_quick else (3, 64, 600, 40_000.0)
    task = dd.tasks.FlipFlop(bits=bits, dt=DT, updates=updates, seed=1)
    trainer = dd.DSTrainer(
        Memory(bits, n),
        loss=dd.loss.mse("out.x"),
        optimizer=optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(2e-2, updates))
        ),
        where=["w_in.weight", "rec.weight", "w_out.weight"],
        dt=DT,
        seed=1,
    )
    trainer.fit(task)

    longer = replace(task, duration=T)
    pulses = longer.trials(1, np.random.default_rng(2))[0]["inp"][0]
    record = [dd.every(DT, f"{path}.x") for path in ("seen", "cells", "out")]
    recording = dd.DSRunner(
        Memory(bits, n, pulses), dt=DT, seed=1, parameters=trainer.parameters, record=record
    ).run(T)

    an = dd.DSAnalyzer(Memory(bits, n), seed=1, parameters=trainer.parameters)
    points = an.slow_points(recording, n_states=4000)
    at, stable = points.state["out.x"], points.n_unstable == 0
    corners = np.unique(np.sign(at[stable]), axis=0)
    print(
        f"{stable.sum()} stable points, at {len(corners)} of {2**bits} corners, within "
        f"{np.abs(np.abs(at[stable]) - 1).max():.3f}; {(~stable).sum()} saddles between; "
        f"{time.perf_counter() - start:.0f} s"
    )
    draw(recording, pulses, points, out)


def draw(recording, pulses, points, out):
    """Pulses and what the network shows, in time; and the points among the states, both of bits."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels: Any = figure.subfigures(1, 2, width_ratios=[1.25, 1])
    left, right = panels
    trace = recording.traces["out.x"]
    bits = trace.value.shape[1]
    shown = slice(0, 150)
    for k, axes in enumerate(left.subplots(bits, 1, sharex=True)):
        t = 1e-3 * trace.time[shown]
        axes.fill_between(t, pulses[shown, k], color=GREY, step="pre", lw=0, label="pulses")
        axes.plot(t, trace.value[shown, k], color=BLUE, lw=1.4, label="network")
        axes.set(ylim=(-1.4, 1.4), yticks=[-1, 1], ylabel=f"bit {k + 1}", xlim=(0, t[-1]))
        axes.spines[["top", "right"]].set_visible(False)
    axes.set(xlabel="time (s)")
    left.axes[0].legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    at, way = points.state["out.x"], trace.value[:1500]
    axes = right.add_subplot(projection="3d" if bits > 2 else None)
    axes.plot(*way.T[:3], color=GREY, lw=0.5, zorder=1)
    for m in np.unique(points.n_unstable):
        some = at[points.n_unstable == m]
        what = f"with {m} unstable direction{'s' if m > 1 else ''}" if m else "stable"
        mark, color = ("X", SADDLES[m]) if m else ("o", BLUE)
        axes.plot(
            *some.T[:3], mark, color=color, label=f"{len(some)} {what}", markersize=7,
            markeredgecolor="white", markeredgewidth=0.6, zorder=3,
        )  # fmt: skip
    axes.set(xlabel="bit 1", ylabel="bit 2", xticks=[-1, 1], yticks=[-1, 1])
    if bits > 2:
        axes.set(zlabel="bit 3", zticks=[-1, 1])
        axes.view_init(elev=18, azim=-62)
        axes.set_box_aspect(None, zoom=0.85)
    axes.legend(frameon=False, loc="upper center", ncols=2, fontsize=8, bbox_to_anchor=(0.5, 1.06))
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="two bits, in seconds")
    arguments.add_argument("--out", default="flip_flop.png", help="where the picture goes")
    given = arguments.parse_args()
    main(given.quick, given.out)

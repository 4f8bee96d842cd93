"""Surrogate gradients: a recurrent network of spiking neurons learns the classes of points.

A point of the Yin-Yang figure is given as the times of five spikes. Forwards, cells spike as in any
simulation; backwards, the derivative of a spike, which is zero or infinite, is replaced by that of
a smooth function of V - V_th, so that all weights can follow the gradient of the loss.

Method: Neftci, Mostafa & Zenke (2019), IEEE Signal Process. Mag. 36(6), 51. Data: Kriener, Goeltz &
Petrovici (2022), NICE 2022.

    python examples/classifier.py [--quick] [--out classifier.png]
"""

import argparse
import time

import numpy as np
import optax
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import distdyn as dd

NAMES, COLORS, INK = ("yang", "yin", "dot"), ("#1b4f8f", "#c8432b", "#e0a526"), "#222222"


class Classifier(dd.Network):
    """Five generators, n cells that are connected all with all, and a readout for each class."""

    def __init__(self, n):
        cell = dd.LIF(C_m=20, tau_m=20, E_L=0, V_th=1, V_reset=0, t_ref=0)  # V in units of V_th
        self.inp = dd.Population(5, dd.SpikeTimes([], []))  # its spikes come with the data
        self.E = dd.Population(n, cell)
        self.out = dd.Population(3, dd.LeakyIntegrator(C_m=20, tau_m=20, E_L=0))
        everyone, jump = dd.AllToAll(), dd.Delta()
        first, inner, last = dd.Normal(0.3, 0.6), dd.Normal(0, 0.5 / n**0.5), dd.Normal(0, n**-0.5)
        self.w_in = dd.Projection(self.inp, self.E, everyone, jump, weight=first, delay=1)
        self.rec = dd.Projection(self.E, self.E, everyone, jump, weight=inner, delay=1)
        self.w_out = dd.Projection(self.E, self.out, everyone, jump, weight=last, delay=1)


def main(is_quick, out):
    n, points, epochs = (40, 500, 10) if is_quick else (120, 5000, 80)
    task = dd.tasks.YinYang(train=points, test=1000, batch=100, seed=1)
    rate = optax.cosine_decay_schedule(5e-3, epochs * points // task.batch)
    trainer = dd.DSTrainer(
        Classifier(n),
        loss=dd.loss.cross_entropy("out.V", over="max") + 1e-6 * dd.loss.rate("E.spikes", 0, 100),
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)),
        where=["w_in.weight", "rec.weight", "w_out.weight"],
        rule=dd.BPTT(surrogate=dd.surrogate.SuperSpike(10.0), chunk=None),
        dt=1.0,
        seed=1,
    )
    start = time.perf_counter()
    trainer.fit(task, epochs)
    seconds = time.perf_counter() - start
    points, label = task.testing.inputs["inp"], task.testing.target
    is_right = chosen(trainer, task, points) == label
    print(
        f"{is_right.mean():.1%} of {task.test} new points right, after {seconds:.0f} s of training"
    )
    draw(trainer, task, points[:400], label[:400], is_right[:400], out)


def chosen(trainer, task, points):
    """The class of each of some hundreds of points by the network."""
    hundreds = points.reshape(-1, 100, 2)  # of one shape, for which it is compiled once
    outputs = [trainer.predict({"inp": task.spikes(some)})["out.V"] for some in hundreds]
    return np.concatenate(outputs).max(axis=1).argmax(axis=1)


def draw(trainer, task, points, label, is_right, out):
    """What each point of the plane is taken for; and what the network does in one trial."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1, 1.15])[0]

    side = (np.arange(100) + 0.5) / 100
    grid = np.stack(np.meshgrid(side, side), axis=-1)  # [y, x, (x, y)]
    regions = chosen(trainer, task, grid).reshape(100, 100).astype(float)
    regions[np.hypot(*np.moveaxis(grid - 0.5, 2, 0)) > 0.5] = np.nan
    plane, colors = left.subplots(), ListedColormap(COLORS)
    plane.imshow(regions, origin="lower", extent=(0, 1, 0, 1), cmap=colors, alpha=0.3)
    plane.scatter(*points.T, c=label, cmap=colors, s=9)
    plane.scatter(*points[~is_right].T, s=45, facecolors="none", edgecolors="black", label="wrong")
    plane.set(xlabel="x", ylabel="y", title="taken for (areas), class (points)")
    plane.legend(loc="lower left", frameon=False, handletextpad=0, borderaxespad=0)

    given = task.spikes(points[:100])
    outputs = trainer.predict({"inp": given})
    above, middle, below = right.subplots(3, 1, sharex=True, height_ratios=[1, 3, 2])
    above.plot(*np.nonzero(given[0]), "|", color=INK, markersize=6)
    above.set(ylabel="input", ylim=(-1, 5), yticks=[0, 4])
    above.set_title(f"one trial, of class {NAMES[label[0]]}")
    middle.plot(*np.nonzero(outputs["E.spikes"][0]), "|", color=INK, markersize=3)
    middle.set(ylabel="cell")
    for name, color, V in zip(NAMES, COLORS, outputs["out.V"][0].T, strict=True):
        below.plot(V, color=color, label=name)
    below.set(xlabel="time (ms)", ylabel="readout V\n(units of $V_{th}$)", xlim=(0, task.steps))
    below.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    right.align_ylabels()
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="a small network, in seconds")
    arguments.add_argument("--out", default="classifier.png", help="where the picture goes")
    options = arguments.parse_args()
    main(options.quick, options.out)

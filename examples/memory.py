"""E-prop: adaptive cells learn to remember on which side there were more cues.

Seven cues come from the left or from the right; a second after the last one the network is asked on
which side were more. A spike raises the threshold of its cell for seconds: there the cues are kept.
E-prop carries forwards, for each synapse, how the state of its cell depends on it; what the readout
did wrong meets this trace when it happens, and nothing goes backwards through time.

Method: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun. 11, 3625.
Task: Morcos & Harvey (2016), Nat. Neurosci. 19, 1672.

    python examples/memory.py [--quick] [--out memory.png]
"""

import argparse
import time

import numpy as np
import optax
from matplotlib.figure import Figure

import distdyn as dd

BLUE, RED, GREY, INK = "#1b4f8f", "#c8432b", "#b4b8bf", "#222222"
GROUPS = {"left": BLUE, "right": RED, "recall": "#e0a526", "noise": GREY}  # of ten generators


class Memory(dd.Network):
    """Generators, n adaptive cells that are connected all with all, and a readout for each side."""

    def __init__(self, inputs, n, dt):
        self.inp = dd.Population(inputs, dd.SpikeTimes([], []))  # its spikes come with the data
        self.E = dd.Population(n, dd.ALIF())
        self.out = dd.Population(2, dd.LeakyIntegrator(C_m=20, tau_m=20, E_L=0))
        everyone, jump = dd.AllToAll(), dd.Delta()
        first, inner = dd.Normal(0, inputs**-0.5), dd.Normal(0, n**-0.5)
        self.w_in = dd.Projection(self.inp, self.E, everyone, jump, weight=first, delay=dt)
        self.rec = dd.Projection(self.E, self.E, everyone, jump, weight=inner, delay=dt)
        self.w_out = dd.Projection(self.E, self.out, everyone, jump, weight=inner, delay=dt)


def main(is_quick, out):
    n, epochs, task = 100, 15, dd.tasks.Evidence(batch=64, updates=20, test=256, dt=5, seed=1)
    if is_quick:
        n, epochs = 30, 2
        task = dd.tasks.Evidence(cues=3, delay=100, batch=32, updates=5, test=32, dt=5, seed=1)
    rate = optax.cosine_decay_schedule(5e-3, epochs * task.updates)
    trainer = dd.DSTrainer(
        Memory(4 * task.group, n, task.dt),
        loss=dd.loss.cross_entropy("out.V", last=task.recall) + 1e-4 * dd.loss.rate("E.spikes", 10),
        optimizer=optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)),
        where=["w_in.weight", "rec.weight", "w_out.weight"],
        rule=dd.EProp(surrogate=dd.surrogate.ReLU(alpha=0.5, width=0.6)),
        dt=task.dt,
        seed=1,
    )
    start = time.perf_counter()
    history = trainer.fit(task, epochs, validation=task.testing)
    print(
        f"{history.validation_accuracy[-1]:.1%} of {task.test} new trials right, after "
        f"{time.perf_counter() - start:.0f} s of training"
    )
    draw(trainer, task, history, out)


def draw(trainer, task, history, out):
    """Accuracy and loss, epoch by epoch; and a trial: cues, cells, and what the readouts say."""
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1, 1.8])[0]
    above, below = left.subplots(2, 1, sharex=True)
    above.plot(history.updates, 100 * history.accuracy, color=GREY, marker="o", label="training")
    above.plot(
        history.updates, 100 * history.validation_accuracy, color=INK, marker="o", label="new"
    )
    above.set(ylabel="right (%)")
    above.legend(frameon=False, loc="lower right")
    below.plot(history.updates, history.loss, color=GREY, marker="o")
    below.plot(history.updates, history.validation_loss, color=INK, marker="o")
    below.set(xlabel="update", ylabel="loss", ylim=(0, None))
    left.align_ylabels()

    inputs, side = next(iter(task.testing.batches(0)))
    given = inputs[task.path][0]
    outputs = {name: of[0] for name, of in trainer.predict(inputs).items()}
    t = task.dt * 1e-3 * np.arange(1, len(given) + 1)  # s
    cues, cells, readouts = right.subplots(3, 1, sharex=True, height_ratios=[1.6, 2, 1.2])
    for k, color in enumerate(GROUPS.values()):
        step, neuron = np.nonzero(given[:, k * task.group : (k + 1) * task.group])
        cues.plot(t[step], neuron + k * task.group, "|", color=color, markersize=3)
    cues.set_yticks(task.group * (np.arange(4) + 0.5), GROUPS)
    cues.tick_params(axis="y", length=0)
    cues.set(title=f"one trial: there were more on the {list(GROUPS)[side[0]]}")
    step, neuron = np.nonzero(outputs["E.spikes"])
    cells.plot(t[step], neuron, "|", color=INK, markersize=2)
    cells.set(ylabel="cell")
    for name, V in zip(("left", "right"), outputs["out.V"].T, strict=True):
        readouts.plot(t, V, color=GROUPS[name], lw=1.2, label=name)
    readouts.axvspan(t[-1] - 1e-3 * task.recall, t[-1], color=GROUPS["recall"], alpha=0.3, lw=0)
    readouts.set(xlabel="time (s)", ylabel="readout V", xlim=(0, t[-1]))
    readouts.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    right.align_ylabels()
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="three cues and less, in seconds")
    arguments.add_argument("--out", default="memory.png", help="where the picture goes")
    options = arguments.parse_args()
    main(options.quick, options.out)

"""Conductances by gradient: a Hodgkin-Huxley cell is fitted to recordings of its potential.

Four sweeps with different currents are made by a cell of known conductances, and noise is added.
Another cell begins with wrong ones, which then follow the gradient of the mean square difference
between both potentials, backwards through all steps. As only conductances are changed, and each by
a part of itself, the three of very different size are found together.

Method: Doya, Selverston & Rowat (1994), NIPS 6, 566. Cell: Hodgkin & Huxley (1952), J. Physiol.
117, 500.

    python examples/conductances.py [--quick] [--out conductances.png]
"""

import argparse
import time

import numpy as np
import optax
from matplotlib.figure import Figure

import distdyn as dd

BLUE, RED, GREY, GOLD = "#1b4f8f", "#c8432b", "#b4b8bf", "#e0a526"
DT, DURATION, NOISE = 0.05, 30.0, 0.5  # ms, ms, mV
CURRENTS = 2.0, 8.0, 12.0, 25.0  # uA/cm2, one for each sweep
TRUE = {"H.INa.g": 120.0, "H.IK.g": 36.0, "H.IL.g": 0.3}  # mS/cm2
FIRST = {"H.INa.g": 60.0, "H.IK.g": 60.0, "H.IL.g": 0.6}


class Sweeps(dd.Network):
    """The same cell once for each sweep, with a current from 2 ms on."""

    def __init__(self, g):
        na, k = dd.INa_HH1952(g=g["H.INa.g"]), dd.IK_HH1952(g=g["H.IK.g"])
        leak = dd.ILeak(g=g["H.IL.g"], E=-54.387)
        self.H = dd.Population(len(CURRENTS), dd.Conductance(C_m=1.0, INa=na, IK=k, IL=leak))
        self.step = dd.CurrentInput(self.H, dd.Steps([0.0, 2.0], [np.zeros(4), CURRENTS]))
        self.more = dd.CurrentInput(self.H, 0.0)  # what comes with the data: nothing


def main(is_quick, out):
    updates = 100 if is_quick else 300
    record = dd.DSRunner(Sweeps(TRUE), dt=DT, record=dd.every(DT, "H.V"), progress="off")
    V = record.run(DURATION).traces["H.V"].value[None]  # [trial, step, sweep]
    V += np.random.default_rng(1).normal(0, NOISE, V.shape)

    rate = optax.cosine_decay_schedule(0.05, updates)
    trainer = dd.DSTrainer(
        Sweeps(FIRST),
        loss=dd.loss.mse("H.V"),
        optimizer=optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(rate), optax.scale_by_param_block_norm()
        ),
        where=list(TRUE),
        rule=dd.BPTT(chunk=None),  # all of a short trace is kept
        dt=DT,
        progress="off",
    )
    inputs = {"more": np.zeros(V.shape)}
    course, before = [trainer.parameters], trainer.predict(inputs)["H.V"]
    start = time.perf_counter()
    history = trainer.fit([(inputs, V)], updates, call=lambda *_: course.append(trainer.parameters))
    seconds = time.perf_counter() - start
    found = ", ".join(f"{path} {trainer.parameters[path]:.4g} ({g:g})" for path, g in TRUE.items())
    print(f"{found}; root mean square {history.loss[-1] ** 0.5:.2f} mV; {seconds:.0f} s")
    draw(V[0], before[0], trainer.predict(inputs)["H.V"][0], course, history.loss, out)


def draw(V, before, after, course, loss, out):
    """Two sweeps before and after, and how conductances and error became what they are."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.2, 1])[0]
    t = DT * np.arange(1, len(V) + 1)
    sweeps = left.subplots(2, 1, sharex=True)
    for panel, k in zip(sweeps, (1, 3), strict=True):
        panel.plot(t, V[:, k], color=GREY, lw=4, label="recorded")
        panel.plot(t, before[:, k], color=BLUE, lw=1, ls="--", label="before")
        panel.plot(t, after[:, k], color=RED, lw=1.2, label="fitted")
        panel.set(ylabel="V (mV)", title=f"{CURRENTS[k]:g} µA/cm²")
    sweeps[1].set(xlabel="time (ms)", xlim=(0, t[-1]))
    left.legend(handles=sweeps[0].get_lines(), loc="outside lower center", ncols=3, frameon=False)

    above, below = right.subplots(2, 1, sharex=True, height_ratios=[1.5, 1])
    for (path, g), name, color in zip(
        TRUE.items(), ("Na", "K", "L"), (RED, BLUE, GOLD), strict=True
    ):
        ratio = [float(of[path]) / g for of in course]
        above.semilogy(ratio, color=color, label=f"$g_{{{name}}}$")
    above.axhline(1, color=GREY, lw=0.8, zorder=0)
    above.set(ylabel="conductance / true", yticks=[0.5, 1, 2], yticklabels=["0.5", "1", "2"])
    above.minorticks_off()
    above.legend(frameon=False, ncols=3)
    below.semilogy(np.arange(1, len(loss) + 1), np.sqrt(loss), color="#222222")
    below.axhline(NOISE, color=GREY, lw=0.8, zorder=0)
    below.set(xlabel="update", ylabel="error (mV)")
    right.align_ylabels()
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="few updates, in seconds")
    arguments.add_argument("--out", default="conductances.png", help="where the picture goes")
    options = arguments.parse_args()
    main(options.quick, options.out)

"""FORCE: the chaos of a random network is made to sing a sum of sines, and goes on alone.

    tau r' = -r + tanh(r A + z B),    z = r w

The readout z feeds back into the network. While it learns, recursive least squares change w every
two steps so fast that z is near the target from the first moments on; the network then hears what
it shall produce, and w settles. Behind that nothing tells it any more what to do.

Source: Sussillo & Abbott (2009), Neuron 63, 544.

    python examples/force.py [--quick] [--out force.png]
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import distdyn as dd
from distdyn.train.rls import RLS

BLUE, RED, GREY, INK = "#1b4f8f", "#c8432b", "#b4b8bf", "#222222"
TAU, DT = 0.01, 0.001  # s


def sing(n, first, last, end, seed):
    """The target, the output and the rates of some units at t; it learns from first to last, s."""
    random = np.random.default_rng(seed)
    p, gain = 0.1, 1.5  # beyond a gain of 1 the network is chaotic
    A = dd.JITBernoulli(p, dd.Normal(0.0, gain / (p * n) ** 0.5), shape=(n, n), seed=seed).tocsr()
    B = jnp.asarray(random.uniform(-1, 1, (1, n)), A.dtype)
    net = dd.reservoir.EchoState(A, B, leak=DT / TAU)

    t = DT * np.arange(round(end / DT))
    f = 1 / 0.6  # Hz
    target = dd.tasks.sines(t, [0.43, 0.87, 0.14, 0.29], [f, f / 2, 1.5 * f, 2 * f])
    wanted = jnp.asarray(target, A.dtype)[:, None]
    learns = jnp.asarray((t >= first) & (t < last) & (np.arange(len(t)) % 2 == 0))

    def step(state, k):
        r, z, readout = state
        r = net.step(r, z)
        z = r @ readout.weight
        readout = jax.lax.cond(learns[k], lambda: readout.step(r, wanted[k]), lambda: readout)
        return (r, z, readout), (z[0], r[:5])

    start = jnp.asarray(random.normal(0, 0.5, n), A.dtype), jnp.zeros(1), RLS.begin(n, 1, p0=1.0)
    _, (z, rates) = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(len(t))))(start)
    return t, target, np.asarray(z), np.asarray(rates)


def main(is_quick, out):
    n, first, last, end = (300, 1.2, 6.0, 10.8) if is_quick else (1000, 1.2, 25.2, 49.2)
    start = time.perf_counter()
    t, target, z, rates = sing(n, first, last, end, seed=1)
    seconds = time.perf_counter() - start
    error = abs(z - target) / abs(target).max()
    taught, alone = error[(t > (first + last) / 2) & (t < last)].mean(), error[t >= last].mean()
    print(
        f"mean error {taught:.2%} of the amplitude while it learns, {alone:.2%} in "
        f"{end - last:g} s alone; {seconds:.0f} s"
    )
    draw(t, target, z, rates, first, last, out)


def draw(t, target, z, rates, first, last, out):
    """Output and rates of five units: where learning begins, where it ends, and at the end."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(2, 3, sharex="col", sharey="row")
    for (above, below), begin, change, what in (
        (panels[:, 0], 0.0, first, "chaos, then it learns"),
        (panels[:, 1], last - 1.2, last, "it learns, then it is alone"),
        (panels[:, 2], t[-1] - 2.4, None, "alone, to the end"),
    ):
        now = (t >= begin) & (t < begin + 2.4)
        above.plot(t[now], target[now], color=GREY, lw=4, label="target")
        above.plot(t[now], z[now], color=RED, lw=1.2, label="output")
        below.plot(t[now], rates[now] / 2 - np.arange(5), color=BLUE, lw=0.9)
        above.set(title=what, xlim=(begin, begin + 2.4))
        below.set(xlabel="time (s)")
        if change is not None:
            above.axvline(change, color=INK, lw=1, ls="--")
            below.axvline(change, color=INK, lw=1, ls="--")
    panels[0, 0].set(ylabel="z")
    panels[1, 0].set(ylabel="rates of five units", yticks=[])
    lines = panels[0, 0].get_lines()[:2]
    figure.legend(handles=lines, loc="outside lower center", ncols=2, frameon=False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="a small network, in seconds")
    arguments.add_argument("--out", default="force.png", help="where the picture goes")
    options = arguments.parse_args()
    main(options.quick, options.out)

"""Next-generation reservoir computing: the Lorenz system is forecast from a short piece of it.

    x(t + dt) = x(t) + O(t) w,    O(t) = [1, x(t), x(t - dt), and all products of two of these]

The weights w are found at once, by ridge regression over ten time units, of which each value has a
little noise: without it they rely on digits that nobody knows, and forecasts run away. Then the
forecast feeds on itself. Errors of a chaotic system grow by e in each Lyapunov time, so that none
lasts for ever; but where it is wrong it still goes round as the system does.

Source: Gauthier, Bollt, Griffith & Barbosa (2021), Nat. Commun. 12, 5564.

    python examples/forecast.py [--quick] [--out forecast.png]
"""

import argparse
import time

import numpy as np
from matplotlib.figure import Figure

import distdyn as dd

BLUE, RED, GREY = "#1b4f8f", "#c8432b", "#b4b8bf"
DT, LYAPUNOV = 0.025, 1.104  # time units; the second is that in which errors grow by e
TRAINED, NOISE, ALPHA = 10.0, 1e-3, 1e-4  # time units; of each value; of the ridge regression


def forecast(x, steps):
    """As many steps, from what has been seen: x[step, variable]."""
    moments = dd.offline.Moments()
    moments.add(dd.reservoir.nvar(x[:-1], taps=2), np.diff(x, axis=0)[1:])
    readout = dd.offline.ridge(moments, alpha=ALPHA, bias=False)
    past = list(x[-2:])
    for _ in range(steps):
        past.append(past[-1] + readout(dd.reservoir.nvar(past[-2:], taps=2)[0]))
    return np.array(past[2:])


def main(is_quick, out):
    starts, times = (3, 4) if is_quick else (10, 12)
    start = time.perf_counter()
    first, ahead = round(TRAINED / DT), round(times * LYAPUNOV / DT)
    x = dd.tasks.lorenz(25 + 20 * starts, DT)[round(5 / DT) :]  # on the attractor
    spread = np.sqrt(x.var(axis=0).sum())
    noise = np.random.default_rng(1).normal(0, NOISE, x.shape)
    found, wanted = [], []
    for begin in range(0, round(20 * starts / DT), round(20 / DT)):
        now = begin + first
        found.append(forecast((x + noise)[begin:now], ahead))
        wanted.append(x[now : now + ahead])
    distance = np.linalg.norm(np.array(found) - wanted, axis=2) / spread  # [start, step]
    one = np.sqrt((distance[:, : round(LYAPUNOV / DT)] ** 2).mean(axis=1))
    lasts = (distance > 0.4).argmax(axis=1)[(distance > 0.4).any(axis=1)] * DT / LYAPUNOV
    print(
        f"error {np.median(one):.2%} over one Lyapunov time (median of {starts} starts), below "
        f"40 % for {np.median(lasts):.1f} of them; {time.perf_counter() - start:.0f} s"
    )
    draw(x, np.array(found), np.array(wanted), distance, out)


def draw(x, found, wanted, distance, out):
    """A forecast beside what came, the errors of all, and where the second halves of all spend it.

    found, wanted: [start, step, variable]; distance: [start, step], in units of the spread.
    """
    t = DT / LYAPUNOV * np.arange(1, found.shape[1] + 1)
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[2.6, 1])[0]
    *courses, errors = left.subplots(3, 1, sharex=True)
    for panel, name, k in zip(courses, "xz", (0, 2), strict=True):
        panel.plot(t, wanted[0, :, k], color=GREY, lw=4, label="Lorenz system")
        panel.plot(t, found[0, :, k], color=RED, lw=1.2, label="forecast")
        panel.set(ylabel=name)
    errors.fill_between(t, distance.min(axis=0), distance.max(axis=0), color=BLUE, alpha=0.2, lw=0)
    errors.semilogy(t, np.median(distance, axis=0), color=BLUE, lw=1.5)
    errors.set(xlabel="time (Lyapunov times)", ylabel="error / spread", xlim=(0, t[-1]))
    left.align_ylabels()
    late = found[:, len(t) // 2 :]
    for panel, name, k in zip(right.subplots(2, 1), "xz", (0, 2), strict=True):
        panel.hist(x[:, k], bins=30, density=True, color=GREY)
        panel.hist(late[..., k].ravel(), bins=30, density=True, color=RED, histtype="step")
        panel.set(xlabel=name, yticks=[], ylabel="frequency")
    lines = courses[0].get_lines()
    figure.legend(handles=lines, loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="few forecasts, in seconds")
    arguments.add_argument("--out", default="forecast.png", help="where the picture goes")
    options = arguments.parse_args()
    main(options.quick, options.out)

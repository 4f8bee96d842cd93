"""The squid's axon under a steady current: rest, firing, and the unstable cycles between them.

Rest becomes unstable at 9.78 uA/cm2, by a Hopf bifurcation (H) from which unstable cycles go back
to lower currents. They meet the stable ones, on which the axon fires, in a fold (LPC) at 6.26.
Between the two it may rest or fire, and the unstable cycle is the edge: two runs begin on both
sides of it. From 154.5 on nothing but rest is left.

Source: Hodgkin & Huxley (1952), J. Physiol. 117, 500; Rinzel & Miller (1980), Math. Biosci. 49, 27.

    python examples/hodgkin_huxley.py [--quick] [--out hodgkin_huxley.png]
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

import distdyn as dd

AXON = dd.HodgkinHuxley(E_L=-54.401)  # 10.599 mV above rest, to the last digit
CURRENT = 8.5  # of the two runs, uA/cm2
SIDES = {"inside": 0.95, "outside": 1.05}  # how far from rest, in parts of the unstable cycle


class Axons(dd.Network):
    """As many as there are states to begin with."""

    def __init__(self, states):
        columns = dict(zip("Vmhn", np.transpose(states), strict=True))
        self.A = dd.Population(len(states), replace(AXON, I_e=CURRENT), **columns)


def main(is_quick, out):
    start = time.perf_counter()
    an = dd.DSAnalyzer(AXON)
    high = 40.0 if is_quick else 180.0
    rest = an.continuation("I_e", (0.0, high))
    cycles = an.limit_cycles("I_e", (0.0, high), points=rest.points("H"))
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    whole, near, runs = figure.subplots(1, 3)
    for axes in (whole, near):
        rest.plot(ax=axes)
        cycles.plot(ax=axes)
        axes.set(xlabel="I_e (uA/cm2)", ylabel="V (mV)")
    for label in whole.texts:
        label.set_visible(False)
    near.set(xlim=(5.5, 10.5), ylim=(-80, 45))
    fires = draw(runs, rest, cycles)
    figure.savefig(out, dpi=100)
    hopf = min(point.value for point in rest.points("H"))
    fold = min(point.value for point in cycles.points("LPC"))
    print(
        f"rest is stable up to {hopf:.4f}, cycles are there from {fold:.3f}; of two starts at "
        f"{CURRENT} {fires} ends in firing; {time.perf_counter() - start:.0f} s"
    )


def draw(axes, rest, cycles):
    """Two runs, from inside and outside of the unstable cycle; how many fire at their end."""
    (branch,) = rest
    still = np.array([np.interp(CURRENT, branch.values, x) for x in branch.x.T])
    (branch,) = cycles
    is_edge = ~branch.stable & (branch.values < 9.7)
    edge = branch.cycles[np.where(is_edge, abs(branch.values - CURRENT), np.inf).argmin()]
    top = edge.x[edge.x[:, 0].argmax()]
    states = [still + part * (top - still) for part in SIDES.values()]
    runner = dd.DSRunner(Axons(states), dt=0.01, record=[dd.every(0.1, "A.V")])
    V = runner.run(300.0).traces["A.V"]
    for k, name in enumerate(SIDES):
        axes.plot(V.time, V.value[:, k], lw=0.8, label=f"{name} the unstable cycle")
    axes.set(xlabel="time (ms)", ylabel="V (mV)", title=f"I_e = {CURRENT}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, loc="center right", framealpha=1.0)
    return int((V.value[V.time > 250.0].max(axis=0) > 0.0).sum())


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="currents up to 40 alone")
    arguments.add_argument("--out", default="hodgkin_huxley.png")
    given = arguments.parse_args()
    main(given.quick, given.out)

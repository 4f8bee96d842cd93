"""Two cells that begin to fire in two ways, seen in their equations.

A Morris-Lecar cell is at rest, or goes round a cycle. How the one becomes the other as the current
rises decides how slowly it can fire:

    class 1     the cycle is born where two fixed points meet on it (SNIC): from rate 0 on
    class 2     rest becomes unstable by a Hopf bifurcation (H), and the cycle is already there, at
                its own rate: between the fold of cycles (LPC) and H the cell may do either

Source: Rinzel & Ermentrout (1989), in Koch & Segev, Methods in Neuronal Modeling.

    python examples/bifurcations.py [--quick] [--out bifurcations.png]
"""

import argparse
import time
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

import distdyn as dd

CLASSES = {
    "class 1": dd.MorrisLecar(g_Ca=4.0, phi=1 / 15, V3=12.0, V4=17.4),
    "class 2": dd.MorrisLecar(),
}
CURRENTS = {"class 1": (20.0, 60.0), "class 2": (70.0, 120.0)}  # uA/cm2, that are shown
BOX = {"V": (-80.0, 60.0), "w": (0.0, 1.0)}


def main(is_quick, out):
    start = time.perf_counter()
    figure = Figure(figsize=(10, 6), layout="constrained")
    rows = figure.subplots(2, 3)
    said = []
    for row, (name, model) in zip(rows, CLASSES.items(), strict=True):
        an = dd.DSAnalyzer(model)
        rest = an.continuation("I_e", (0.0, 250.0), box=BOX)
        cycles = an.limit_cycles("I_e", (0.0, 250.0), points=rest.points("H"))
        draw(row, name, model, rest, cycles, 51 if is_quick else 201)
        kinds = "SNIC" if name == "class 1" else "LPC"
        point = min(cycles.points(kinds), key=lambda point: point.value)
        begin = f"from {point.value:.2f} ({kinds}), at {1e3 / point.period:.1f} Hz"
        said.append(f"{name} fires {begin}")
    figure.savefig(out, dpi=100)
    print(f"{'; '.join(said)}; {time.perf_counter() - start:.0f} s")


def draw(row, name, model, rest, cycles, resolution):
    """The plane where the cell begins to fire, what V does over the current, and how often."""
    plane, diagram, rates = row
    low, high = CURRENTS[name]
    begin = min(point.value for point in cycles.points())
    near = dd.DSAnalyzer(replace(model, I_e=round(begin) + (-2.0 if name == "class 1" else 2.0)))
    near.phase_plane(box=BOX, resolution=resolution).plot(ax=plane)
    plane.set_title(f"{name}, I_e = {near.field.parameters['I_e']:g}")
    plane.get_legend().remove()
    rest.plot(ax=diagram)
    cycles.plot(ax=diagram)
    diagram.set(xlim=(low, high), ylim=(-65, 50), xlabel="I_e (uA/cm2)", ylabel="V (mV)")
    for branch in cycles:
        rate = 1e3 / branch.periods
        rates.plot(branch.values, rate, color="#b4b8bf", lw=1, ls="--")
        rates.plot(branch.values, np.where(branch.stable, rate, np.nan), color="#1b4f8f", lw=2)
    rates.set(xlim=(low, high), ylim=(0, 20), xlabel="I_e (uA/cm2)", ylabel="rate (Hz)")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="a coarser plane")
    arguments.add_argument("--out", default="bifurcations.png")
    given = arguments.parse_args()
    main(given.quick, given.out)

"""A burst, taken apart: what is fast over what is slow.

A Hindmarsh-Rose cell fires bursts. Its adaptation z is slow: to V and y it is a parameter. While
the cell fires, z rises along the stable cycles of these two, until they end at a homoclinic orbit
(HOM); while it rests, z falls along the stable equilibria, until they end at a fold (LP). Between
the two values of z the fast part can do either, and a separatrix divides what begins where.

Source: Rinzel (1987), in Mathematical Topics in Population Biology, Lect. Notes Biomath. 71, 267.

    python examples/bursting.py [--quick] [--out bursting.png]
"""

import argparse
import time

from matplotlib.figure import Figure

import distdyn as dd

CELL = dd.HindmarshRose(I_e=2.0)
FAST = {"V": (-2.5, 2.5), "y": (-12.0, 2.0)}
SLOW = {"z": (1.5, 2.5)}
BETWEEN = 1.95  # a value of z at which the fast part can rest or fire


def main(is_quick, out):
    start = time.perf_counter()
    system = dd.FastSlow2D(CELL, FAST, SLOW, slices=2 if is_quick else 5)
    run = system.trajectory(800.0 if is_quick else 2000.0, transient=1000.0, points=20001)
    fast = dd.DSAnalyzer(CELL).slice(("V", "y"), fixed={"z": BETWEEN})
    basins = fast.basins(FAST, resolution=41 if is_quick else 201)
    draw(system, run, basins, out)
    fold = min(system.diagram.equilibria.points("LP"), key=lambda point: point.value)
    end = min(system.diagram.cycles.points("HOM"), key=lambda point: point.value)
    rests = [k for k, attractor in enumerate(basins.attractors) if attractor.period is None]
    print(
        f"rest ends at z = {fold.value:.4f} (LP), firing at z = {end.value:.4f} (HOM); at z = "
        f"{BETWEEN} {basins.fractions[rests].sum():.0%} of the starts rest; "
        f"{time.perf_counter() - start:.0f} s"
    )


def draw(system, run, basins, out):
    """V over time, the burst over the diagram of the fast part, and basins between."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    course, diagram, plane = figure.subplots(1, 3, width_ratios=(1.2, 1.0, 1.0))
    course.plot(run.time, run.state["V"], color="#2a9d5c", lw=0.7)
    course.plot(run.time, run.state["z"], color="#222222", lw=1.2)
    course.set(xlabel="time", ylabel="V, and z (black)", title="the whole")
    system.plot(ax=diagram, trajectories=[run])
    diagram.set(title="the fast part over z", ylim=(-2.3, 2.3))
    basins.plot(ax=plane)
    plane.set(title=f"rest (blue) or fire (red) at z = {BETWEEN}")
    plane.get_legend().remove()
    course.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="shorter, and a coarser map")
    arguments.add_argument("--out", default="bursting.png")
    given = arguments.parse_args()
    main(given.quick, given.out)

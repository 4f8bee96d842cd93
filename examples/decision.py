"""A decision between two choices, in its phase plane and over the strength of the stimulus.

Two populations excite themselves and inhibit each other; S1 and S2 say how active they are. Without
a stimulus they may do nothing or remember either choice. With one, rest turns into a saddle where
branches cross (BP): one of the two choices has to be made, and the stable manifold of the saddle,
the separatrix, says from where which one is. Evidence for one side moves it, up to a fold (LP)
from which on only that choice is left.

Source: Wong & Wang (2006), J. Neurosci. 26, 1314.

    python examples/decision.py [--quick] [--out decision.png]
"""

import argparse
import time

from matplotlib.figure import Figure

import distdyn as dd

BOX = {"S1": (0.0, 0.8), "S2": (0.0, 0.8)}
STIMULI = {"no stimulus": 0.0, "stimulus of 30 Hz": 30.0}


def main(is_quick, out):
    start = time.perf_counter()
    figure = Figure(figsize=(9, 7), layout="constrained")
    planes, diagrams = figure.subplots(2, 2)
    counts = [
        draw(axes, name, stimulus, 41 if is_quick else 151)
        for axes, (name, stimulus) in zip(planes, STIMULI.items(), strict=True)
    ]
    free = follow(diagrams[0], "mu_0", (0.0, 80.0), "S1")
    biased = follow(diagrams[1], "coherence", (-100.0, 100.0), "S1", mu_0=30.0)
    diagrams[0].set(xlabel="stimulus mu_0 (Hz)")
    diagrams[1].set(xlabel="coherence (%), at 30 Hz")
    figure.savefig(out, dpi=90)
    crossing = min(point.value for point in free.points("BP"))
    fold = max(point.value for point in biased.points("LP"))
    print(
        f"{counts[0]} stable states without a stimulus, {counts[1]} with one; rest ends at "
        f"{crossing:.3f} Hz; one choice is left beyond a coherence of {fold:.2f} %; "
        f"{time.perf_counter() - start:.0f} s"
    )


def draw(axes, name, stimulus, resolution):
    """The plane of the two populations; how many stable states it has."""
    plane = dd.DSAnalyzer(dd.WongWang(mu_0=stimulus)).phase_plane(
        "S1", "S2", box=BOX, resolution=resolution
    )
    plane.plot(ax=axes)
    axes.set_title(name)
    axes.get_legend().remove()
    return sum(label.startswith("stable") for label in plane.fixed_points.stability)


def follow(axes, parameter, interval, variable, **parameters):
    """The states over a parameter, without noise: both of its currents are held at 0."""
    an = dd.DSAnalyzer(dd.WongWang(**parameters)).slice(("S1", "S2"))
    branches = an.continuation(parameter, interval, box=BOX)
    branches.plot(ax=axes, variable=variable)
    return branches


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="coarser planes")
    arguments.add_argument("--out", default="decision.png")
    given = arguments.parse_args()
    main(given.quick, given.out)

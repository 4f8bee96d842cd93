"""A ring of memories: a bump of activity that may stay anywhere, at rest wherever it is.

Units on a ring excite near ones, and what all do together divides what each receives:

    u' = -u + J r,   r_i = u_i^2 / (1 + k sum u^2),   J a Gaussian of width a

Up to the strength of inhibition k_c a bump stays (Wu, Hamaguchi & Amari, 2008, Neural Comput. 20,
994). It has one direction in which nothing moves, to the side, and decays along all others: by
-1/2, -3/4, -7/8, ... where its shape changes (Fung, Wong & Wu, 2010, Neural Comput. 22, 752), and
by -sqrt(1 - k / k_c) where its height does: at k_c two bumps meet, and there are none beyond. The
searches do not know of a ring: it is found, from noisy states, as one.

    python examples/ring.py [--quick] [--out ring.png]
"""

import argparse
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import distdyn as dd

BLUE, GREY = "#1b4f8f", "#b4b8bf"
A = 0.5  # rad
J_0 = 4.0


class Unit(dd.ODE):
    """u' = -u + I, of which others see u^2. Time is in units of the time constant."""

    class State(NamedTuple):
        u: jax.Array

    def init(self, id, key):
        return self.State(u=jnp.zeros(()))

    def derivative(self, t, s, drive):
        return self.State(u=drive.current - s.u)

    def emit(self, s):
        return jnp.square(s.u)


class Ring(dd.Network):
    """n units at equal angles. All have one divisor, so that it is as if rates were divided."""

    def __init__(self, n, k):
        ring, square = dd.Lattice(2 * np.pi / n, periodic=True), dd.Additive(most=1e6)
        self.U = dd.Population(n, Unit(), positions=ring)
        everyone = dd.DistanceDependent(np.ones_like)
        J = dd.ByDistance(dd.profiles.Gaussian(A, peak=J_0 / (np.sqrt(2 * np.pi) * A)))
        self.exc = dd.Projection(self.U, self.U, everyone, square, weight=J, delay=0.0)
        self.pool = dd.Projection(
            self.U, self.U, dd.AllToAll(), square, dd.Divisive(), weight=k, delay=0.0
        )


def critical(n):
    """k_c."""
    return n / (2 * np.pi) * J_0**2 / (8 * np.sqrt(2 * np.pi) * A)


def bumps(n, k, count):
    """States like bumps, of any height and place, with noise."""
    random = np.random.default_rng(1)
    x = (np.arange(n) + 0.5) * 2 * np.pi / n
    away = np.angle(np.exp(1j * (x - random.uniform(0, 2 * np.pi, (count, 1)))))
    height = (1 + np.sqrt(1 - k / critical(n))) * J_0 / (4 * np.sqrt(np.pi) * A * k)
    u = random.uniform(0.9, 1.3, (count, 1)) * np.exp(-(away**2) / (4 * A**2))
    return height * (u + 0.05 * random.normal(size=(count, n)))


def main(is_quick, out):
    start = time.perf_counter()
    n, count, parts = (320, 48, [0.5]) if is_quick else (512, 48, np.arange(0.1, 1.0, 0.1))
    an = dd.DSAnalyzer(Ring(n, 0.5 * critical(n)))
    points = an.slow_points(bumps(n, 0.5 * critical(n), count))
    spectra = []
    for part in parts:
        k = part * critical(n)
        found = an.slow_points(bumps(n, k, 1), parameters={"pool.weight": k})
        spectra.append(np.real(found.eigenvalues[0, :6]))
    (ring,) = points.manifolds
    known = np.sort([0, -1 / 2, -3 / 4, -7 / 8, -15 / 16, -np.sqrt(0.5)])[::-1]
    print(
        f"one {ring.kind} of {len(ring.points)} points; the largest eigenvalue is "
        f"{np.abs(points.eigenvalues[:, 0]).max():.0e}, the next five are those of theory within "
        f"{np.abs(np.real(points.eigenvalues[0, :6]) - known).max():.0e}; "
        f"{time.perf_counter() - start:.0f} s"
    )
    draw(points, parts, np.array(spectra), out)


def draw(points, parts, spectra, out):
    """Some of the bumps; all as points among the states; how a bump decays, over inhibition."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    profiles, plane, spectrum = figure.subplots(1, 3)
    n = points.x.shape[1]
    x = (np.arange(n) + 0.5) * 360 / n - 180
    (ring,) = points.manifolds
    profiles.plot(x, points.states[0], color=GREY, lw=0.7, label="a state")
    for k, u in enumerate(points.x[ring.points[::6]]):
        profiles.plot(x, u, color=BLUE, lw=1.2, label=None if k else "fixed points")
    profiles.set(xlabel="angle (degrees)", ylabel="u", xticks=[-180, -90, 0, 90, 180])
    profiles.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    points.plot(ax=plane)
    fine = np.linspace(0, 1, 200)
    for m in range(5):
        spectrum.axhline(2.0**-m - 1, color=GREY, lw=1)
    spectrum.plot(fine, -np.sqrt(1 - fine), color=GREY, lw=1, label="theory")
    spectrum.plot(parts, spectra, "o", color=BLUE, markersize=4)
    spectrum.plot([], [], "o", color=BLUE, markersize=4, label="found")
    spectrum.set(xlabel="k / k_c", ylabel="eigenvalue", xlim=(0, 1), ylim=(-1.02, 0.05))
    spectrum.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    for axes in (profiles, spectrum):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--quick", action="store_true", help="one strength of inhibition")
    arguments.add_argument("--out", default="ring.png", help="where the picture goes")
    given = arguments.parse_args()
    main(given.quick, given.out)

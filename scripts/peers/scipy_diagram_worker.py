"""The diagram of a cell with scipy, as one writes it for a paper: equilibria on a grid, simulation.

Equilibria by `fsolve` from those of the last current, eigenvalues of the Jacobian by differences,
Hopf points by `brentq` on the real part of a complex pair. Stable cycles by `solve_ivp` from the
last one, with the current going up and down; where one is no longer there, by bisection. What does
not attract cannot be found.
"""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, fsolve

from peers.answering import answer, peak_rss
from peers.diagram import CELLS, Cell

HALVES = 10  # of the step of the grid, towards the end of the cycles


class Diagram:
    """What scipy finds of a cell."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.span = np.array([high - low for low, high in cell.box])

    def F(self, x: Any, current: float) -> np.ndarray:
        return np.array([f(np, x[0], x[1], current) for f in self.cell.derivatives])

    def rest(self, current: float, near: np.ndarray) -> np.ndarray:
        found, _, status, _ = fsolve(self.F, near, (current,), full_output=True, xtol=1e-12)
        return found if status == 1 else np.full(2, np.nan)

    def leading(self, x: np.ndarray, current: float) -> complex:
        """The eigenvalue with the largest real part."""
        h = 1e-6 * self.span
        columns = [
            (self.F(x + d, current) - self.F(x - d, current)) / (2.0 * d.sum()) for d in np.diag(h)
        ]
        eigenvalues = np.linalg.eigvals(np.stack(columns, axis=1))
        return eigenvalues[np.argmax(eigenvalues.real)]

    def equilibria(self, currents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points and leading eigenvalues, one for each current."""
        x = self.rest(currents[0], np.array([self.cell.box[0][0], self.cell.box[1][0]]))
        points, leading = [], []
        for current in currents:
            x = self.rest(current, x)
            points.append(x)
            leading.append(self.leading(x, current))
        return np.array(points), np.array(leading)

    def hopf(self, currents: np.ndarray, points: np.ndarray, leading: np.ndarray) -> list[float]:
        found = []
        for k in np.flatnonzero(np.diff(leading.real > 0)):
            if np.all(leading[k : k + 2].imag == 0):
                continue

            def growth(current: float, near: np.ndarray = points[k]) -> float:
                return self.leading(self.rest(current, near), current).real

            found.append(brentq(growth, currents[k], currents[k + 1], xtol=1e-12))
        return found

    def settled(self, current: float, x: np.ndarray) -> tuple[bool, np.ndarray]:
        """Whether it goes on round a cycle, and where it is then."""
        T = self.cell.settles

        def flow(t: float, x: np.ndarray) -> np.ndarray:
            return self.F(x, current)

        late = np.linspace(0.8 * T, T, 400)
        run = solve_ivp(flow, (0.0, T), x, "LSODA", late, rtol=1e-7, atol=1e-9)
        return np.ptp(run.y[0]) > 0.02 * self.span[0], run.y[:, -1]

    def cycles(self, currents: np.ndarray, x: np.ndarray) -> tuple[int, float]:
        """How many have one, and where it ends, in the order of the currents."""
        count, last = 0, currents[0]
        for current in currents:
            is_cycle, after = self.settled(current, x)
            if not is_cycle:
                return count, self.end(last, current, x)
            count, last, x = count + 1, current, after
        return count, np.nan

    def end(self, there: float, gone: float, x: np.ndarray) -> float:
        for _ in range(HALVES):
            middle = 0.5 * (there + gone)
            is_cycle, after = self.settled(middle, x)
            there, gone, x = (middle, gone, after) if is_cycle else (there, middle, x)
        return 0.5 * (there + gone)


def prepare(request: dict) -> Iterator[dict]:
    cell = CELLS[request["cell"]]
    low, high = cell.currents
    currents = np.linspace(low, high, round((high - low) / cell.step) + 1)
    yield {"seconds": 0.0}
    while True:
        began, of_cores = time.perf_counter(), time.process_time()
        of = Diagram(cell)
        points, leading = of.equilibria(currents)
        hopf = of.hopf(currents, points, leading)
        middle = currents.size // 2
        _, start = of.settled(currents[middle], points[middle] + 0.1 * of.span)
        down, first = of.cycles(currents[middle::-1], start)
        up, last = of.cycles(currents[middle + 1 :], start)
        yield {
            "seconds": time.perf_counter() - began,
            "core_seconds": time.process_time() - of_cores,
            "hopf": hopf,
            "folds": sorted(x for x in (first, last) if np.isfinite(x)),
            "stable_cycles": down + up,
            "unstable_cycles": 0,
            "peak": peak_rss(),
        }


answer(prepare)

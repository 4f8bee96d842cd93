"""BrainPy draws the diagram of a cell: `Bifurcation2D`, and its cycles by simulation.

A Hopf point is where the real part of the complex pair changes its sign between two values of the
current; BrainPy itself gives the points of its grid with their Jacobians. Started in its own
Python.
"""

import contextlib
import io
import time
from collections.abc import Iterator

import brainpy as bp
import brainpy.math as bm
import numpy as np

from peers.answering import answer, peak_rss
from peers.diagram import CELLS, Cell

STEP = 0.05  # ms, of its simulations


def analysis(cell: Cell) -> "bp.analysis.Bifurcation2D":
    of_V, of_w = cell.derivatives

    @bp.odeint
    def dV(V, t, w, current):
        return of_V(bm, V, w, current)

    @bp.odeint
    def dw(w, t, V, current):
        return of_w(bm, V, w, current)

    return bp.analysis.Bifurcation2D(
        model=[dV, dw],
        target_vars={"V": list(cell.box[0]), "w": list(cell.box[1])},
        target_pars={"current": list(cell.currents)},
        resolutions={"current": cell.step},
    )


def hopf(current: np.ndarray, jacobians: np.ndarray) -> list[float]:
    """Between which values of the grid; the middle is what one would say."""
    order = np.argsort(current)
    eigenvalues = np.linalg.eigvals(jacobians[order])
    leading = np.take_along_axis(
        eigenvalues, np.argmax(eigenvalues.real, axis=1)[:, None], axis=1
    )[:, 0]  # fmt: skip
    k = np.flatnonzero(np.diff(leading.real > 0))
    return list(0.5 * (current[order][k] + current[order][k + 1]))


def draw(cell: Cell, an: "bp.analysis.Bifurcation2D") -> dict:
    _, parameters, jacobians = an.plot_bifurcation(with_plot=False, with_return=True)
    _, (cycles,) = an.plot_limit_cycle_by_sim(
        duration=cell.settles, dt=STEP, with_plot=False, with_return=True,
        offset=0.1 * (cell.box[1][1] - cell.box[1][0]),
    )  # fmt: skip
    return {
        "hopf": hopf(parameters[:, 0], jacobians),
        "folds": [],
        "stable_cycles": int(np.unique(cycles).size),
        "unstable_cycles": 0,
        "cycles_between": [float(cycles.min()), float(cycles.max())] if cycles.size else None,
    }


def prepare(request: dict) -> Iterator[dict]:
    bm.set_platform("cpu")
    bm.enable_x64()
    cell = CELLS[request["cell"]]
    yield {"seconds": 0.0}
    while True:
        with contextlib.redirect_stdout(io.StringIO()):  # it says what it does
            began, of_cores = time.perf_counter(), time.process_time()
            an = analysis(cell)
            found = draw(cell, an)
            seconds, core_seconds = time.perf_counter() - began, time.process_time() - of_cores
            again, again_of_cores = time.perf_counter(), time.process_time()
            draw(cell, an)
        yield {
            "seconds": seconds,
            "core_seconds": core_seconds,
            "again": time.perf_counter() - again,
            "again_core_seconds": time.process_time() - again_of_cores,
            **found,
            "peak": peak_rss(),
        }


answer(prepare)

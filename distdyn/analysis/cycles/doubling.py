"""From one branch of cycles to that of the doubled ones, at a period doubling.

    u(s) = u_0(2 s) + a v(2 s),   v(s + 1) = -v(s)

where v solves the linearised equations. Seen as cycles of twice the period, both branches cross
there; the doubled one turns back in the parameter, to the same cycles half a turn later, which is
where it ends, as it does where it comes back to a period doubling of its own.
"""

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float64
from scipy.sparse.linalg import splu

from distdyn.analysis.cycles.branch import Cycle, Followed, Problem, Special, follow
from distdyn.analysis.cycles.collocation import Linear, OnMesh, Orbit, extents

_AMPLITUDE = 0.02  # of the first doubled cycle, relative to the extents
_SAME = 1e-2  # difference of the two turns, relative to the extents, at which they are one


def doubled(problem: Problem, cycle: Cycle) -> Followed:
    """The branch of doubled cycles that begins at a period doubling.

    Args:
        problem: of which cycles.
        cycle: at the period doubling.

    Raises:
        numpy.linalg.LinAlgError: there is no such cycle near.
    """
    orbit = cycle.orbit
    equations = OnMesh(problem.field, orbit, problem.width)
    v = _sign_changing(equations.linear(equations.unknowns(orbit)))
    v *= _AMPLITUDE / np.max(np.abs(v) / extents(orbit))
    mesh = np.concatenate([orbit.mesh, 1.0 + orbit.mesh[1:]]) / 2.0
    along = Orbit(mesh, np.concatenate([v, -v]), 0.0, 0.0)
    twice = np.concatenate([orbit.nodes, orbit.nodes])
    start = Orbit(mesh, twice + along.nodes, 2.0 * orbit.period, orbit.value)
    found = follow(problem, start, along)
    begin = Special("PD", orbit.value, orbit.nodes[0], 2.0 * orbit.period, -1, cycle)
    specials = [begin]
    for special in found.specials:
        if special.kind in ("LPC", "BPC") and special.cycle is not None:
            if _difference(special.cycle.orbit) < _SAME:
                specials.append(special._replace(kind="PD"))
                cycles = found.cycles[: special.after + 1]
                return Followed(cycles, specials, ("PD", "PD"))
        specials.append(special)
    return Followed(found.cycles, specials, ("PD", found.ends[1]))


def _sign_changing(linear: Linear) -> Float64[np.ndarray, "Nm n"]:
    """What changes its sign in a turn: x_(i+1) = P_i x_i, x_N = -x_0, by inverse iteration."""
    n_intervals, _, n = linear.by_state.shape
    ahead = sparse.eye(n_intervals, k=1) + sparse.coo_matrix(
        ([-1.0], ([n_intervals - 1], [0])), shape=(n_intervals, n_intervals)
    )
    system = sparse.kron(ahead, np.eye(n)) - sparse.block_diag(list(linear.transfer))
    factors = splu(sparse.csc_matrix(system))
    x = np.random.default_rng(0).normal(size=n_intervals * n)
    for _ in range(4):
        x = factors.solve(factors.solve(x, "T"))
        x /= np.linalg.norm(x)
    x = x.reshape(n_intervals, n)
    rest = -np.einsum("iyb,ib->iy", linear.by_state, x)
    return np.concatenate([x, rest[:, :-n]], axis=1).reshape(-1, n)


def _difference(orbit: Orbit) -> float:
    """How much the two halves of an orbit differ, relative to its extents."""
    s = np.linspace(0.0, 0.5, 200)
    return float(np.max(np.abs(orbit.at(s + 0.5) - orbit.at(s)) / extents(orbit)))

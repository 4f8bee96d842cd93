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
from distdyn.analysis.cycles.collocation import Linear, Orbit, adapted_to, extents
from distdyn.analysis.cycles.mesh import node_times

_AMPLITUDE = 0.02  # of the first doubled cycle, relative to the extents


def doubled(problem: Problem, cycle: Cycle) -> Followed:
    """The branch of doubled cycles that begins at a period doubling.

    Args:
        problem: of which cycles.
        cycle: at the period doubling.

    Raises:
        numpy.linalg.LinAlgError: there is no such cycle near.
    """
    orbit = cycle.orbit
    equations = problem.equations(orbit)
    v = _sign_changing(equations.linear(equations.unknowns(orbit)))
    v *= _AMPLITUDE / np.max(np.abs(v) / extents(orbit))
    mesh = np.concatenate([orbit.mesh, 1.0 + orbit.mesh[1:]]) / 2.0
    along = Orbit(mesh, np.concatenate([v, -v]), 0.0, 0.0)
    twice = np.concatenate([orbit.nodes, orbit.nodes])
    start = Orbit(mesh, twice + along.nodes, 2.0 * orbit.period, orbit.value)
    cycles, specials, ends = follow(problem, start, along)
    begin = Special("PD", orbit.value, orbit.nodes[0], 2.0 * orbit.period, -1, cycle)
    differences = [_difference(c.orbit) for c in cycles]
    for k in range(len(cycles) - 1):
        if np.sum(differences[k] * differences[k + 1]) < 0.0:
            end = _single(problem, cycles[k].orbit, cycles[k + 1].orbit, k)
            kept = [special for special in specials if special.after < k]
            return Followed(cycles[: k + 1], [begin, *kept, end], ("PD", "PD"))
    return Followed(cycles, [begin, *specials], ("PD", ends[1]))


def _single(problem: Problem, before: Orbit, after: Orbit, k: int) -> Special:
    """The period doubling between two doubled cycles, where a single one has the multiplier -1."""
    mesh = np.linspace(0.0, 1.0, problem.n_intervals + 1)
    s = node_times(mesh) / 2.0
    mean = (before.at(s) + before.at(s + 0.5)) / 2.0
    guess = adapted_to(Orbit(mesh, mean, before.period / 2.0, before.value), problem.n_intervals)
    near, cycle = before.value, None
    value = after.value if after.value != near else near + 1e-6 * problem.width
    past = None
    for _ in range(20):  # secant method for a real multiplier + 1
        found = problem.at_value(guess._replace(value=near))
        if found is None:
            break
        guess, cycle = found.orbit, found
        mu = np.real(found.multipliers)
        miss = float(mu[np.argmin(np.abs(found.multipliers + 1.0))]) + 1.0
        step = (value - near) if past is None else -miss * (near - past[0]) / (miss - past[1])
        if not abs(step) > 1e-12 * problem.width:
            break
        past, near = (near, miss), near + step
    period = before.period
    return Special("PD", near, guess.nodes[0], period, k, cycle)


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


def _difference(orbit: Orbit) -> Float64[np.ndarray, "k n"]:
    """How the second half of an orbit differs from the first."""
    s = np.linspace(0.0, 0.5, 200)
    return (orbit.at(s + 0.5) - orbit.at(s)) / extents(orbit)

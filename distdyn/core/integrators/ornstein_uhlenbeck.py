"""Linear equations with additive noise, exactly: Ornstein-Uhlenbeck processes of several variables.

    dy = (A y + b + r I) dt + G dW   =>   y(t + h) = (as without noise) + L z,   z normal,
    L L' = Q = integral_0^h exp(A s) G G' exp(A' s) ds

Whatever the step, the states on the grid have the distribution that the equations give. L is a
Cholesky factor, computed once per set of parameters; a second one has V held.

Source: Gillespie (1996), Phys. Rev. E 54, 2084; of Q by one matrix exponential, Van Loan (1978),
IEEE Trans. Autom. Control 23, 395.
"""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.flow import Flow, Point, dependence
from distdyn.core.integrators.exact import Exact
from distdyn.core.integrators.linear import closure
from distdyn.core.integrators.stochastic import ITO, STRATONOVICH, Stochastic, stream_of
from distdyn.core.system import Tick
from distdyn.ops.normal import normal_pair


class ExactOU(Stochastic):
    """Exact integration of a linear, time-invariant flow with additive noise.

    In Ito's and Stratonovich's calculus alike, which are the same for additive noise.
    """

    calculus: ClassVar = (ITO, STRATONOVICH)

    def prepare(self, flow: Flow, dt: float) -> Any:
        leaves, structure = jax.tree.flatten(flow.example())

        def function(values: Any) -> Any:
            y = jax.tree.unflatten(structure, list(values))
            return jnp.stack(jax.tree.leaves(flow.derivative(0.0, y)))

        A = jax.jacfwd(function)(jnp.stack(leaves))
        G = jnp.stack([jnp.asarray(0.0 if g is None else g, A.dtype) for g in _strengths(flow)])
        rows, V = _reached(flow), flow.membrane()
        free = _factor(A, G, dt, rows)
        if V is None:
            return Exact().prepare(flow, dt), free, free
        hold = jnp.ones(len(leaves)).at[V].set(0.0)
        fixed = _factor(A * hold[:, None] * hold, G * hold, dt, rows)
        return Exact().prepare(flow, dt), free, fixed

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        drift, free, fixed = prepared
        x, structure = jax.tree.flatten(Exact().advance(flow, drift, y, current, held, tick))
        rows = _reached(flow)
        z = []
        for row in rows:
            stream = stream_of(flow, tick, x[row].shape)
            z.append(normal_pair(stream, tick.step, row, x[row].dtype)[0])
        for i, row in enumerate(rows):
            noise = _combination(free[i], z)
            if held is not None:
                noise = jnp.where(held, _combination(fixed[i], z), noise)
            x[row] = x[row] + jnp.asarray(noise, x[row].dtype)
        return jax.tree.unflatten(structure, x)


def _combination(row: tuple[Any, ...], z: list[Any]) -> Any:
    total = row[0] * z[0]
    for weight, value in zip(row[1:], z[1:], strict=False):
        total = total + weight * value
    return total


def _strengths(flow: Flow) -> list[Any]:
    return flow.diffusion(0.0, flow.example())


def _reached(flow: Flow) -> list[int]:
    """The leaves that noise reaches within a step, in any way."""
    leaves, structure = jax.tree.flatten(flow.example())

    def function(*values: Any) -> Any:
        return jax.tree.leaves(flow.derivative(0.0, jax.tree.unflatten(structure, list(values))))

    is_noisy = np.array([g is not None for g in _strengths(flow)])
    return np.flatnonzero(closure(dependence(function, *leaves)) @ is_noisy).tolist()


def _factor(A: Any, G: Any, dt: float, rows: list[int]) -> tuple[tuple[Any, ...], ...]:
    """L, of the rows that noise reaches."""
    n = A.shape[0]
    block = jnp.block([[-A, jnp.diag(G * G)], [jnp.zeros((n, n)), A.T]])
    exponential = jax.scipy.linalg.expm(block * dt)
    Q = exponential[n:, n:].T @ exponential[:n, n:]
    L: list[list[Any]] = []
    for i, row in enumerate(rows):
        L.append([])
        for j in range(i + 1):
            rest = Q[row, rows[j]]
            for k in range(j):
                rest = rest - L[i][k] * L[j][k]
            is_positive = rest > 0 if i == j else L[j][j] > 0
            safe = jnp.where(is_positive, rest if i == j else L[j][j], 1.0)
            value = jnp.sqrt(safe) if i == j else rest / safe
            L[i].append(jnp.where(is_positive, value, 0.0))  # where there is no noise at all
    return tuple(tuple(row) for row in L)


def is_additive(flow: Flow) -> bool:
    """Whether the noise depends on neither the state nor the time nor the input."""
    leaves, structure = jax.tree.flatten(flow.example())

    def strengths(t: Any, current: Any, *values: Any) -> list[Any]:
        y = jax.tree.unflatten(structure, list(values))
        return [jnp.asarray(g, float) for g in flow.diffusion(t, y, current) if g is not None]

    zero = jnp.zeros(())
    return not dependence(strengths, zero, zero, *leaves).any()

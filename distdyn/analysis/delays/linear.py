"""The linear equation of small differences from an equilibrium of a system with delays.

    y'(t) = A_0 y(t) + sum_k A_k y(t - tau_k)
    Delta(lambda) = lambda - A_0 - sum_k A_k exp(-lambda tau_k),     det Delta(lambda) = 0

A delay that depends on the state counts as it is at the equilibrium: where nothing changes, reading
a little earlier changes nothing.

Source: Hartung, Krisztin, Walther & Wu (2006), Handbook of Differential Equations: ODEs, vol. 3,
ch. 5, for delays that depend on the state.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex128, Float64

from distdyn.analysis.field import Flat
from distdyn.errors import AnalysisError


@dataclass(frozen=True, eq=False)
class Linear:
    """A_0, and the matrices of the delays.

    Attributes:
        now: A_0.
        past: A_k.
        delays: tau_k, ms, all different.
    """

    now: Float64[np.ndarray, "n n"]
    past: Float64[np.ndarray, "k n n"]
    delays: Float64[np.ndarray, "k"]

    @property
    def n(self) -> int:
        """How many variables there are."""
        return len(self.now)

    @property
    def norm(self) -> float:
        """The sum of the norms of all matrices."""
        return float(sum(np.linalg.norm(A, 2) for A in (self.now, *self.past)))

    def delta(self, z: Any) -> Complex128[np.ndarray, "... n n"]:
        """Delta(lambda) at some lambda."""
        z = np.asarray(z, complex)
        weights = np.exp(-z[..., None] * self.delays)
        return z[..., None, None] * np.eye(self.n) - self.now - _weighted(weights, self.past)

    def slope(self, z: Any) -> Complex128[np.ndarray, "... n n"]:
        """The derivative of Delta by lambda."""
        weights = self.delays * np.exp(-np.asarray(z, complex)[..., None] * self.delays)
        return np.eye(self.n) + _weighted(weights, self.past)

    def largest(self, real: float) -> float:
        """What |lambda| cannot exceed for a root whose real part is at least this."""
        sizes = [np.linalg.norm(A, 2) for A in self.past]
        return float(np.linalg.norm(self.now, 2) + np.dot(sizes, np.exp(-real * self.delays)))


def linear_at(flat: Flat, x: Float64[np.ndarray, "n"], p: Float64[np.ndarray, "p"]) -> Linear:
    """The linear equation at a state, which should be an equilibrium.

    Raises:
        AnalysisError: a delay is negative or not finite.
    """
    given = dict(zip(flat.parameters, p, strict=True))
    with jax.enable_x64(True):
        if flat.about.delayed is None:
            now = np.asarray(jax.jacfwd(flat.f)(jnp.asarray(x), jnp.asarray(p)))
            return Linear(now, np.zeros((0, flat.n, flat.n)), np.zeros(0))
        state = {name: jnp.asarray(value) for name, value in flat.unflatten(x).items()}
        read = [
            (name, np.asarray(delay, np.float64))
            for name, delay in flat.about.delayed(state, given, None)[1]
        ]
        values = [state[name] + 0.0 * delay for name, delay in read]

        def rates(x: Any, values: Any) -> Any:
            assert flat.about.delayed is not None
            found, _ = flat.about.delayed(flat.unflatten(x), given, values)
            return jnp.concatenate([jnp.reshape(found[name], -1) for name in flat.shapes])

        now, slopes = jax.jacfwd(rates, argnums=(0, 1))(jnp.asarray(x), values)
    columns = flat.unflatten(np.arange(flat.n))
    past: dict[float, np.ndarray] = {}
    for (name, delay), slope in zip(read, slopes, strict=True):
        _check(flat, name, delay)
        shape = np.shape(slope)[1:]
        entries = np.broadcast_to(columns[name], shape).ravel()
        for entry, tau, column in zip(
            entries, np.broadcast_to(delay, shape).ravel(),
            np.asarray(slope).reshape(flat.n, -1).T, strict=True,
        ):  # fmt: skip
            past.setdefault(float(tau), np.zeros((flat.n, flat.n)))[:, entry] += column
    now = np.asarray(now) + past.pop(0.0, 0.0)
    past = {tau: A for tau, A in sorted(past.items()) if A.any()}
    return Linear(now, np.array([*past.values()]).reshape(-1, flat.n, flat.n), np.array([*past]))


def _check(flat: Flat, name: str, delay: Float64[np.ndarray, "..."]) -> None:
    wrong = delay[~(np.isfinite(delay) & (delay >= 0.0))]
    if wrong.size:
        raise AnalysisError(
            f"{flat.about.name}: {name} is read with a delay of {wrong[0]:g} ms. Use finite "
            "delays >= 0."
        )


def _weighted(weights: Any, matrices: Float64[np.ndarray, "k n n"]) -> Any:
    return np.einsum("...k,kij->...ij", weights, matrices)

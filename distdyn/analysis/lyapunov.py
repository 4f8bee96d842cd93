"""Lyapunov exponents: the mean rates at which small differences grow along a trajectory.

    x' = f(x),   Q' = Df(x) Q,   Q = Q_new R every few steps;   lambda_i = sum of log R_ii / T

The steps are those of RK4, and Q is carried by the exact derivative of a step, so that the result
is that of the map which is in fact iterated; a map is iterated as it is. The exponents are in 1/ms,
their error is that of a mean over a finite time: about 1 / T for regular motion, and for chaos what
the spread of parts of the trajectory says. D_KY, of Kaplan and Yorke, is

    D_KY = k + (lambda_1 + ... + lambda_k) / |lambda_(k + 1)|,   k the last with a sum >= 0.

Source: Benettin, Galgani, Giorgilli & Strelcyn (1980), Meccanica 15, 9; Kaplan & Yorke (1979),
Lect. Notes Math. 730, 204.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from distdyn.analysis.field import Flat
from distdyn.analysis.field.delayed import check_no_delays
from distdyn.errors import AnalysisError
from distdyn.run.store import write_arrays

PARTS = 50  # of the trajectory, each with exponents of its own
STEP = 0.2  # of RK4, in units of the largest rate along the trajectory
MOST_ROUNDS = 10_000_000  # orthogonalisations of a part
LOST = 1e-14  # of the largest: what is left of a direction is rounding
BETWEEN = 10  # steps between two orthogonalisations


@dataclass(frozen=True, eq=False)
class LyapunovSpectrum:
    """The exponents of a trajectory.

    Attributes:
        exponents: largest first, 1/ms; of a map per iterate, and -inf of what it forgets at once.
        error: their standard errors, from the parts of the trajectory.
        parts: the exponents of each part, [p, k].
        T: ms, over which the mean is taken; of a map, iterates.
        dt: ms, of a step.
        x: the state at the end.
        flat: whose exponents they are.
    """

    exponents: Float64[np.ndarray, "k"]
    error: Float64[np.ndarray, "k"]
    parts: Float64[np.ndarray, "p k"]
    T: float
    dt: float
    x: Float64[np.ndarray, "n"]
    flat: Flat = field(repr=False)

    @property
    def kaplan_yorke(self) -> float:
        """The dimension D_KY; nan if fewer exponents than it needs were computed.

        A sum above -1 / T counts as 0: of a cycle the dimension is 1.
        """
        sums = np.cumsum(self.exponents)
        k = int(np.sum(np.cumprod(sums >= -1.0 / self.T)))
        if k == len(sums):
            return float(self.flat.n) if k == self.flat.n else float("nan")
        rest = max(float(sums[k - 1]), 0.0) if k else 0.0
        return k + rest / abs(float(self.exponents[k]))

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{value:.4g} ± {error:.1g}"
            for value, error in list(zip(self.exponents, self.error, strict=True))[:6]
        )
        more = ", ..." if len(self.exponents) > 6 else ""
        return (
            f"Lyapunov exponents of {self.flat.about.name} over {self.T:g} ms: {shown}{more}; "
            f"D_KY = {self.kaplan_yorke:.4g}"
        )

    def plot(self, ax: Any = None) -> Any:
        """The means over time, as they settle; returns the figure."""
        from distdyn.plot.cycles import exponents

        return exponents(self, ax)

    def save(self, path: str | Path) -> None:
        """Write it to an HDF5 file."""
        arrays = {
            "exponents": self.exponents, "error": self.error, "parts": self.parts, "x": self.x,
        }  # fmt: skip
        write_arrays(
            Path(path), arrays, kind="Lyapunov spectrum", names=list(self.flat.names),
            system=self.flat.about.name, T=self.T, dt=self.dt,
        )  # fmt: skip


def lyapunov_spectrum(
    flat: Flat,
    T: float,
    start: Float64[np.ndarray, "n"] | None = None,
    p: Float64[np.ndarray, "p"] | None = None,
    *,
    k: int | None = None,
    transient: float | None = None,
    dt: float | None = None,
) -> LyapunovSpectrum:
    """The largest exponents of a trajectory.

    Args:
        flat: the field.
        T: ms over which the mean is taken; of a map, iterates.
        start: the state at the beginning; that of the model by default.
        p: the parameters; those of the model by default.
        k: how many exponents; all by default.
        transient: ms before that are left out; by default a tenth of T.
        dt: ms, of a step of RK4; by default 0.2 over the largest rate along the trajectory.

    Raises:
        AnalysisError: a number does not fit, or the trajectory does not stay finite.
    """
    check_no_delays(flat.about, "lyapunov_spectrum")
    x = flat.x0 if start is None else np.asarray(start, np.float64)
    p = flat.p0 if p is None else np.asarray(p, np.float64)
    k = flat.n if k is None else k
    transient = 0.1 * T if transient is None else transient
    if not (np.isfinite(T) and T > 0.0 and np.isfinite(transient) and transient >= 0.0):
        raise AnalysisError(
            f"lyapunov_spectrum: T = {T} and transient = {transient} are no durations. Give "
            "finite numbers of ms, T > 0."
        )
    if not 1 <= k <= flat.n or x.shape != (flat.n,):
        raise AnalysisError(
            f"lyapunov_spectrum: k = {k} exponents from a start of shape {x.shape}: "
            f"{flat.about.name} has {flat.n} variables. Give 1 <= k <= {flat.n}."
        )
    if dt is not None and not dt > 0.0:
        raise AnalysisError(f"lyapunov_spectrum: dt = {dt} is no step. Give a number of ms > 0.")
    if flat.about.threshold is not None:
        raise AnalysisError(
            f"lyapunov_spectrum: {flat.about.name} is reset at its threshold, and a difference "
            "jumps there too. Give a model that spikes without reset."
        )
    if not flat.is_continuous:
        dt = 1.0
    with jax.enable_x64(True):
        if dt is None:
            dt = STEP / _fastest(flat, x, p)
        dt = min(dt, T / PARTS)
        between = max(1, min(BETWEEN, round(T / PARTS / dt))) if flat.is_continuous else 1
        rounds = -(-T // (PARTS * between * dt))
        if rounds > MOST_ROUNDS:
            raise AnalysisError(
                f"lyapunov_spectrum: {flat.about.name} would need steps of {dt:g} ms: its state "
                "grows without bound, or the equations are too stiff. Give a start on the "
                "attractor, or dt."
            )
        if flat.is_continuous:
            dt = T / (PARTS * between * rounds)
        run = jax.jit(_program(flat, p, dt, between), static_argnums=(2, 3))
        Q = np.eye(flat.n, k)
        n_before = -(-transient // (between * dt))
        x, Q, _ = run(x, Q, 1, int(n_before))
        x, Q, sums = (np.asarray(a) for a in run(x, Q, PARTS, int(rounds)))
    if not np.isfinite(x).all() or np.isnan(sums).any() or (sums == np.inf).any():
        raise AnalysisError(
            f"lyapunov_spectrum: the trajectory of {flat.about.name} does not stay finite with "
            f"steps of {dt:g} ms. Give a start on the attractor, or a smaller dt."
        )
    parts = sums / (rounds * between * dt)
    exponents = parts.mean(axis=0)
    order = np.argsort(-exponents, kind="stable")
    is_lost = np.isneginf(exponents)  # a map may forget a difference at once
    error = np.where(is_lost, 0.0, parts).std(axis=0, ddof=1) / np.sqrt(PARTS)
    return LyapunovSpectrum(
        exponents[order], error[order], parts[:, order], float(PARTS * rounds * between * dt), dt,
        x, flat,
    )  # fmt: skip


def _program(flat: Flat, p: Any, dt: float, between: int) -> Any:
    """(x, Q, parts, rounds) to x and Q at the end, and the sums of log R_ii of each part."""

    def step(x: Any) -> Any:
        if not flat.is_continuous:
            return flat.f(x, p)
        a = flat.f(x, p)
        b = flat.f(x + 0.5 * dt * a, p)
        c = flat.f(x + 0.5 * dt * b, p)
        d = flat.f(x + dt * c, p)
        return x + dt / 6.0 * (a + 2.0 * (b + c) + d)

    def carried(state: Any, _: Any) -> tuple[Any, None]:
        x, Q = state
        new, push = jax.linearize(step, x)
        return (new, jax.vmap(push, in_axes=1, out_axes=1)(Q)), None

    def orthogonalised(state: Any, _: Any) -> tuple[Any, None]:
        x, Q, sums = state
        (x, Q), _ = jax.lax.scan(carried, (x, Q), length=between)
        Q, R = jnp.linalg.qr(Q)
        size = jnp.abs(jnp.diagonal(R))
        size = jnp.where(size > LOST * size.max(), size, 0.0)
        return (x, Q, sums + jnp.log(size)), None

    def run(x: Any, Q: Any, parts: int, rounds: int) -> Any:
        def part(state: Any, _: Any) -> tuple[Any, Any]:
            begin = (*state, jnp.zeros(Q.shape[1]))
            (x, new, sums), _ = jax.lax.scan(orthogonalised, begin, length=rounds)
            return (x, new), sums

        (x, Q), sums = jax.lax.scan(part, (x, Q), length=parts)
        return x, Q, sums

    return run


def _fastest(flat: Flat, x: Float64[np.ndarray, "n"], p: Float64[np.ndarray, "p"]) -> float:
    """The largest modulus of an eigenvalue of the Jacobian along the trajectory's beginning."""
    jacobian = jax.jit(jax.jacfwd(flat.f))
    fastest, f = 0.0, jax.jit(flat.f)
    for _ in range(2000):
        J = np.asarray(jacobian(x, p))
        if not np.isfinite(J).all():
            break  # the run itself says so
        fastest = max(fastest, float(np.max(np.abs(np.linalg.eigvals(J)))), 1e-12)
        x = x + 0.5 * STEP / fastest * np.asarray(f(x + 0.25 * STEP / fastest * f(x, p), p))
    return max(fastest, 1e-12)

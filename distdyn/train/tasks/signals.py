"""Signals to be learned: chaotic systems, and sums of sines.

Chaotic signals are solved to the accuracy that is asked for, which is high by default: what can be
learned from them depends on it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from distdyn.errors import ParameterError


def lorenz(
    duration: float, dt: float, start: Sequence[float] = (1.0, 1.0, 1.0), *,
    sigma: float = 10.0, rho: float = 28.0, beta: float = 8 / 3, rtol: float = 1e-12,
    method: str = "DOP853",
) -> Float[np.ndarray, "step 3"]:  # fmt: skip
    """The Lorenz system from a point on, at 0, dt, 2 dt, ... up to before `duration`.

        x' = sigma (y - x),    y' = x (rho - z) - y,    z' = x y - beta z

    Solved by `method` of scipy.integrate.solve_ivp, to the relative and absolute tolerance `rtol`.

    Source: Lorenz (1963), J. Atmos. Sci. 20, 130.
    """

    def flow(t: float, s: np.ndarray) -> list[float]:
        x, y, z = s
        return [sigma * (y - x), x * (rho - z) - y, x * y - beta * z]

    return _solved(flow, duration, dt, start, rtol, method)


def double_scroll(
    duration: float, dt: float, start: Sequence[float] = (0.37926545, 0.058339, -0.08167691), *,
    rtol: float = 1e-12, method: str = "DOP853",
) -> Float[np.ndarray, "step 3"]:  # fmt: skip
    """The double scroll of an electronic circuit, as `lorenz`.

        V1' = V1 / 1.2 - g,    V2' = g - I,    I' = V2 - 0.193 I
        g = (V1 - V2) / 3.44 + 2 * 2.25e-5 sinh(11.6 (V1 - V2))

    Source: Gauthier, Bollt, Griffith & Barbosa (2021), Nat. Commun. 12, 5564.
    """

    def flow(t: float, s: np.ndarray) -> list[float]:
        a, b, i = s
        g = (a - b) / 3.44 + 4.5e-5 * np.sinh(11.6 * (a - b))
        return [a / 1.2 - g, g - i, b - 0.193 * i]

    return _solved(flow, duration, dt, start, rtol, method)


def mackey_glass(
    duration: float, dt: float = 1.0, *, beta: float = 0.2, gamma: float = 0.1, n: float = 10.0,
    tau: float = 17.0, start: float = 1.2, inner: int = 10,
) -> Float[np.ndarray, " step"]:  # fmt: skip
    """The Mackey-Glass equation, with a constant past.

        x' = beta x(t - tau) / (1 + x(t - tau)^n) - gamma x

    Args:
        duration: of the signal.
        dt: between two values.
        beta: of the delayed feedback.
        gamma: of the decay.
        n: the exponent.
        tau: the delay, a multiple of dt / inner.
        start: the value until 0.
        inner: steps of the fourth-order Runge-Kutta method between two values; the past between
            steps by cubic interpolation, to the right of 0, where the slope jumps, from the right.

    Source: Mackey & Glass (1977), Science 197, 287.
    """
    h = dt / inner
    lag = round(tau / h)
    if lag < 3 or abs(lag * h - tau) > 1e-9 * tau:
        raise ParameterError(
            f"mackey_glass: tau = {tau:g} is not a multiple of dt / inner = {h:g}. Choose another "
            "`inner`."
        )
    count = int(np.ceil(duration / dt - 1e-9)) * inner
    x = np.full(count + lag + 2, float(start))

    def rate(now: float, past: float) -> float:
        return beta * past / (1 + past**n) - gamma * now

    for k in range(lag, count + lag):
        i = k - lag
        past, after = x[i], x[i + 1]
        if i < lag:
            middle = float(start)
        elif i == lag:
            middle = (5 * past + 15 * after - 5 * x[i + 2] + x[i + 3]) / 16
        else:
            middle = (9 * (past + after) - x[i - 1] - x[i + 2]) / 16
        k1 = rate(x[k], past)
        k2 = rate(x[k] + h / 2 * k1, middle)
        k3 = rate(x[k] + h / 2 * k2, middle)
        k4 = rate(x[k] + h * k3, after)
        x[k + 1] = x[k] + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return x[lag : lag + count : inner]


def sines(
    t: Any, amplitudes: Sequence[float], frequencies: Sequence[float]
) -> Float[np.ndarray, " step"]:
    """A sum of sines, at times t: sum_k a_k sin(2 pi f_k t)."""
    t = np.asarray(t, float)
    total = np.zeros_like(t)
    for a, f in zip(amplitudes, frequencies, strict=True):
        total += a * np.sin(2 * np.pi * f * t)
    return total


def _solved(
    flow: Callable[[float, np.ndarray], list[float]], duration: float, dt: float,
    start: Sequence[float], rtol: float, method: str,
) -> np.ndarray:  # fmt: skip
    times = dt * np.arange(int(np.ceil(duration / dt - 1e-9)))
    found = solve_ivp(
        flow, (0.0, float(times[-1])), list(start), t_eval=times, rtol=rtol, atol=rtol,
        method=method,
    )  # fmt: skip
    return found.y.T

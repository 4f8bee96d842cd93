"""Equations of papers written once more, in numpy and in the papers' own form, for scipy to solve.

Nothing here is shared with the models: where a paper counts potentials from rest, so does this.
"""

import numpy as np
from numpy import cosh, exp, tanh
from scipy.integrate import solve_ivp


def crossings(function, start, *, V_th, duration, method="DOP853", **arguments):
    """When the first variable crosses V_th upward, to about 1e-7 ms."""

    def above(t, y, *_):
        return y[0] - V_th

    above.direction = 1
    solution = solve_ivp(
        lambda t, y: function(y, **arguments),
        (0.0, duration),
        start,
        method=method,
        events=above,
        rtol=1e-9,
        atol=1e-10,
    )
    return solution.t_events[0], solution.y[:, -1]


def wang_buzsaki(y, I):
    V, h, n = y
    am, bm = -0.1 * (V + 35) / (exp(-0.1 * (V + 35)) - 1), 4 * exp(-(V + 60) / 18)
    ah, bh = 0.07 * exp(-(V + 58) / 20), 1 / (exp(-0.1 * (V + 28)) + 1)
    an, bn = -0.01 * (V + 34) / (exp(-0.1 * (V + 34)) - 1), 0.125 * exp(-(V + 44) / 80)
    m = am / (am + bm)
    dV = -0.1 * (V + 65) - 35 * m**3 * h * (V - 55) - 9 * n**4 * (V + 90) + I
    return [dV, 5 * (ah * (1 - h) - bh * h), 5 * (an * (1 - n) - bn * n)]


def morris_lecar(y, I):
    V, w = y
    m, w_inf = (1 + tanh((V + 1.2) / 18)) / 2, (1 + tanh((V - 2) / 30)) / 2
    dV = (I - 4.4 * m * (V - 120) - 8 * w * (V + 84) - 2 * (V + 60)) / 20
    return [dV, 0.04 * (w_inf - w) * cosh((V - 2) / 60)]


def hindmarsh_rose(y, I):
    x, y, z = y
    dx = y - x**3 + 3 * x**2 + I - z
    return [dx, 1 - 5 * x**2 - y, 0.001 * (4 * (x + (1 + np.sqrt(5)) / 2) - z)]


def fitzhugh_nagumo(y, I):
    v, w = y
    return [v - v**3 / 3 - w + I, 0.08 * (v + 0.7 - 0.8 * w)]


def pinsky_rinzel(y, I):
    """Potentials from rest, as in the paper."""
    V, Vd, h, n, s, c, q, Ca = y
    am = 0.32 * (13.1 - V) / (exp((13.1 - V) / 4) - 1)
    bm = 0.28 * (V - 40.1) / (exp((V - 40.1) / 5) - 1)
    an = 0.016 * (35.1 - V) / (exp((35.1 - V) / 5) - 1)
    bn = 0.25 * exp(0.5 - 0.025 * V)
    ah, bh = 0.128 * exp((17 - V) / 18), 4 / (1 + exp((40 - V) / 5))
    a_s = 1.6 / (1 + exp(-0.072 * (Vd - 65)))
    b_s = 0.02 * (Vd - 51.1) / (exp((Vd - 51.1) / 5) - 1)
    if Vd <= 50:
        ac = exp((Vd - 10) / 11 - (Vd - 6.5) / 27) / 18.975
        bc = 2 * exp((6.5 - Vd) / 27) - ac
    else:
        ac, bc = 2 * exp((6.5 - Vd) / 27), 0.0
    aq, bq = min(0.00002 * Ca, 0.01), 0.001
    m = am / (am + bm)
    I_Ca = 10 * s**2 * (Vd - 140)
    soma = -0.1 * V - 30 * m**2 * h * (V - 120) - 15 * n * (V + 15)
    dendrite = -0.1 * Vd - I_Ca - 0.8 * q * (Vd + 15) - 15 * c * min(Ca / 250, 1) * (Vd + 15)
    return [
        (soma + 2.1 / 0.5 * (Vd - V) + I / 0.5) / 3,
        (dendrite + 2.1 / 0.5 * (V - Vd)) / 3,
        ah * (1 - h) - bh * h,
        an * (1 - n) - bn * n,
        a_s * (1 - s) - b_s * s,
        ac * (1 - c) - bc * c,
        aq * (1 - q) - bq * q,
        -0.13 * I_Ca - 0.075 * Ca,
    ]


def resets(function, start, *, threshold, reset, dt, duration, t_ref=0.0):
    """Spike times on the grid of a cell that is reset: at the first grid point after a crossing.

    There the cell begins again from `reset(state)`, its first variable held for t_ref.
    """
    t, y, times = 0.0, np.asarray(start, float), []

    def above(_, y):
        return y[0] - threshold(y)

    def held(y):
        return np.concatenate([[0.0], np.asarray(function(y))[1:]])

    above.terminal, above.direction = True, 1
    while t < duration:
        span, exact = (t, duration), {"rtol": 1e-10, "atol": 1e-10}
        on = solve_ivp(lambda _, y: function(y), span, y, "DOP853", events=above, **exact)
        if not len(on.t_events[0]):
            break
        t = np.ceil(on.t_events[0][0] / dt - 1e-9) * dt
        times.append(t)
        y = np.asarray(reset(on.y_events[0][0]))
        if t_ref:
            y = solve_ivp(lambda _, y: held(y), (0.0, t_ref), y, **exact).y[:, -1]
            t += t_ref
    return np.array(times)


def bold_of(t, y, I):
    """Balloon and windkessel, Friston et al. (2003), in seconds."""
    s, f, v, q = y
    out = v ** (1.0 / 0.32)
    extracted = (1.0 - 0.66 ** (1.0 / f)) / 0.34
    return [
        I - 0.65 * s - 0.41 * (f - 1.0),
        s,
        (f - out) / 0.98,
        (f * extracted - out * q / v) / 0.98,
    ]

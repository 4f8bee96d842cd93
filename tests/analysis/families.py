"""Families of systems whose bifurcations are known, for the tests of continuation."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

import distdyn as dd
from distdyn.analysis.field import VectorField


def analyzer(
    F: Callable[[Mapping, Mapping], dict[str, Any]], state: Mapping[str, float], **parameters: float
) -> dd.DSAnalyzer:
    """Of F(state, parameters), both by name, from an initial state."""
    own = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
    first = {name: np.asarray(value, np.float64) for name, value in state.items()}
    return dd.DSAnalyzer(VectorField(lambda s, p: F(s, own | dict(p)), first, own, name=F.__name__))


def scalar(
    f: Callable[[Any, Mapping], Any], x: float = 0.0, a: float = 0.0, **more: float
) -> dd.DSAnalyzer:
    """Of x' = f(x, parameters), with a parameter a, and more."""

    def of_one_variable(s, p):
        return {"x": f(s["x"], p)}

    return analyzer(of_one_variable, {"x": x}, a=a, **more)


def morris_lecar(s, p):
    """Of Rinzel & Ermentrout (1998), the parameters of their Hopf set."""
    V, w = s["V"], s["w"]
    m = 0.5 * (1 + jnp.tanh((V + 1.2) / 18))
    w_inf = 0.5 * (1 + jnp.tanh((V - p["V3"]) / 30))
    ions = 4.4 * m * (V - 120) + 8 * w * (V + 84) + 2 * (V + 60)
    rate = 0.04 * jnp.cosh((V - p["V3"]) / 60)
    return {"V": (p["I"] - ions) / 20, "w": rate * (w_inf - w)}


def hodgkin_huxley(s, p):
    """Of 1952, with rest at -65 mV; phi makes the gates faster."""
    V, m, h, n = (s[name] for name in "Vmhn")
    a_m, b_m = 1 / dd.exprel(-(V + 40) / 10), 4 * jnp.exp(-(V + 65) / 18)
    a_h, b_h = 0.07 * jnp.exp(-(V + 65) / 20), 1 / (1 + jnp.exp(-(V + 35) / 10))
    a_n, b_n = 0.1 / dd.exprel(-(V + 55) / 10), 0.125 * jnp.exp(-(V + 65) / 80)
    sodium, potassium = 120 * m**3 * h * (V - 50), 36 * n**4 * (V - p["E_K"])
    return {
        "V": p["I"] - sodium - potassium - 0.3 * (V - p["E_L"]),
        "m": p["phi"] * (a_m * (1 - m) - b_m * m),
        "h": p["phi"] * (a_h * (1 - h) - b_h * h),
        "n": p["phi"] * (a_n * (1 - n) - b_n * n),
    }


def wong_wang(s, p):
    """Two populations that decide, of Wong & Wang (2006), with the parameters of one figure."""

    def rate(x):
        return (270 * x - 108) / (1 - jnp.exp(-0.154 * (270 * x - 108)))

    def slope(own, other, coherence):
        drive = 0.00117 * p["mu"] * (1 + coherence) + 0.3297
        return -own / 0.06 + (1 - own) * 0.641 * rate(0.3725 * own - 0.1137 * other + drive)

    return {"s1": slope(s["s1"], s["s2"], p["c"]), "s2": slope(s["s2"], s["s1"], -p["c"])}


def lorenz(s, p):
    x, y, z = s["x"], s["y"], s["z"]
    return {"x": 10 * (y - x), "y": x * (p["rho"] - z) - y, "z": x * y - 8 / 3 * z}

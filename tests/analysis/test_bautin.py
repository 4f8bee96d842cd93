"""The second Lyapunov coefficient, against Bautin's normal form, straight and bent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.analysis.continuation import Family
from distdyn.analysis.continuation.bautin import second_lyapunov_coefficient
from distdyn.analysis.field import VectorField

CASES = [(-1.0, 0.0), (2.0, -0.7)]  # each compiles derivatives of fifth order


def bautin(s: float, k: float) -> VectorField:
    """r' = r (b1 + b2 r^2 + s r^4), angle' = 2, seen through two shears that bend the plane."""

    def bent(v):
        x, y = v
        y = y + k * (x**2 - x**3)
        return jnp.stack([x + k * y**2, y])

    def straight(w):
        x = w[0] - k * w[1] ** 2
        return jnp.stack([x, w[1] - k * (x**2 - x**3)])

    def F(state, parameters):
        v = straight(jnp.stack([state["x"], state["y"]]))
        r = jnp.sum(v * v)
        growth = parameters.get("b1", 0.0) + parameters.get("b2", 0.0) * r + s * r * r
        rate = v * growth + 2.0 * jnp.stack([-v[1], v[0]])
        dx, dy = jax.jvp(bent, (v,), (rate,))[1]
        return {"x": dx, "y": dy}

    zero = np.float64(0.0)
    return VectorField(F, {"x": zero, "y": zero}, {"b1": zero, "b2": zero})


@pytest.mark.parametrize(
    "s, k", [(-1.0, 0.5), *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES)]
)
def test_it_is_that_of_the_normal_form_in_any_coordinates(s, k):
    """x = z q + c.c. with |q| = 1 is r^2 = 2 |z|^2, so that Re c_2 = 4 s, and omega = 2."""
    family = Family(bautin(s, k).flat(("b1", "b2")))
    assert second_lyapunov_coefficient(family, np.zeros(4), 2.0) == pytest.approx(2 * s, abs=1e-9)


def test_a_curve_of_hopf_points_knows_it_where_it_turns_from_super_to_subcritical():
    an = dd.DSAnalyzer(dd.FitzHughNagumo())
    curves = an.continuation2(("I_e", (0.0, 0.5)), ("b", (0.4, 0.9)))
    (point,) = curves.points("GH")
    l2 = point.coefficients["l2"]
    # Cycles are stable beyond the fold (LPC) at b = 0.8, l1 > 0: l2 < 0.
    assert l2 < 0.0
    above, below = (
        dd.DSAnalyzer(dd.FitzHughNagumo(b=point.value[1] + side)) for side in (0.02, -0.02)
    )
    signs = [a.continuation("I_e", (0.0, 0.5)).points("H")[0].lyapunov for a in (above, below)]
    assert signs[0] > 0.0 > signs[1]

"""The second Lyapunov coefficient, which decides where the first one is zero (GH).

    r' = r (beta_1 + beta_2 r^2 + l2 omega r^4), to scale

With l2 < 0 stable cycles surround the point, and two cycles meet (LPC) where beta_2 > 0; with
l2 > 0 the outer cycle is unstable. On the centre manifold x = z q + z* q* + sum h_jk z^j z*^k /
(j! k!), where z' = i omega z + c_1 z |z|^2 + c_2 z |z|^4, and equal powers give the h_jk in turn:

    (i omega (j - k) - A) h_jk = all terms of the Taylor series of f with z^j z*^k

Source: Kuznetsov (1999), SIAM J. Numer. Anal. 36, 1104, sec. 3 for c_2; (2004) Elements of Applied
Bifurcation Theory, 3rd ed., sec. 8.7.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.analysis.continuation.family import Family, Vector
from distdyn.analysis.continuation.normal_forms import critical_vectors


def second_lyapunov_coefficient(family: Family, u: Vector, omega: float) -> float:
    """The coefficient l2 = Re c_2 / omega of a point where l1 = 0, with |q| = 1.

    MatCont prints omega l2.
    """
    A, eye = family.A(u), np.eye(family.n)
    q, p = critical_vectors(A, omega)
    o = q.conj()

    def F(*vectors: Any) -> Any:
        """The derivative of f of this order, along complex vectors."""
        return _form(family, len(vectors))(u, np.array(vectors, complex))

    def over(k: int, right: Any) -> Any:
        return np.linalg.solve(1j * omega * k * eye - A, right)

    h20, h11 = over(2, F(q, q)), over(0, F(q, o))
    cubic = F(q, q, o) + F(o, h20) + 2 * F(q, h11)
    c1 = 0.5 * np.vdot(p, cubic)
    h30 = over(3, F(q, q, q) + 3 * F(q, h20))
    bordered = np.block([[1j * omega * eye - A, q[:, None]], [p.conj()[None], np.zeros((1, 1))]])
    h21 = np.linalg.solve(bordered, np.append(cubic - 2 * c1 * q, 0.0))[:-1]
    h02, h12 = h20.conj(), h21.conj()
    h31 = over(
        2,
        F(q, q, q, o) + 3 * F(q, q, h11) + 3 * F(q, o, h20) + 3 * F(h20, h11) + F(o, h30)
        + 3 * F(q, h21) - 6 * c1 * h20,
    )  # fmt: skip
    h22 = over(
        0,
        F(q, q, o, o) + 4 * F(q, o, h11) + F(o, o, h20) + F(q, q, h02) + 2 * F(h11, h11)
        + 2 * F(q, h12) + 2 * F(o, h21) + F(h02, h20) - 4 * (c1 + c1.conj()) * h11,
    )  # fmt: skip
    quintic = (
        F(q, q, q, o, o)
        + F(q, q, q, h02) + 3 * F(q, o, o, h20) + 6 * F(q, q, o, h11)
        + F(o, o, h30) + 3 * F(q, q, h12) + 6 * F(q, o, h21)
        + 3 * F(q, h02, h20) + 6 * F(q, h11, h11) + 6 * F(o, h20, h11)
        + 2 * F(o, h31) + 3 * F(q, h22) + F(h02, h30) + 3 * F(h12, h20) + 6 * F(h11, h21)
    )  # fmt: skip
    return float(np.vdot(p, quintic).real / (12.0 * omega))


def _at(family: Family, p: Any, x: Any) -> Any:
    return family.flat.f(x, p)


@lru_cache(maxsize=16)
def _form(family: Family, order: int) -> Callable[[Vector, Any], Any]:
    """The multilinear form of the derivatives of some order, of complex vectors [order, n].

    Real and imaginary parts are taken in turn: 2^order real forms, in one program.
    """
    n, which = family.n, np.array([*product((0, 1), repeat=order)])
    weights = 1j ** which.sum(axis=1)

    def real(u: Any, vectors: Any) -> Any:
        def along(g: Any, v: Any) -> Any:
            return lambda x: jax.jvp(g, (x,), (v,))[1]

        g: Any = partial(_at, family, u[n:])
        for k in range(order):
            g = along(g, vectors[k])
        return g(u[:n])

    @jax.jit
    def forms(u: Any, parts: Any) -> Any:
        return jax.vmap(real, (None, 0))(u, parts[which, np.arange(order)])

    def form(u: Vector, vectors: Any) -> Any:
        with jax.enable_x64(True):
            parts = jnp.stack([np.real(vectors), np.imag(vectors)])
            return weights @ np.asarray(forms(u, parts))

    return form

"""A family of vector fields: x' = f(x, p) with one or two parameters, and its derivatives.

    u = (x, p)      the variables and the parameters: what continuation moves
    J = D f         (n, n + k), by u
    D^2 f[v]        the derivative of J v by u; D^3 f[a, b, c] is a vector

Derivatives are exact, by forward differentiation, and compiled once per family, in float64.
"""

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from distdyn.analysis.field import Flat
from distdyn.analysis.field.delayed import check_no_delays
from distdyn.errors import AnalysisError

Vector = Float64[np.ndarray, "m"]
Matrix = Float64[np.ndarray, "m k"]


class Family:
    """A flat field as a function of u = (x, p): all its parameters move.

    Attributes:
        flat: the field.
        n, k: numbers of variables and of parameters.

    Raises:
        AnalysisError: it is a map, or has delays.
    """

    def __init__(self, flat: Flat) -> None:
        if not flat.is_continuous:
            raise AnalysisError(
                f"continuation: {flat.about.name} is a map, and bifurcations of maps are others "
                "than those of flows. Give a model that has a derivative."
            )
        check_no_delays(flat.about, "continuation")
        self.flat, self.n, self.k = flat, flat.n, len(flat.parameters)

    def _field(self, u: Any) -> Any:
        return self.flat.f(u[: self.n], u[self.n :])

    @cached_property
    def _both(self) -> Callable[[bytes], tuple[Vector, Matrix]]:
        def both(u: Any) -> tuple[Any, Any]:
            f = self._field(u)
            return f, f

        def swapped(u: Any) -> tuple[Any, Any]:
            J, f = jax.jacfwd(both, has_aux=True)(u)
            return f, J

        compiled = _compiled(swapped)
        # Newton's method asks for f and J at the same point, and so do monitors.
        return lru_cache(maxsize=4)(lambda key: compiled(np.frombuffer(key)))

    def field(self, u: Vector) -> Vector:
        """f(u), of length n."""
        return self._both(u.tobytes())[0]

    def jacobian(self, u: Vector) -> Matrix:
        """J(u) = D f, of shape (n, n + k)."""
        return self._both(u.tobytes())[1]

    @cached_property
    def second(self) -> Callable[[Vector, Vector], Matrix]:
        """D^2 f(u)[v], of shape (n, n + k): the derivative of J(u) v by u."""

        def along(u: Any, v: Any) -> Any:
            return jax.jvp(self._field, (u,), (v,))[1]

        return _compiled(jax.jacfwd(along))

    @cached_property
    def hessian(self) -> Callable[[Vector, Vector], Matrix]:
        """The second derivatives of w . f(u), of shape (n + k, n + k)."""
        return _compiled(jax.hessian(lambda u, w: jnp.dot(w, self._field(u))))

    @cached_property
    def third(self) -> Callable[[Vector, Vector, Vector, Vector], Vector]:
        """D^3 f(u)[a, b, c], of length n."""

        def of(u: Any, a: Any, b: Any, c: Any) -> Any:
            def first(u: Any) -> Any:
                return jax.jvp(self._field, (u,), (a,))[1]

            def second(u: Any) -> Any:
                return jax.jvp(first, (u,), (b,))[1]

            return jax.jvp(second, (u,), (c,))[1]

        return _compiled(of)

    def A(self, u: Vector) -> Matrix:
        """The Jacobian by the variables alone, of shape (n, n)."""
        return self.jacobian(u)[:, : self.n]

    def B(self, u: Vector, a: Vector, b: Vector) -> Vector:
        """Second derivatives by the variables: the bilinear form of real vectors of length n."""
        return self.second(u, self.padded(a))[:, : self.n] @ b

    def C(self, u: Vector, a: Vector, b: Vector, c: Vector) -> Vector:
        """Third derivatives by the variables: the trilinear form of real vectors of length n."""
        return self.third(u, self.padded(a), self.padded(b), self.padded(c))

    def padded(self, v: Vector) -> Vector:
        """A direction of the variables as one of u."""
        return np.append(v, np.zeros(self.k))


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of float64 arrays, compiled at its first call; it gives arrays of numpy."""
    jitted = jax.jit(function)

    def call(*arguments: np.ndarray) -> Any:
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, jitted(*arguments))

    return call

"""The vector field of a model with delays: what of its past it reads.

    x'(t) = f(x(t), x_1(t - tau_1), x_2(t - tau_2), ...)

Where it stands still its past is its present, f(x, x, x, ...) = 0. How small differences grow is
not decided by the eigenvalues of a Jacobian (`distdyn.analysis.delays`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp

from distdyn.errors import AnalysisError, NameLookupError, suggestion

State = Any


class Present:
    """The past of a system that has always been where it is; takes note of what is read.

    Args:
        now: the state by name.
        values: instead of the present, what is read, in this order.
        system: the name of the model.
    """

    def __init__(self, now: State, values: Sequence[Any] | None, system: str) -> None:
        self.read: list[tuple[str, Any]] = []
        self._now, self._values, self._system = now, values, system

    def __call__(self, name: str, delay: Any) -> Any:
        """The variable a delay ago."""
        if name not in self._now:
            raise NameLookupError(
                f"{self._system}: past({name!r}, ...): there is no such state. "
                f"{suggestion(str(name), self._now)}"
            )
        self.read.append((name, delay))
        if self._values is None:
            return self._now[name] + 0.0 * jnp.asarray(delay)
        return self._values[len(self.read) - 1]

    def slope(self, name: str, delay: Any) -> Any:
        """There is no such thing as the spectrum of a neutral equation here."""
        raise AnalysisError(
            f"{self._system} reads the derivative of its past ({name}): of neutral equations the "
            "spectrum may reach the imaginary axis at infinity. Only delays of values are analysed."
        )


Delayed = Callable[[State, State, Sequence[Any] | None], tuple[dict[str, Any], list]]
"""(state, parameters, values) to the derivatives, and to name and delay of each reading."""


def check_no_delays(field: Any, what: str) -> None:
    """Raise an AnalysisError if a vector field has delays."""
    if field.delayed is not None:
        raise AnalysisError(
            f"{what}: {field.name} has delays, so that its state is its whole past, and this "
            "analysis knows no more than the present. Use fixed_points, also at other values of "
            "parameters, and characteristic_roots; or put a chain of variables x_k' = (x_(k - 1) "
            "- x_k) m / delay in place of the delay."
        )

"""A vector field as a function of states by name, and as one of two vectors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float64

from distdyn.analysis.field.delayed import Delayed
from distdyn.errors import AnalysisError, NameLookupError, suggestion

State = Mapping[str, Any]  # arrays by the names of variables


@dataclass(frozen=True, eq=False)
class Flat:
    """A vector field as a function of two vectors.

    Attributes:
        f: (x: float64[n], p: float64[k]) -> float64[n]; pure, for jit, vmap and derivatives.
        x0: the state at which the model begins.
        p0: the parameters as the model has them.
        names: of the variables, entry by entry; of an array "r[0]", "r[1]".
        parameters: the names of p.
        shapes: of the variables by name, in the order of x.
        is_continuous: whether x' = f(x, p); else x(n + 1) = f(x(n), p).
        about: the vector field.
    """

    f: Callable[[Any, Any], Any]
    x0: Float64[np.ndarray, "n"]
    p0: Float64[np.ndarray, "k"]
    names: tuple[str, ...]
    parameters: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    is_continuous: bool
    about: "VectorField"

    @property
    def n(self) -> int:
        """How many variables there are."""
        return len(self.x0)

    @cached_property
    def residual(self) -> Callable[[Any, Any], Any]:
        """What is zero at a fixed point: f(x, p), or f(x, p) - x of a map."""
        f = self.f
        return f if self.is_continuous else lambda x, p: f(x, p) - x

    @cached_property
    def resting(self) -> "Flat":
        """The same of the variables from which the others follow at a fixed point."""
        about = self.about
        if about.at_rest is None:
            return self
        at_rest, kept = about.at_rest, [n for n in about.state if n not in about.follows]

        def F(given: State, parameters: State) -> dict[str, Any]:
            found = about.F(at_rest(given, parameters), parameters)
            return {name: found[name] for name in kept}

        state = {name: about.state[name] for name in kept}
        spread = None if about.spread is None else about.spread.resting
        part = replace(about, F=F, state=state, follows=(), at_rest=None, spread=spread)
        return part.flat(self.parameters)

    @property
    def spread(self) -> Any:
        """The same on vectors that are dealt to devices; None: they are whole."""
        about = self.about
        return None if about.spread is None else about.spread.of(self.parameters)

    @cached_property
    def is_free(self) -> Bool[np.ndarray, "n"]:
        """Which of x are variables of `resting`."""
        kept = self.resting.shapes
        each = [np.full(int(np.prod(s, dtype=int)), n in kept) for n, s in self.shapes.items()]
        return np.concatenate(each)

    def at_rest(
        self, x: Float64[np.ndarray, "k m"], p: Float64[np.ndarray, "p"]
    ) -> Float64[np.ndarray, "k n"]:
        """The whole states, of fixed points of `resting`."""
        of, part = self.about.at_rest, self.resting
        if of is None or not len(x):
            return x if of is None else np.zeros((0, self.n))
        changed = dict(zip(self.parameters, p, strict=True))
        with jax.enable_x64(True):
            return self.flatten(jax.vmap(lambda x: of(part.unflatten(x), changed))(x))

    def unflatten(self, x: Any) -> dict[str, Any]:
        """States by name, of x with the n variables on the last axis."""
        return _unflatten(x, self.shapes)

    def flatten(self, state: State) -> Any:
        """The inverse of `unflatten`; what is not given is as in x0.

        Raises:
            NameLookupError: there is no variable of a name.
        """
        for name in state:
            check_name(name, self.shapes, f"{self.about.name} has no variable")
        given = {name: np.asarray(value, np.float64) for name, value in state.items()}
        lead = np.broadcast_shapes(
            (), *(v.shape[: v.ndim - len(self.shapes[name])] for name, v in given.items())
        )
        whole = {**self.unflatten(self.x0), **given}
        parts = [
            np.broadcast_to(whole[name], (*lead, *shape)).reshape(*lead, -1)
            for name, shape in self.shapes.items()
        ]
        return np.concatenate(parts, axis=-1)

    def index(self, name: str) -> int:
        """Where a variable is in x: "V", or "r[3]" of an array.

        Raises:
            NameLookupError: there is none.
        """
        check_name(name, self.names, f"{self.about.name} has no variable")
        return self.names.index(name)


@dataclass(frozen=True, eq=False)
class VectorField:
    """F(state, parameters) and where it is evaluated. Unpacks into F, state, parameters.

    Attributes:
        F: from a state and some parameters, both by name, to the derivatives of the state per ms,
            or to the next state. Parameters that are not given are as the model has them.
        state: float64 by name: what the model begins with.
        parameters: float64 by name, as the model has them.
        is_continuous: whether F is a derivative; else it is a step.
        name: of the model.
        notes: what was left out, one sentence each.
        threshold: the variable that is reset, and the value at which it is; the field is that
            between two spikes. None: nothing jumps.
        reset: the state after a spike, of the state before it.
        delayed: of a model with delays, the derivatives with its past given; see `field.delayed`.
            F is that of a system that has always been where it is. None: there are no delays.
        follows: variables that follow from the others at a fixed point, such as what is on its way
            in a network with delays.
        at_rest: the whole state, of the others and of parameters, if it is a fixed point.
        spread: a `Spread`: the same where the state is dealt to devices. None: it is not.
    """

    F: Callable[[State, State], dict[str, Any]]
    state: dict[str, Any]
    parameters: dict[str, Any]
    is_continuous: bool = True
    name: str = "system"
    notes: tuple[str, ...] = ()
    threshold: tuple[str, float] | None = None
    reset: Callable[[State], dict[str, Any]] | None = None
    delayed: Delayed | None = None
    follows: tuple[str, ...] = ()
    at_rest: Callable[[State, State], dict[str, Any]] | None = None
    spread: Any = None
    _flats: dict[tuple[str, ...], Flat] = field(default_factory=dict, init=False)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.F, self.state, self.parameters))

    def __repr__(self) -> str:
        kind = "flow" if self.is_continuous else "map"
        names = ", ".join(f"{name}{list(np.shape(v)) or ''}" for name, v in self.state.items())
        return " ".join([f"{self.name}: {kind} of {names}.", *self.notes])

    def at(self, parameters: State) -> "VectorField":
        """The same field with some parameters moved.

        Raises:
            NameLookupError: there is no parameter of a name.
        """
        for name in parameters:
            check_name(name, self.parameters, f"{self.name} has no parameter")
        moved = {name: np.asarray(value, np.float64) for name, value in parameters.items()}
        delayed = self.delayed
        return replace(
            self,
            F=lambda state, given: self.F(state, {**moved, **given}),
            parameters={**self.parameters, **moved},
            delayed=delayed and (lambda x, given, past: delayed(x, {**moved, **given}, past)),
        )

    def flat(self, parameters: Sequence[str] | str = ()) -> Flat:
        """The field as a function of vectors, with these parameters as p; the same each time.

        Raises:
            NameLookupError: there is no parameter of a name.
            AnalysisError: a parameter is an array.
        """
        chosen = (parameters,) if isinstance(parameters, str) else tuple(parameters)
        if chosen not in self._flats:  # what JAX compiles, it compiles for one function
            self._flats[chosen] = self._flat(chosen)
        return self._flats[chosen]

    def _flat(self, chosen: tuple[str, ...]) -> Flat:
        for name in chosen:
            check_name(name, self.parameters, f"{self.name} has no parameter")
            if np.ndim(self.parameters[name]):
                raise AnalysisError(
                    f'{self.name}: the parameter "{name}" has the shape '
                    f"{np.shape(self.parameters[name])}, and analysis moves single numbers. Give "
                    "the model one number there, or write it as a number times a constant array."
                )
        shapes = {name: np.shape(value) for name, value in self.state.items()}

        def f(x: Any, p: Any) -> Any:
            given = {name: p[k] for k, name in enumerate(chosen)}
            found = self.F(_unflatten(x, shapes), given)
            return jnp.concatenate([jnp.reshape(found[name], -1) for name in shapes])

        return Flat(
            f,
            np.concatenate([np.reshape(self.state[name], -1) for name in shapes]),
            np.array([self.parameters[name] for name in chosen], np.float64),
            tuple(_entries(shapes)),
            chosen,
            shapes,
            self.is_continuous,
            self,
        )


def check_name(name: Any, known: Any, what: str) -> None:
    """Raise a NameLookupError, `what "name"`, for a name that is not known."""
    if name not in known:
        raise NameLookupError(f'{what} "{name}". {suggestion(name, known)}')


def _unflatten(x: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    found, first = {}, 0
    for name, shape in shapes.items():
        last = first + int(np.prod(shape, dtype=int))
        found[name] = x[..., first:last].reshape((*x.shape[:-1], *shape))
        first = last
    return found


def _entries(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for name, shape in shapes.items():
        for index in np.ndindex(*shape):
            yield f"{name}[{','.join(map(str, index))}]" if shape else name

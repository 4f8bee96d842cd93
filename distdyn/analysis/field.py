"""The vector field of a model: what analysis stands on.

    F, state, parameters = dd.vector_field(dd.FitzHughNagumo())
    F(state, {"I_e": 0.5})                        # {"V": dV/dt, "w": dw/dt}

State and parameters are dicts by name; names within a cell or network are paths ("INa.m", "E.r").
Numerical methods see a flat function of the variables x and of the parameters p that they move:

    flat = dd.vector_field(model).flat(("I_e",))
    flat.f(flat.x0, flat.p0)                      # float64[n] at float64[n], float64[k]
    flat.names, flat.unflatten(x)                 # ("V", "w"), {"V": x[0], "w": x[1]}

It is the field without noise and without input from outside. Everything is in float64: call it
inside `jax.enable_x64(True)`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from distdyn.core.flow import dependence
from distdyn.core.integrators.default import has_noise
from distdyn.core.integrators.delayed import has_past
from distdyn.core.ode import ODE
from distdyn.core.signal import Signal
from distdyn.core.system import Drive, DynamicalSystem, Tick
from distdyn.errors import AnalysisError, NameLookupError, suggestion
from distdyn.network.network import Network

State = Mapping[str, Any]  # arrays by the names of variables
TRANSPARENT = ("neuron", "members")  # fields that hold what has names of its own


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

    def unflatten(self, x: Any) -> dict[str, Any]:
        """States by name, of x with the n variables on the last axis."""
        return _unflatten(x, self.shapes)

    def flatten(self, state: State) -> Any:
        """The inverse of `unflatten`; what is not given is as in x0.

        Raises:
            NameLookupError: there is no variable of a name.
        """
        for name in state:
            _check_name(name, self.shapes, f"{self.about.name} has no variable")
        given = {name: np.asarray(value, np.float64) for name, value in state.items()}
        lead = np.broadcast_shapes(
            (), *(v.shape[: v.ndim - len(self.shapes[name])] for name, v in given.items())
        )
        parts = [
            np.broadcast_to(given.get(name, first), (*lead, *shape)).reshape(*lead, -1)
            for (name, shape), first in zip(
                self.shapes.items(), self.unflatten(self.x0).values(), strict=True
            )
        ]
        return np.concatenate(parts, axis=-1)

    def index(self, name: str) -> int:
        """Where a variable is in x: "V", or "r[3]" of an array.

        Raises:
            NameLookupError: there is none.
        """
        _check_name(name, self.names, f"{self.about.name} has no variable")
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
    """

    F: Callable[[State, State], dict[str, Any]]
    state: dict[str, Any]
    parameters: dict[str, Any]
    is_continuous: bool = True
    name: str = "system"
    notes: tuple[str, ...] = ()
    threshold: tuple[str, float] | None = None
    reset: Callable[[State], dict[str, Any]] | None = None
    _flats: dict[tuple[str, ...], Flat] = field(default_factory=dict, init=False)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.F, self.state, self.parameters))

    def __repr__(self) -> str:
        kind = "flow" if self.is_continuous else "map"
        names = ", ".join(f"{name}{list(np.shape(v)) or ''}" for name, v in self.state.items())
        return " ".join([f"{self.name}: {kind} of {names}.", *self.notes])

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
            _check_name(name, self.parameters, f"{self.name} has no parameter")
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


def vector_field(
    system: DynamicalSystem | Network | VectorField, *, dt: float | None = None, seed: int = 0
) -> VectorField:
    """The vector field of a model or network: F, state, parameters.

    An `ODE`, and a network of rate models without delays, give the derivative of their state; a
    model that is written as a `step` gives that step. There is no input from outside. Noise is left
    out; of a cell that is reset it is the field between two spikes.

    Args:
        system: a model, a network, or a vector field, which is returned as it is.
        dt: ms, of the step of a model that has no derivative.
        seed: of the connections and weights that a network draws, as in `DSRunner`.

    Raises:
        AnalysisError: it has delays, fractional derivatives, an explicit time, or spikes between
            its units: there is no such function.
    """
    if isinstance(system, VectorField):
        return system
    if isinstance(system, Network):
        from distdyn.analysis.rates import rate_field  # it is built of the fields of its models

        return rate_field(system, seed)
    if isinstance(system, ODE):
        return _field_of_ode(system)
    if isinstance(system, DynamicalSystem):
        return _field_of_step(system, dt)
    what = system.__name__ if isinstance(system, type) else type(system).__name__
    raise AnalysisError(
        f"vector_field: {what} is neither a model nor a network. Give an instance of an ODE or of "
        "a Network, such as dd.FitzHughNagumo(); of any other function of a state, "
        "VectorField(F, state, parameters)."
    )


@dataclass(frozen=True, eq=False)
class ModelTree:
    """A model as its numbers by name, and the way back.

    Attributes:
        parameters: float64 by name, as `DSRunner` names them.
        structure, leaves, place: of the model's tree, and which leaf has which name.
    """

    parameters: dict[str, Any]
    structure: Any
    leaves: list[Any]
    place: dict[str, int]

    @classmethod
    def of(cls, model: DynamicalSystem) -> "ModelTree":
        """Take a model apart.

        Raises:
            AnalysisError: a parameter is a signal in time.
        """
        found, structure = jax.tree_util.tree_flatten_with_path(
            model, is_leaf=lambda x: isinstance(x, Signal)
        )
        parameters, place = {}, {}
        for k, (path, leaf) in enumerate(found):
            name = _name(path)
            if isinstance(leaf, Signal):
                raise AnalysisError(
                    f"{type(model).__name__}: {name} is a signal in time, and a vector field does "
                    "not depend on time. Give a number."
                )
            is_number = isinstance(leaf, int | float | np.number | np.ndarray | jax.Array)
            if is_number and not isinstance(leaf, bool) and not name.startswith("method."):
                parameters[name] = np.asarray(leaf, np.float64)
                place[name] = k
        return cls(parameters, structure, [leaf for _, leaf in found], place)

    def model(self, given: State) -> Any:
        """The model with these parameters in the place of its own."""
        leaves = list(self.leaves)
        for name, value in given.items():
            _check_name(name, self.place, "there is no parameter")
            leaves[self.place[name]] = value
        return jax.tree.unflatten(self.structure, leaves)


def state_by_name(state: Any) -> tuple[dict[str, Any], Any]:
    """A model's State as a dict, "INa.m" for what is within, and the tree that it was."""
    found, structure = jax.tree_util.tree_flatten_with_path(state)
    return {_name(path): jnp.asarray(leaf, jnp.float64) for path, leaf in found}, structure


def check_can_be_field(model: ODE) -> None:
    """Raise an AnalysisError for equations that are no function of the present state alone."""
    what = type(model).__name__
    if has_past(model):
        raise AnalysisError(
            f"{what} has delays: its derivative depends on its past, and the eigenvalues of a "
            "Jacobian would not say what is stable. Analyse the equations without the delay, or "
            "with a chain of variables x_k' = (x_(k - 1) - x_k) m / delay in its place."
        )
    if model.order is not None:
        raise AnalysisError(
            f"{what} has derivatives of order {model.order}: the signs of eigenvalues do not decide "
            "over stability there. Leave out the order: the fixed points are the same."
        )


def notes_of(model: ODE) -> tuple[str, ...]:
    """What the field of a model leaves out."""
    notes = []
    if has_noise(model):
        notes.append(f"{type(model).__name__} has noise: this is its drift.")
    if callable(getattr(model, "reset", None)):
        notes.append(f"{type(model).__name__} is reset at spikes: this is the field between them.")
    return tuple(notes)


def _field_of_ode(model: ODE) -> VectorField:
    check_can_be_field(model)
    tree = ModelTree.of(model)
    with jax.enable_x64(True):
        state, structure = state_by_name(model.init(jnp.int64(0), jax.random.key(0)))
        state = {name: np.asarray(value) for name, value in state.items()}

    def rate(t: Any, given: State, parameters: State) -> dict[str, Any]:
        s = jax.tree.unflatten(structure, [given[name] for name in state])
        found = jax.tree.leaves(tree.model(parameters).derivative(t, s, Drive(0.0)))
        return _like(state, found)

    def F(given: State, parameters: State) -> dict[str, Any]:
        return rate(0.0, given, parameters)

    with jax.enable_x64(True):
        _check_autonomous(lambda t: list(rate(t, state, {}).values()), type(model).__name__)
    threshold, reset = _reset_of(tree, state, structure)
    return VectorField(
        F, state, tree.parameters, True, type(model).__name__, notes_of(model), threshold, reset
    )


def _field_of_step(model: DynamicalSystem, dt: float | None) -> VectorField:
    what = type(model).__name__
    if model.spiking:
        raise AnalysisError(
            f"{what} emits spikes at random or given times: it has no fixed points. Analyse a rate "
            "model of it."
        )
    if dt is None:
        raise AnalysisError(
            f"{what} is given by its step and has no derivative: it is a map. Give the length of "
            "its step: vector_field(model, dt=1.)."
        )
    tree = ModelTree.of(model)
    with jax.enable_x64(True):
        state, structure = state_by_name(model.init(jnp.int64(0), jax.random.key(0)))
        state = {name: np.asarray(value) for name, value in state.items()}

    def F(given: State, parameters: State) -> dict[str, Any]:
        s = jax.tree.unflatten(structure, [given[name] for name in state])
        after, _ = tree.model(parameters).step(s, Drive(), Tick(0, dt, 0.0))
        return _like(state, jax.tree.leaves(after))

    return VectorField(F, state, tree.parameters, False, what)


def _reset_of(
    tree: ModelTree, state: State, structure: Any
) -> tuple[tuple[str, float] | None, Callable[[State], dict[str, Any]] | None]:
    """Where a cell is reset, and to what."""
    model = tree.model({})
    if not callable(getattr(model, "reset", None)) or callable(getattr(model, "threshold", None)):
        return None, None

    def reset(given: State) -> dict[str, Any]:
        s = jax.tree.unflatten(structure, [given[name] for name in state])
        return _like(state, jax.tree.leaves(model.reset(s)))

    return ("V", float(model.V_th)), reset


def _check_autonomous(of_time: Callable[[Any], list[Any]], what: str) -> None:
    if dependence(of_time, jnp.zeros(())).any():
        raise AnalysisError(
            f"{what}: its derivative depends on the time t itself: it has no fixed points. Make "
            "the phase of the time a variable of the state: phi' = omega."
        )


def _like(state: State, found: Sequence[Any]) -> dict[str, Any]:
    """What a model returned, by name, in the shapes of the state."""
    return {
        name: jnp.broadcast_to(jnp.asarray(value, jnp.float64), np.shape(of))
        for (name, of), value in zip(state.items(), found, strict=True)
    }


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


def _name(path: tuple[Any, ...]) -> str:
    words = [str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path]
    return ".".join([*(word for word in words[:-1] if word not in TRANSPARENT), words[-1]])


def _check_name(name: Any, known: Any, what: str) -> None:
    if name not in known:
        raise NameLookupError(f'{what} "{name}". {suggestion(name, known)}')

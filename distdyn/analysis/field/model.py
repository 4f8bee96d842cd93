"""The vector field of a single model: its numbers by name, and what is no function of its state."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.analysis.field.delayed import Present
from distdyn.analysis.field.flat import State, VectorField, check_name
from distdyn.core.flow import dependence
from distdyn.core.integrators.default import has_noise
from distdyn.core.integrators.delayed import has_past
from distdyn.core.ode import ODE
from distdyn.core.signal import Signal
from distdyn.core.system import Drive, DynamicalSystem, Tick
from distdyn.errors import AnalysisError, ParameterError
from distdyn.network.distributions import Distribution
from distdyn.network.values import check_model
from distdyn.units import shown

TRANSPARENT = ("neuron", "members")  # fields that hold what has names of its own


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
    def of(cls, model: DynamicalSystem, drawn: Callable[[str, Any], Any] | None = None) -> Any:
        """Take a model apart.

        Args:
            model: with numbers, arrays or distributions.
            drawn: the values of a distribution, by the name of the parameter.

        Raises:
            AnalysisError: a parameter is a signal in time, or a distribution of a single cell.
        """
        found, structure = jax.tree_util.tree_flatten_with_path(
            model, is_leaf=lambda x: isinstance(x, Signal)
        )
        parameters, place, leaves = {}, {}, []
        for k, (path, leaf) in enumerate(found):
            name = _name(path)
            if isinstance(leaf, Distribution):
                if drawn is None:
                    raise AnalysisError(
                        f"{type(model).__name__}: {name} = {shown(leaf)} is a distribution. Give a "
                        "single cell a number."
                    )
                leaf = drawn(name, leaf)
            leaves.append(leaf)
            if isinstance(leaf, Signal):
                raise AnalysisError(
                    f"{type(model).__name__}: {name} is a signal in time, and a vector field does "
                    "not depend on time. Give a number."
                )
            is_number = isinstance(leaf, int | float | np.number | np.ndarray | jax.Array)
            if is_number and not isinstance(leaf, bool) and not name.startswith("method."):
                parameters[name] = np.asarray(leaf, np.float64)
                place[name] = k
        return cls(parameters, structure, leaves, place)

    def model(self, given: State) -> Any:
        """The model with these parameters in the place of its own."""
        leaves = list(self.leaves)
        for name, value in given.items():
            check_name(name, self.place, "there is no parameter")
            leaves[self.place[name]] = value
        return jax.tree.unflatten(self.structure, leaves)

    def changed(self, given: Any, what: str, length: int | None = None) -> "ModelTree":
        """The same with other numbers.

        Args:
            given: by name.
            what: whose they are, for errors.
            length: of how many units it is the model: each may have its own number.

        Raises:
            NameLookupError: there is no parameter of a name.
            ParameterError: no mapping; a number outside its domain, or an array that does not fit.
        """
        if not isinstance(given, Mapping):
            raise ParameterError(
                f"{what}: parameters: give a mapping by name, as `DSTrainer.parameters` is one."
            )
        if not given:
            return self
        values = {}
        for name, value in given.items():
            check_name(name, self.parameters, f"{what} has no parameter")
            values[name] = np.asarray(value, np.float64)
            shape = np.shape(self.parameters[name]) if length is None else (length,)
            if values[name].shape not in ((), shape):
                raise ParameterError(
                    f"{what}: {name} is given with the shape {values[name].shape}. Give one number"
                    + (f", or {shape}." if shape else ".")
                )
        model = self.model({name: v if v.ndim else float(v) for name, v in values.items()})
        if length is not None or not any(np.ndim(v) for v in self.parameters.values()):
            check_model(model, what, length=length)
        return ModelTree(
            self.parameters | values, self.structure, jax.tree.leaves(model), self.place
        )


def state_by_name(state: Any) -> tuple[dict[str, Any], Any]:
    """A model's State as a dict, "INa.m" for what is within, and the tree that it was."""
    found, structure = jax.tree_util.tree_flatten_with_path(state)
    return {_name(path): jnp.asarray(leaf, jnp.float64) for path, leaf in found}, structure


def check_can_be_field(model: ODE) -> None:
    """Raise an AnalysisError for equations that are no function of the present state alone."""
    what = type(model).__name__
    if model.order is not None:
        raise AnalysisError(
            f"{what} has derivatives of order {model.order}: stability is not decided by the signs "
            "of eigenvalues there. Leave out the order: the fixed points are the same."
        )


def notes_of(model: ODE) -> tuple[str, ...]:
    """What the field of a model leaves out."""
    notes = []
    if has_noise(model):
        notes.append(f"{type(model).__name__} has noise: this is its drift.")
    if callable(getattr(model, "reset", None)):
        notes.append(f"{type(model).__name__} is reset at spikes: this is the field between them.")
    if has_past(model):
        notes.append(f"{type(model).__name__} has delays: a fixed point has always been there.")
    return tuple(notes)


def field_of_ode(model: ODE, parameters: Any) -> VectorField:
    """The derivative of the state, with these numbers in the place of the model's.

    Raises:
        AnalysisError: it is no function of the present state alone.
    """
    check_can_be_field(model)
    tree = ModelTree.of(model).changed(parameters, type(model).__name__)
    with jax.enable_x64(True):
        state, structure = state_by_name(tree.model({}).init(jnp.int64(0), jax.random.key(0)))
        state = {name: np.asarray(value) for name, value in state.items()}

    what = type(model).__name__

    def rate(t: Any, given: State, parameters: State, values: Any = None) -> Any:
        """The derivatives, and what was read of the past."""
        s = jax.tree.unflatten(structure, [given[name] for name in state])
        past = (Present(given, values, what),) if has_past(model) else ()
        found = tree.model(parameters).derivative(t, s, Drive(0.0), *past)
        return _like(state, jax.tree.leaves(found)), past[0].read if past else []

    def F(given: State, parameters: State) -> dict[str, Any]:
        return rate(0.0, given, parameters)[0]

    with jax.enable_x64(True):
        check_autonomous(lambda t: list(rate(t, state, {})[0].values()), what)
    threshold, reset = _reset_of(tree, state, structure)
    return VectorField(
        F, state, tree.parameters, True, what, notes_of(model), threshold, reset,
        partial(rate, 0.0) if has_past(model) else None,
    )  # fmt: skip


def field_of_step(model: DynamicalSystem, dt: float | None, parameters: Any) -> VectorField:
    """The step of a model that has no derivative, with these numbers in the place of its own.

    Raises:
        AnalysisError: it is random, or its length is not given.
    """
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
    tree = ModelTree.of(model).changed(parameters, what)
    with jax.enable_x64(True):
        state, structure = state_by_name(tree.model({}).init(jnp.int64(0), jax.random.key(0)))
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


def check_autonomous(of_time: Callable[[Any], list[Any]], what: str) -> None:
    """Raise an AnalysisError for derivatives that depend on the time."""
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


def _name(path: tuple[Any, ...]) -> str:
    words = [str(getattr(k, "name", getattr(k, "key", getattr(k, "idx", k)))) for k in path]
    return ".".join([*(word for word in words[:-1] if word not in TRANSPARENT), words[-1]])

"""The field of a network whose state is dealt to the devices of this process.

    device d has the units d w, ..., (d + 1) w - 1 of each population, w = units / devices

and their variables, parameters, and columns of weights. For one evaluation of F every device needs
what all units send: one collective for values, one for spikes; nothing else travels. Numerical
methods work on one vector y, in which the variables of a device are side by side; where a
population does not divide, entries of y are nobody's, and 0.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Int64

from distdyn._jax import varying_over
from distdyn.analysis.field.flat import State
from distdyn.analysis.field.network_step import NetworkStep, Sent
from distdyn.analysis.field.units import Units
from distdyn.network.network import Graph
from distdyn.ops.matrix.split import Split, split_columns

STATE = "state"  # the axis of the mesh


@dataclass(frozen=True, eq=False)
class Spread:
    """A network's field on vectors that are dealt to devices.

    Attributes:
        step: the network, whose matrices are in `held` alone.
        mesh: of the devices, along one axis.
        held: what they read, each its own.
        shapes: of the variables by name.
        parameters: the names of p.
        is_resting: whether what follows from the others at a fixed point is no variable.
    """

    step: NetworkStep
    mesh: Mesh
    held: Any
    shapes: dict[str, tuple[int, ...]]
    parameters: tuple[str, ...] = ()
    is_resting: bool = False
    _made: dict[Any, "Spread"] = field(default_factory=dict, init=False)

    def of(self, parameters: Sequence[str]) -> "Spread":
        """The same with these parameters as p; the same each time."""
        key = tuple(parameters)
        if key not in self._made:
            self._made[key] = replace(self, parameters=key)
        return self._made[key]

    @cached_property
    def resting(self) -> "Spread":
        """The same of the variables from which the others follow at a fixed point."""
        kept = {n: shape for n, shape in self.shapes.items() if n not in self.step.follows}
        return replace(self, shapes=kept, is_resting=True)

    @property
    def is_continuous(self) -> bool:
        """Whether it is a derivative."""
        return self.step.dt is None

    # --- the function ----------------------------------------------------------------------------

    def f(self, held: Any, y: Any, p: Any) -> Any:
        """The field at y; pure, for jit, vmap and derivatives. What is held is an argument."""
        return self._on_devices("moved", held, y, p)

    def residual(self, held: Any, y: Any, p: Any) -> Any:
        """What is zero at a fixed point."""
        found = self.f(held, y, p)
        return found if self.is_continuous else found - y

    def values(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """What is zero at fixed points, at some states [m, n]."""
        with jax.enable_x64(True):
            found = [_run(self, "moved", self.held, self.laid(a), p) for a in x]
        moved = np.stack([self.fetched(y) for y in found])
        return moved if self.is_continuous else moved - x

    def first(self) -> dict[str, np.ndarray]:
        """The state with which the simulator begins."""
        zero = self.laid(np.zeros(self._n))
        with jax.enable_x64(True):
            y = _run(self, "begun", self.held, zero, np.zeros(0))
        return self._named(self.fetched(y))

    def apply(self, given: State, changed: State, t: Any = 0.0) -> dict[str, Any]:
        """The field, by names."""
        return self._by_name("moved", self.shapes, given, changed, t)

    def at_rest(self, given: State, changed: State) -> dict[str, Any]:
        """The whole state, of the variables of `resting`."""
        return self.resting._by_name("settled", self.step.shapes, given, changed)

    def _by_name(
        self, what: str, shapes: Any, given: State, changed: State, t: Any = 0.0
    ) -> dict[str, Any]:
        of, p = self.of(tuple(changed)), jnp.array([*changed.values()], jnp.float64)
        x = jnp.concatenate([jnp.reshape(given[name], -1) for name in self.shapes])
        y = jnp.where(self.place >= 0, x[np.maximum(self.place, 0)], 0.0)
        found = _run(of, what, self.held, y, p, t)
        to = of if shapes is self.shapes else replace(of, shapes=shapes)
        return to._named(found[np.argsort(to.place, kind="stable")[len(to.place) - to._n :]])

    def _on_devices(self, what: str, held: Any, y: Any, p: Any, t: Any = 0.0) -> Any:
        split = P(STATE)
        run = jax.shard_map(
            functools.partial(self._here, what), mesh=self.mesh,
            in_specs=(_specs(held), split, P(), P()), out_specs=split, check_vma=True,
        )  # fmt: skip
        return run(held, y, p, t)

    def _here(self, what: str, held: Any, y: Any, p: Any, t: Any) -> Any:
        """What one device has of the result, from its part of y."""
        given = held, y, p, t
        held, y, p, t = jax.tree.map(lambda x: varying_over(jnp.asarray(x), (STATE,)), given)
        per_unit, matrices, totals = held
        here = (
            {path: {n: x[0] for n, x in of.items()} for path, of in per_unit.items()},
            [A.local() if isinstance(A, Split) else A[0] for A in matrices],
            [None if x is None else x[0] for x in totals],
        )
        if what == "begun":
            return self._joined(self.step.begun(here, self._whole), self.shapes)
        changed = {name: p[k] for k, name in enumerate(self.parameters)}
        given = self._given(here[0], y)
        if self.is_resting:
            given = self.step.settled(here, given, changed, self._whole)[1]
        if what == "settled":
            return self._joined(given, self.step.shapes)
        return self._joined(self.step(here, given, changed, self._whole, t), self.shapes)

    def _joined(self, found: State, shapes: Any) -> Any:
        """The part of y that a device has, of variables by name."""
        parts = [jnp.where(self._is_one(s), found[name], 0.0) for name, s in shapes.items()]
        return jnp.concatenate([part.reshape(-1) for part in parts])

    def _given(self, per_unit: Any, y: Any) -> dict[str, Any]:
        """The variables of a device by name; where there is no unit, those of one that begins."""
        found, first = {}, 0
        for name, shape in self.shapes.items():
            width = self._width(shape)
            last = first + int(np.prod(shape[:-1], dtype=int)) * width
            mine = y[first:last].reshape(*shape[:-1], width)
            found[name] = jnp.where(self._is_one(shape), mine, self._filler(per_unit, name))
            first = last
        return found

    def _filler(self, per_unit: Any, name: str) -> Any:
        for path, of in self.step.units.items():
            if name in of.variables:
                return per_unit[path][f"first {of.variables.index(name)}"].astype(jnp.float64)
        return 0.0

    def _width(self, shape: tuple[int, ...]) -> int:
        return width_of(shape[-1], self.mesh.size)

    def _is_one(self, shape: tuple[int, ...]) -> Any:
        """Of each place of a device whether there is a unit."""
        width = self._width(shape)
        return jax.lax.axis_index(STATE) * width + jnp.arange(width) < shape[-1]

    def _whole(self, sent: Sent) -> Sent:
        """What all units send, in one collective."""
        if not sent:
            return sent
        whole = jax.lax.all_gather(jnp.concatenate([*sent.values()]), STATE)  # [device, ...]
        ends = np.cumsum([len(values) for values in sent.values()])[:-1]
        pieces = zip(sent, jnp.split(whole, ends, axis=1), strict=True)
        return {key: x.reshape(-1)[: self.step.units[key[0]].size] for key, x in pieces}

    # --- vectors ---------------------------------------------------------------------------------

    @property
    def _n(self) -> int:
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def _named(self, x: Any) -> dict[str, Any]:
        found, first = {}, 0
        for name, shape in self.shapes.items():
            last = first + int(np.prod(shape))
            found[name] = x[first:last].reshape(shape)
            first = last
        return found

    @cached_property
    def place(self) -> Int64[np.ndarray, "m"]:
        """Of each entry of y which of x it is; -1 of those that are nobody's."""
        columns, first, k = [], 0, self.mesh.size
        for shape in self.shapes.values():
            count, width = int(np.prod(shape)), self._width(shape)
            index = first + np.arange(count).reshape(-1, shape[-1])
            room = k * width - shape[-1]
            index = np.pad(index, [(0, 0), (0, room)], constant_values=-1)
            columns.append(index.reshape(-1, k, width).swapaxes(0, 1).reshape(k, -1))
            first += count
        return np.concatenate(columns, axis=1).reshape(-1)

    def laid(self, x: Any, fill: float = 0.0, axis: int = -1) -> jax.Array:
        """Some x on the devices, dealt along this axis."""
        x = np.moveaxis(np.asarray(x, np.float64), axis, -1)
        y = np.where(self.place >= 0, x[..., np.maximum(self.place, 0)], fill)
        spec: list[str | None] = [None] * y.ndim
        spec[axis] = STATE
        with jax.enable_x64(True):
            sharding = NamedSharding(self.mesh, P(*spec))
            return jax.device_put(np.moveaxis(y, -1, axis), sharding)

    def fetched(self, y: Any, axis: int = -1) -> np.ndarray:
        """The inverse of `laid`."""
        y = np.moveaxis(np.asarray(y), axis, -1)
        x = np.zeros((*y.shape[:-1], self._n), y.dtype)
        x[..., self.place[self.place >= 0]] = y[..., self.place >= 0]
        return np.moveaxis(x, -1, axis)


@functools.partial(jax.jit, static_argnames=("spread", "what"))
def _run(spread: Spread, what: str, held: Any, y: Any, p: Any, t: Any = 0.0) -> Any:
    return spread._on_devices(what, held, y, p, t)


def width_of(size: int, devices: int) -> int:
    """How many units of a population each device has."""
    return max(1, -(-size // devices))


def spread_over(
    members: Graph, seed: int, dt: float | None, given: Mapping[str, Any], devices: Sequence[Any]
) -> Spread:
    """A network on some devices; see `NetworkStep.of`."""
    mesh = Mesh(np.array(devices), (STATE,), axis_types=(AxisType.Auto,))
    k = len(devices)
    widths = {path: width_of(p.size, k) for path, p in members.populations.items()}
    step = NetworkStep.of(members, seed, dt, given, widths, k)
    per_unit = {path: _units(mesh, of, widths[path]) for path, of in step.units.items()}
    totals = [None if x is None else _dealt(mesh, x.reshape(k, -1)) for x in step.held[2]]
    matrices = [_matrix(mesh, road.matrix) for road in step.roads]
    bare = replace(step, roads=[replace(road, matrix=None) for road in step.roads])
    return Spread(bare, mesh, (per_unit, matrices, totals), step.shapes)


def _units(mesh: Mesh, of: Units, width: int) -> dict[str, Any]:
    """What differs between units, each device its own; the last unit fills up."""
    at = np.minimum(np.arange(mesh.size * width), of.size - 1).reshape(mesh.size, width)
    return {name: _dealt(mesh, array[at]) for name, array in of.per_unit.items()}


def _matrix(mesh: Mesh, matrix: Any) -> Any:
    """The columns of each device."""
    if not isinstance(matrix, np.ndarray):
        return split_columns(matrix, mesh, STATE, mesh.size, slice(None))
    n, columns = matrix.shape
    width = columns // mesh.size

    def of_device(index: Any) -> np.ndarray:
        device, _, _ = index[0].indices(mesh.size)
        return matrix[None, :, device * width : (device + 1) * width]

    sharding = NamedSharding(mesh, P(STATE))
    with jax.enable_x64(True):
        return jax.make_array_from_callback((mesh.size, n, width), sharding, of_device)


def _dealt(mesh: Mesh, array: np.ndarray) -> jax.Array:
    with jax.enable_x64(True):
        return jax.device_put(array, NamedSharding(mesh, P(STATE)))


def _specs(held: Any) -> Any:
    """How what is held enters a `shard_map`."""
    per_unit, matrices, totals = held
    own = P(STATE)
    return (
        jax.tree.map(lambda _: own, per_unit),
        [A.specs() if isinstance(A, Split) else own for A in matrices],
        jax.tree.map(lambda _: own, totals),
    )

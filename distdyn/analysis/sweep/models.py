"""Sweeps of a model: many points are one program, which every device runs on its own blocks.

    points   blocks of a fixed number of points, by which work is dealt: what a point comes to
             depends neither on the device nor on who computes the others
    device   its blocks one after the other, in a loop of its own: no device waits for another
    block    one cell per point, advanced together (vmap), and measured while they run

A point has what `DSRunner` of the model alone has: the same initial state, noise and order of a
step, for the same seed.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Float64

from distdyn.analysis.sweep.folds import fold_of
from distdyn.analysis.sweep.grid import SEED, Points, Span
from distdyn.analysis.sweep.parameters import check_names, impossible, varied
from distdyn.core.cell import Cell, CellState
from distdyn.core.flow import Flow
from distdyn.core.integrators import has_past, method_of
from distdyn.core.integrators.delayed import delays_of
from distdyn.core.ode import ODE
from distdyn.core.system import Drive, Tick, state_fields
from distdyn.errors import AnalysisError
from distdyn.ops.normal import Stream
from distdyn.random import stream_key
from distdyn.run.record import CELL

ROUNDS = 64  # the most blocks that a device gets in one call
SMALL, LARGE = 32, {"cpu": 256, "gpu": 1 << 15}  # points of a block
MEMORY = 1 << 28  # bytes of trajectories that a block may hold


class ModelWork:
    """The blocks of a sweep of a model.

    Attributes:
        measures: the names of what is measured.
        units: how many blocks there are.
    """

    def __init__(
        self,
        model: ODE,
        points: Points,
        measures: Sequence[Any],
        span: Span,
        *,
        seed: int,
        precision: str,
        devices: Sequence[Any],
    ) -> None:
        self.points, self.span, self._devices = points, span, list(devices)
        self._precision = precision
        self._states = tuple(n for n in points.columns if n in state_fields(model))
        self._fields = tuple(n for n in points.columns if n not in (SEED, *self._states))
        check_names(model, self._fields)
        self.reasons = impossible(model, points, self._fields, self._states, span.dt)
        self._seeds = points.columns.get(SEED, np.full(len(points), seed, object))
        with jax.enable_x64(True):
            self._cell = self._representative(model)
            self._folds = [fold_of(m, self._cell) for m in measures if not callable(m)]
            self._functions = [m for m in measures if callable(m)]
            self.measures = self._names()
            self.size = self._block_size()
            self._program = self._compiled()
        self.units = -(-len(points) // self.size)

    @property
    def capacity(self) -> int:
        """The most blocks that one call of `do` takes."""
        return ROUNDS * len(self._devices)

    @property
    def width(self) -> int:
        """How many blocks keep all devices busy."""
        return len(self._devices)

    def points_of(self, unit: int) -> range:
        """The points of a block."""
        return range(unit * self.size, min((unit + 1) * self.size, len(self.points)))

    def do(self, units: Sequence[int]) -> list[tuple[dict[str, np.ndarray], list[str]]]:
        """What some blocks come to: of each the values by name, and per point why it failed."""
        devices = len(self._devices)
        rounds = -(-len(units) // devices)
        place = [(k % devices, k // devices) for k in range(len(units))]
        given = np.zeros((devices, ROUNDS, self.size, len(self._fields) + len(self._states)))
        words = np.zeros((devices, ROUNDS, self.size, 4), np.uint32)
        first, _ = self._block(0)  # numbers that a model knows what to do with
        given[...] = first
        for at, unit in zip(place, units, strict=True):
            given[at], words[at] = self._block(unit)
        with jax.enable_x64(True):
            found = np.asarray(self._program(np.full(devices, rounds), given, words))
        return [self._read(unit, found[at]) for at, unit in zip(place, units, strict=True)]

    # --- a block ---------------------------------------------------------------------------------

    def _block(self, unit: int) -> tuple[np.ndarray, np.ndarray]:
        """The parameters and the random words of a block's points; the last one fills it up."""
        own = np.minimum(unit * self.size + np.arange(self.size), len(self.points) - 1)
        columns = [self.points.columns[name][own] for name in (*self._fields, *self._states)]
        given = np.stack(columns, axis=1) if columns else np.zeros((self.size, 0))
        seeds = [int(seed) for seed in self._seeds[own]]
        known = {
            seed: (*stream_key(seed, "init", CELL), *stream_key(seed, "noise", CELL))
            for seed in set(seeds)
        }
        return given, np.array([known[seed] for seed in seeds], np.uint32)

    def _read(
        self, unit: int, found: Float64[np.ndarray, "n m"]
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        own = self.points_of(unit)
        *columns, is_finite = found[: len(own)].T
        values = dict(zip(self.measures, columns, strict=True))
        reasons = []
        for k, point in enumerate(own):
            wrong = [name for name, column in values.items() if not np.isfinite(column[k])]
            reason = self.reasons.get(point, "")
            if not reason and not is_finite[k]:
                reason = "the state is not finite at the end"
            if not reason and wrong:
                reason = f"{wrong[0]} is {values[wrong[0]][k]:g}"
            reasons.append(reason)
        bad = np.array([point in self.reasons for point in own])
        return {name: np.where(bad, np.nan, column) for name, column in values.items()}, reasons

    # --- the program -----------------------------------------------------------------------------

    def _representative(self, model: ODE) -> Cell:
        """The cell of a point that is possible, with the method of all points."""
        good = next((k for k in range(len(self.points)) if k not in self.reasons), None)
        if good is None:
            raise AnalysisError(f"no point of the sweep is possible: {self.reasons[0]}")
        first = varied(model, {name: self.points.columns[name][good] for name in self._fields})
        delays = None
        if has_past(model):
            known = [
                delays_of(varied(model, {n: self.points.columns[n][k] for n in self._fields}))
                for k in range(len(self.points))
                if k not in self.reasons
            ]
            delays = min(low for low, _ in known), max(high for _, high in known)
        cell = Cell(first, method=method_of(Flow(first)), delays=delays)
        cell.check(self.span.dt)
        return cell

    def _names(self) -> tuple[str, ...]:
        names: list[str] = []

        def look(given: Any, words: Any) -> list[Any]:
            found, _ = self._point(given, words)
            names.extend(found)  # JAX would sort them
            return list(found.values())

        given = jnp.zeros(len(self._fields) + len(self._states))
        jax.eval_shape(look, given, jnp.zeros(4, jnp.uint32))
        return tuple(names)

    def _block_size(self) -> int:
        """A function of the description and the platform alone."""
        points = 1 << max(0, (len(self.points) // 16 - 1).bit_length())
        most = LARGE.get(self._devices[0].platform, LARGE["gpu"])
        if self._functions:
            states = jax.tree.leaves(jax.eval_shape(lambda: self._cell.init(0, jax.random.key(0))))
            bytes_ = 8 * len(states) * max(1, self.span.steps // self.span.every)
            most = min(most, 1 << max(0, (MEMORY // bytes_).bit_length() - 1))
        return max(min(points, most), min(SMALL, most))

    def _compiled(self) -> Callable[..., Any]:
        mesh = Mesh(np.array(self._devices), ("point",))
        spec = PartitionSpec("point")

        def of_device(rounds: Any, given: Any, words: Any) -> Any:
            def one(k: Any, all: Any) -> Any:
                found, is_finite = jax.vmap(self._point)(given[0, k], words[0, k])
                columns = [
                    jnp.asarray(x, float) for x in (*map(found.get, self.measures), is_finite)
                ]
                return all.at[k].set(jnp.stack(columns, axis=1))

            room = jnp.zeros((ROUNDS, self.size, len(self.measures) + 1))
            return jax.lax.fori_loop(0, rounds[0], one, room)[None]

        # Nothing is communicated, so that what varies need not be told from what does not.
        return jax.jit(
            jax.shard_map(
                of_device, mesh=mesh, in_specs=(spec, spec, spec), out_specs=spec, check_vma=False
            )
        )

    def _point(self, given: Any, words: Any) -> tuple[dict[str, Any], Any]:
        """What one point comes to, and whether its last state is finite."""
        n = len(self._fields)
        fields = dict(zip(self._fields, given[:n], strict=True))
        chosen = dict(zip(self._states, given[n:], strict=True))
        cell = eqx.tree_at(lambda c: c.neuron, self._cell, varied(self._cell.neuron, fields))
        prepared = self._cast(cell.prepare(self.span.dt))
        state = self._cast(self._begin(cell, chosen, words[:2]))
        cell = self._cast(cell)
        stream = Stream(words[2], words[3], jnp.zeros((), jnp.uint32))

        def step(state: CellState, k: Any) -> tuple[CellState, Any, Any]:
            t = k.astype(float) * self.span.dt
            tick = Tick(k, self.span.dt, t, stream if cell.has_noise else None)
            state, spike = cell.advance(state, Drive(), tick, prepared)
            is_spike = jnp.zeros((), bool) if spike is None else spike
            return state, t + self.span.dt, is_spike

        if self.span.warmup:  # a loop of no steps would be compiled all the same
            state = jax.lax.fori_loop(0, self.span.warmup, lambda k, s: step(s, k)[0], state)
        found, last = self._measured(state, step)
        finite = [jnp.isfinite(x).all() for x in jax.tree.leaves(last.neuron)]
        return found, reduce(jnp.logical_and, finite, jnp.ones((), bool))

    def _begin(self, cell: Cell, chosen: Mapping[str, Any], words: Any) -> CellState:
        """The state at t = 0, as a population of one cell has it."""
        key = jax.random.fold_in(jax.random.wrap_key_data(words, impl="threefry2x32"), 0)
        state = cell.init(jnp.int64(0), key)
        if chosen:
            state = _placed(cell.settle(_placed(state, chosen)), chosen)
        return cell.remember(state, self.span.dt)

    def _measured(self, state: CellState, step: Any) -> tuple[dict[str, Any], CellState]:
        span = self.span
        is_stored = bool(self._functions)

        def one(k: Any, carried: Any) -> Any:
            state, sums = carried
            state, t, spike = step(state, k)
            sums = [
                _as(fold.add(a, t, state.neuron, spike), a)
                for fold, a in zip(self._folds, sums, strict=True)
            ]
            return state, sums

        def some(carried: Any, first: Any) -> tuple[Any, Any]:
            carried = jax.lax.fori_loop(first, first + span.every, one, carried)
            return carried, carried[0].neuron if is_stored else None

        sums = [jax.tree.map(jnp.asarray, fold.begin(state.neuron)) for fold in self._folds]
        first = span.warmup + jnp.arange(0, span.steps, span.every)
        if is_stored:
            (state, sums), trajectory = jax.lax.scan(some, (state, sums), first)
        else:  # one loop: JAX takes twice the time to trace two, one in the other
            (state, sums), trajectory = some((state, sums), first[0])[0], None
        found: dict[str, Any] = {}
        for fold, a in zip(self._folds, sums, strict=True):
            found |= _checked(fold.end(a, span.duration), "fold")
        time = (first + span.every) * jnp.asarray(span.dt, float)
        for function in self._functions:
            found |= _checked(function(time, trajectory), name_of(function))
        return found, state

    def _cast(self, tree: Any) -> Any:
        def cast(x: Any) -> Any:
            is_float = eqx.is_array(x) and jnp.issubdtype(x.dtype, jnp.floating)
            return x.astype(self._precision) if is_float else x

        return jax.tree.map(cast, tree)


def name_of(function: Any) -> str:
    """What a measure is called in messages."""
    return getattr(function, "__name__", type(function).__name__)


def _placed(state: CellState, chosen: Mapping[str, Any]) -> CellState:
    """The state with some variables set."""
    neuron = state.neuron
    for name, value in chosen.items():
        path = name.split(".")
        neuron = eqx.tree_at(lambda s, path=path: reduce(getattr, path, s), neuron, value)
    return state._replace(neuron=neuron)


def _as(new: Any, old: Any) -> Any:
    """With the types that a sum began with."""
    return jax.tree.map(lambda x, like: jnp.asarray(x).astype(like.dtype), new, old)


def _checked(found: Any, what: str) -> dict[str, Any]:
    """The numbers that a measure gives, by name."""
    is_named = isinstance(found, Mapping) and found and all(isinstance(n, str) for n in found)
    if not is_named or any(jnp.ndim(x) for x in found.values()):
        shapes = (
            {n: jnp.shape(x) for n, x in found.items()}
            if isinstance(found, Mapping)
            else "one value without a name"
        )
        raise AnalysisError(
            f"measure {what} gives {shapes}, not numbers by name. Return a dict such as "
            '{"peak": jnp.max(state.V)}.'
        )
    return dict(found)

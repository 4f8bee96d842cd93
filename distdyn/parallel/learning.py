"""Learning tables on their devices: what they learn by, and what they have learned so far."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import PartitionSpec

from distdyn.core.plasticity import Plasticity
from distdyn.errors import NetworkError, PlatformError, SimulationError
from distdyn.ops import learning
from distdyn.ops.learning import Law, Learned
from distdyn.ops.rows import Rows
from distdyn.parallel.built import Built
from distdyn.parallel.connect import Table, initial_weights
from distdyn.parallel.scale import largest_plastic
from distdyn.parallel.stack import Stack


def sees_voltage(plasticity: Any) -> bool:
    """Whether a rule, or None, follows V of the post cells."""
    return isinstance(plasticity, Plasticity) and plasticity.sees_voltage


OWN, SAME = PartitionSpec("part"), PartitionSpec()


def _on_each(function: Callable[..., Any], same: int, *, changes: bool) -> Callable[..., Any]:
    """A function of `ops.learning` on each device: of (mesh, learned, law, rows, ...).

    Args:
        function: of what is learned, the law, the rows, and what is the same on all devices.
        same: how many of the last there are.
        changes: whether it changes what is learned, in place.
    """

    def on_each(mesh: Any, learned: Learned, *given: Any) -> Any:
        specs = (OWN, OWN, OWN, *[SAME] * same)
        run = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=OWN, check_vma=False)
        return run(learned, *given)

    return jax.jit(on_each, static_argnums=0, donate_argnums=(1,) if changes else ())


_weights_at = _on_each(learning.weights_at, 1, changes=False)
_catch_up = _on_each(learning.catch_up, 1, changes=True)
_settle = _on_each(learning.settle, 2, changes=True)


class Learning:
    """The plastic tables of our parts.

    Args:
        built: whose tables.
        stack: the devices.
        kernels: whether machine code is used.
        voltage: gives V of the cells of a group on each device.

    Attributes:
        laws: what each table learns by, with a block for each device; None for tables that do not.
        learned: the same of what a chunk changes.

    Raises:
        PlatformError: there is plasticity, but no machine code.
        NetworkError: a rule has no machine code.
    """

    def __init__(
        self,
        built: Built,
        stack: Stack,
        *,
        kernels: bool,
        voltage: Callable[[int], list[np.ndarray]],
    ) -> None:
        self.built, self.stack, self._voltage = built, stack, voltage
        plastic = [table for table in built.tables if table.plasticity is not None]
        if plastic and not kernels:
            raise PlatformError(
                f'projection "{plastic[0].paths[0]}": plasticity runs on CPUs with their kernels '
                'only. Use platform="cpu", and see `distdyn doctor` if there are no kernels.'
            )
        self._laws = [self._law(table) for table in built.tables]
        self.laws = tuple(law and self._own([law] * len(stack.devices)) for law in self._laws)
        self.learned: list[Any] = [None] * len(self._laws)

    def clear(self) -> None:
        """Weights as they were drawn, and nobody has spiked."""
        self.learned = [self._begin(k) for k in range(len(self._laws))]

    def law(self, table: int) -> Law:
        """What a plastic table learns by, on the host."""
        law = self._laws[table]
        assert law is not None
        return law

    def weights(self, path: str, rows: Sequence[Any], step: int) -> list[list[np.ndarray]]:
        """The weights of a projection's tables at a step, on each device.

        Args:
            path: of the projection.
            rows: the tables of all projections, as they are on the devices.
            step: the last one; what has happened until then has been delivered.
        """
        found = []
        for k in self._tables(path):
            with jax.enable_x64(True):
                given = self.learned[k], self.laws[k], rows[k], np.int64(step)
                found.append(self.stack.blocks(_weights_at(self.stack.mesh, *given)))
        return found

    def settle(self, path: str, rows: Sequence[Any], step: int, reward: float = 0.0) -> None:
        """Bring the synapses of a projection to a step, and add to its reward; as `weights`."""
        for k in self._tables(path):
            if isinstance(self.built.tables[k].plasticity, Plasticity):
                with jax.enable_x64(True):
                    given = self.laws[k], rows[k], np.int64(step), np.float64(reward)
                    self.learned[k] = _settle(self.stack.mesh, self.learned[k], *given)

    def catch_up(self, rows: Sequence[Any], step: int) -> None:
        """Bring all tables to what does not depend on when they caught up; as `weights`."""
        for k, law in enumerate(self.laws):
            if law is not None:
                with jax.enable_x64(True):
                    given = self.learned[k], law, rows[k], np.int64(step)
                    self.learned[k] = _catch_up(self.stack.mesh, *given)

    def keep(self, before: "Learning", path: str) -> None:
        """Take what another has learned, but for the weights of one projection."""
        self.clear()
        changed = self._tables(path)
        for k, learned in enumerate(before.learned):
            if learned is not None:
                weight = self.learned[k].weight if k in changed else learned.weight
                self.learned[k] = learned._replace(weight=weight)

    def failure(self) -> SimulationError | None:
        """What is wrong with the weights."""
        for table, learned in zip(self.built.tables, self.learned, strict=True):
            if learned is not None and any(
                block[learning.STATUS] for block in self.stack.blocks(learned.book)
            ):
                projection = self.built.graph.projections[table.paths[0]]
                return SimulationError(
                    f'projection "{table.paths[0]}": a weight has grown beyond '
                    f"{largest_plastic(projection):g}, the largest that its receptor was made for, "
                    "or is not a number. Use a rule with w_max, or with more headroom."
                )
        return None

    def _tables(self, path: str) -> list[int]:
        return [k for k, table in enumerate(self.built.tables) if table.paths == (path,)]

    def _law(self, table: Table) -> Law | None:
        if table.plasticity is None:
            return None
        from distdyn.ops import lanes

        [path], built = table.paths, self.built
        projection = built.graph.projections[path]
        longest = next(c.longest for c in built.connections if c.path == path)
        scale = built.scale(table.group, table.receptor)
        bound, setting = largest_plastic(projection), built.setting
        is_long = isinstance(table.plasticity, Plasticity)
        law_of = learning.long_term if is_long else learning.short_term
        try:
            return law_of(table.plasticity, setting.dt, setting.precision, scale, bound, longest)
        except lanes.Unsupported as reason:
            raise NetworkError(
                f'projection "{path}": {type(table.plasticity).__name__} uses an operation that '
                f"has no machine code ({reason}). Write its rules with arithmetic, jnp.where, "
                "jnp.exp and the like, of scalars."
            ) from None

    def _begin(self, k: int) -> Any:
        table, law = self.built.tables[k], self._laws[k]
        if law is None:
            return None
        projection = self.built.graph.projections[table.paths[0]]
        scale = self.built.scale(table.group, table.receptor)
        length, origin = self.built.parts.length(table.group), self.built.setting.origin
        return self._own(
            [
                learning.begin(
                    rows,
                    initial_weights(rows, projection, scale, law.first.dtype),
                    length,
                    law,
                    origin,
                    V,
                )
                for rows, V in zip(table.rows, self._voltage(table.group), strict=True)
                if isinstance(rows, Rows)  # all are: plastic rows are stored
            ]
        )

    def _own(self, blocks: Sequence[Law | Learned]) -> Any:
        kind = type(blocks[0])
        with jax.enable_x64(True):
            return kind(*(self.stack.own(arrays) for arrays in zip(*blocks, strict=True)))

"""The step of a group as a function of one cell: what `ops.fuse` compiles.

Everything that the compiled code depends on is a field here, compared by value; everything that may
change without compiling again (parameters, weights, seeds) is an operand.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.firing import Firing
from distdyn.core.system import Drive, Tick
from distdyn.ops.normal import Stream
from distdyn.ops.poisson import Terms, poisson_count


@dataclass(frozen=True)
class ReceptorInput:
    """What arrives at one receptor: a ring, and layers of Poisson input of so many terms."""

    has_ring: bool
    poisson: tuple[Terms, ...]  # of each layer


@dataclass(frozen=True)
class GroupProgram:
    """`(operands, state, arrivals) -> (state, spike)` for one cell of a group.

    Operands in order: step; input current if any; parameters; coefficients; two key words of the
    noise if any; per receptor its scale, then for each Poisson layer delay (steps), two key words,
    expected count and weight; the neuron's id if there is noise or Poisson input.
    """

    system: Any  # tree structure of the parameters
    prepared: Any  # tree structure of the coefficients, or None for a model with its own step
    state: Any  # tree structure of the state
    receptors: tuple[ReceptorInput, ...]
    has_current: bool
    has_noise: bool
    dt: float
    origin: int  # the step at which the run began
    dtype: str
    firing: Firing | None = None  # of those who train: spikes are numbers that have a derivative

    def __call__(
        self, operands: list[Any], state: list[Any], arrivals: list[Any]
    ) -> tuple[list[Any], Any]:
        """One step of one cell, or elementwise of many."""
        rest = iter(operands)
        step = next(rest)
        current = next(rest) if self.has_current else None
        system = _take(self.system, rest)
        prepared = None if self.prepared is None else _take(self.prepared, rest)
        words = (next(rest), next(rest)) if self.has_noise else None
        inputs = self.inputs(rest, iter(arrivals))
        id = next(rest) if self.needs_id else None
        key = None if words is None else Stream(*words, id)
        tick = Tick(step, self.dt, step.astype(jnp.float64) * self.dt, key, self.origin)
        sums = self.sums(step, id, inputs)
        old = jax.tree.unflatten(self.state, state)
        if self.prepared is None:
            new, spike = system.step(old, Drive(0.0 if current is None else current), tick)
        else:
            drive = Drive(current, tuple(sums))
            new, spike = system.advance(old, drive, tick, prepared, self.firing)
        return jax.tree.leaves(new), False if spike is None else spike

    @property
    def needs_id(self) -> bool:
        """Whether something is drawn at every step."""
        return self.has_noise or any(receptor.poisson for receptor in self.receptors)

    def inputs(self, operands: Any, arrivals: Any) -> list[tuple[Any, Any, list[Any]]]:
        """Of each receptor the scale, what the ring brings, and the layers of Poisson input."""
        found = []
        for receptor in self.receptors:
            scale = next(operands)
            total = next(arrivals) if receptor.has_ring else None
            layers = [(terms, *(next(operands) for _ in range(5))) for terms in receptor.poisson]
            found.append((scale, total, layers))
        return found

    def sums(self, step: Any, id: Any, inputs: list[Any]) -> list[Any]:
        """The summed weights due at each receptor, in its unit."""
        result = []
        for scale, total, layers in inputs:
            for terms, delay, key0, key1, expected, weight in layers:
                emitted = step - (delay - np.int64(1))  # the train's own step
                count = poisson_count(id, emitted, (key0, key1), expected, terms)
                count = jnp.where(emitted >= self.origin, count, jnp.zeros_like(count))
                arrival = count.astype(weight.dtype) * weight
                total = arrival if total is None else total + arrival
            result.append(total.astype(self.dtype) * scale)
        return result


def _take(structure: Any, operands: Any) -> Any:
    return structure.unflatten([next(operands) for _ in range(structure.num_leaves)])

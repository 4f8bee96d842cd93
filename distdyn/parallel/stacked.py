"""What the groups of several parts read, stacked for their devices.

Values per segment are the same everywhere. Values per cell have a block for each device, padded to
equal length; so do the cells of an entry that changes in time, with cells that do not exist.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from distdyn.parallel.assemble import Assembly
from distdyn.parallel.operands import Entry, Fixed, Values
from distdyn.parallel.stack import Stack, padded

Alike = Callable[[Any], Any]  # makes a length equal on all devices of a mesh that spans ranks
NOBODY = 2**62  # the step of a spike that never is
_NUMBERS = int | float | np.ndarray | np.number | jax.Array


def stack_operands(
    stack: Stack, assemblies: Sequence[Assembly], length: int, alike: Alike
) -> tuple[Any, ...]:
    """The operands of one group, from its assemblies on each device, with `length` cells."""
    columns = zip(*(assembly.operands for assembly in assemblies), strict=True)
    return tuple(
        _operand(stack, blocks, dtype, length, alike)
        for blocks, dtype in zip(columns, assemblies[0].dtypes, strict=True)
    )


def _operand(stack: Stack, blocks: Sequence[Any], dtype: str, length: int, alike: Alike) -> Any:
    first = blocks[0]
    if isinstance(first, Fixed):
        if first.per == "segment":
            return stack.same(first.array.astype(dtype))
        return stack.own([padded(block.array.astype(dtype), length) for block in blocks])
    entries = [
        _entry(stack, of, first.per, length, alike)
        for of in zip(*(block.entries for block in blocks), strict=True)
    ]
    return Values(tuple(entries), first.per, length if first.per == "cell" else first.size, dtype)


def _entry(stack: Stack, blocks: Sequence[Entry], per: str, length: int, alike: Alike) -> Entry:
    value = jax.tree.map(lambda x: stack.same(x) if isinstance(x, _NUMBERS) else x, blocks[0].value)
    if per == "segment":
        return Entry(stack.same(blocks[0].where), None, value)
    n = alike(max(len(block.where) for block in blocks))
    where = stack.own([padded(block.where, n, length) for block in blocks])
    if blocks[0].take is None:
        return Entry(where, None, value)
    return Entry(where, stack.own([padded(np.asarray(b.take), n) for b in blocks]), value)


def stack_schedule(
    stack: Stack, given: Sequence[tuple[np.ndarray, np.ndarray]], alike: Alike
) -> tuple[Any, Any]:
    """Given spikes (step, cell) of each device."""
    n = alike(max(1, *(len(step) for step, _ in given)))
    steps = stack.own([padded(step, n, NOBODY) for step, _ in given])
    return steps, stack.own([padded(cell.astype(np.int32), n) for _, cell in given])

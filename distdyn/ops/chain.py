"""Chain: operators on CPU that follow each other, as one call of XLA.

    chain = Chain()
    token = append(board, ..., via=chain)          # nothing happens yet: `token` is `Later`
    ring, token = arrive_all(ring, ..., token, via=chain)
    ring, stop = chain.run(ring, settle(board, token, via=chain))

A call costs XLA 0.1 us, and several times that where devices of one process call at once, for they
share what a call needs; a step of some thousand cells takes 5 us.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np


def now(name: str, shapes: Any, aliases: Mapping[int, int], *arguments: Any) -> Any:
    """Call one operator: argument a is updated in place and is result aliases[a]."""
    call = jax.ffi.ffi_call(name, shapes, input_output_aliases=dict(aliases))
    return call(*arguments)


class Later(NamedTuple):
    """A result of an operator of a chain that has not run."""

    step: int
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype


class Step(NamedTuple):
    """An operator of a chain, and where its buffers are among those of the whole: args, results."""

    name: str
    buffers: tuple[int, ...]


class _Call(NamedTuple):
    name: str
    shapes: Sequence[Any]
    aliases: Mapping[int, int]
    arguments: tuple[Any, ...]


class Chain:
    """Takes calls in the place of `now`, and makes them one after the other in `run`."""

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    def __call__(self, name: str, shapes: Any, aliases: Mapping[int, int], *arguments: Any) -> Any:
        each = list(shapes) if isinstance(shapes, Sequence) else [shapes]
        self._calls.append(_Call(name, each, aliases, arguments))
        step = len(self._calls) - 1
        later = [Later(step, k, x.shape, np.dtype(x.dtype)) for k, x in enumerate(each)]
        return later if isinstance(shapes, Sequence) else later[0]

    def run(self, *wanted: Any) -> list[Any]:
        """Make the calls, if there are any; the arrays that were `Later`, others as they are."""
        if not self._calls:
            return list(wanted)
        given: list[Any] = []  # arrays that come from outside
        shapes: list[Any] = []  # of all results
        place: dict[tuple[int, int], int] = {}  # of each result among them
        aliases: dict[int, int] = {}
        found: list[tuple[str, list[tuple[str, int]]]] = []
        for number, call in enumerate(self._calls):
            buffers = []
            for x in call.arguments:
                if isinstance(x, Later):
                    buffers.append(("result", place[x.step, x.index]))
                    continue
                known = next((k for k, other in enumerate(given) if other is x), len(given))
                if known == len(given):
                    given.append(x)
                buffers.append(("given", known))
            updated = {result: argument for argument, result in call.aliases.items()}
            for index, shape in enumerate(call.shapes):
                kind, at = buffers[updated[index]] if index in updated else ("new", 0)
                if kind != "result":  # else the same memory once more
                    if kind == "given":
                        aliases[at] = len(shapes)
                    at = len(shapes)
                    shapes.append(shape)
                place[number, index] = at
            buffers += [("result", place[number, index]) for index in range(len(call.shapes))]
            found.append((call.name, buffers))
        steps = tuple(
            Step(name, tuple(at + len(given) * (kind == "result") for kind, at in buffers))
            for name, buffers in found
        )
        out = now(_registered(steps, len(given), len(shapes)), shapes, aliases, *given)
        return [out[place[x.step, x.index]] if isinstance(x, Later) else x for x in wanted]


def _registered(steps: tuple[Step, ...], n_args: int, n_rets: int) -> str:
    from distdyn.ops import ffi

    text = repr([(str(step.name), step.buffers) for step in steps])
    name = "distdyn_chain_" + hashlib.sha256(text.encode()).hexdigest()[:24]
    return ffi.register_chain(name, steps, n_args, n_rets)

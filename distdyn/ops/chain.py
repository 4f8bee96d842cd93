"""Chain: operators on CPU that follow each other, as one call of XLA.

    chain = Chain()
    token = append(board, ..., via=chain)          # nothing happens yet: `token` is `Later`
    ring, token = arrive_all(ring, ..., token, via=chain)
    ring, stop = chain.run(ring, settle(board, token, via=chain))

A call costs XLA 0.1 us, and several times that where devices of one process call at once, for they
share what a call needs; a step of some thousand cells takes 5 us. Where a step is nothing but
operators, `repeat` makes all steps in one call.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np


def now(name: str, shapes: Any, aliases: Mapping[int, int], *arguments: Any) -> Any:
    """Call one operator: argument a is updated in place and is result aliases[a]."""
    call = jax.ffi.ffi_call(name, shapes, input_output_aliases=dict(aliases))
    return call(*arguments)


@dataclass(frozen=True)
class Later:
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
        return self._made(_Buffers(self._calls), wanted)

    def repeat(self, halt: Later, given: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        """Make the calls over and over, until `halt` is not 0; not at all if it never was.

        Args:
            halt: int64[], updated in place.
            given: arrays that the calls of the first round take.
            results: what the calls of the next round take instead; each is the same array, or
                that array updated in place.

        Raises:
            ValueError: a result is not in the memory of what was given.
        """
        buffers = _Buffers(self._calls)
        for old, new in zip(given, results, strict=True):
            if new is not old and buffers.updated(old) != buffers.index(new):
                raise ValueError(f"{new} is not what was given, updated in place")
        return self._made(buffers, results, halt)

    def _made(
        self, buffers: "_Buffers", wanted: Sequence[Any], halt: Later | None = None
    ) -> list[Any]:
        n = len(buffers.given)
        until = None if halt is None else n + buffers.index(halt)
        name = _registered(tuple(buffers.steps), n, len(buffers.shapes), until)
        out = now(name, buffers.shapes, buffers.aliases, *buffers.given)
        return [out[buffers.index(x)] if isinstance(x, Later) else x for x in wanted]


class _Buffers:
    """The buffers of some calls: arrays that come from outside, then results, each once.

    Attributes:
        given: the arrays.
        shapes: of all results; one that is updated in place is the same memory all along.
        aliases: which result each given array becomes.
        steps: the calls, each with the numbers of its buffers.
    """

    def __init__(self, calls: Sequence[_Call]) -> None:
        self.given: list[Any] = []
        self.shapes: list[Any] = []
        self.aliases: dict[int, int] = {}
        self._place: dict[tuple[int, int], int] = {}
        found = [(call.name, self._used(number, call)) for number, call in enumerate(calls)]
        n = len(self.given)
        self.steps = [
            Step(name, tuple(at if is_given else n + at for is_given, at in used))
            for name, used in found
        ]

    def _used(self, number: int, call: _Call) -> list[tuple[bool, int]]:
        """The buffers of one call: whether each is given, and its number."""
        used = [
            (False, self.index(x)) if isinstance(x, Later) else (True, self._known(x))
            for x in call.arguments
        ]
        argument_of = {result: argument for argument, result in call.aliases.items()}
        for index, shape in enumerate(call.shapes):
            if index in argument_of:
                is_given, at = used[argument_of[index]]
                if not is_given:  # the same memory once more
                    self._place[number, index] = at
                    continue
                self.aliases[at] = len(self.shapes)
            self._place[number, index] = len(self.shapes)
            self.shapes.append(shape)
        return used + [(False, self._place[number, index]) for index in range(len(call.shapes))]

    def _known(self, array: Any) -> int:
        """The number of a given array, which is added if it is new."""
        for number, other in enumerate(self.given):
            if other is array:
                return number
        self.given.append(array)
        return len(self.given) - 1

    def index(self, later: Later) -> int:
        """The number of a result."""
        return self._place[later.step, later.index]

    def updated(self, array: Any) -> int | None:
        """The number of the result that a given array becomes; None if it does not change."""
        number = next((k for k, other in enumerate(self.given) if other is array), None)
        return None if number is None else self.aliases.get(number)


def _registered(steps: tuple[Step, ...], n_args: int, n_rets: int, halt: int | None) -> str:
    from distdyn.ops import ffi

    text = repr(([(str(step.name), step.buffers) for step in steps], halt))
    name = "distdyn_chain_" + hashlib.sha256(text.encode()).hexdigest()[:24]
    return ffi.register_chain(name, steps, n_args, n_rets, halt)

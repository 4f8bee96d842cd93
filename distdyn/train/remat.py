"""A scan whose derivatives need the memory of few of its steps.

Of T steps, in chunks of C, the states between chunks are kept, and backwards one chunk at a time is
computed again:

    memory = (2 + D) T / C + 2 C        in states; D is the longest delay, whose ring is carried
    C* = sqrt(T (2 + D) / 2)

A step alone is never computed again by itself: its carry holds the ring, so that D rings would be
kept of every step. What a step has sent to other devices is kept, and is not sent again.

The derivatives of weights are not summed up step by step, for which the whole matrix would be read
and written in each. Of a product y = x @ A in a step the derivative in y is kept, as that of a zero
that is added to it; behind a chunk follow those of A, in one product of all its x and all of these.

Source: Griewank & Walther (2008), Evaluating Derivatives, ch. 12, for one level of checkpoints.
"""

import math
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.train.layout import varying


class Steps(Protocol):
    """What is run: pure functions; `held` is what all steps read."""

    def step(
        self, held: Any, carry: Any, x: Any, message: Any = None, added: Any = None
    ) -> tuple[Any, list[Any], Any]:
        """The next carry, what is watched, and the message that was sent.

        Args:
            held: what all steps read.
            carry: what a step changes.
            x: what comes from outside.
            message: what has been sent, if it is known.
            added: added to products, whose matrices then count as constants.
        """
        ...

    def late(self, held: Any) -> Any:
        """A tree like `held` that is true where a weight is, the derivatives of which come late."""
        ...

    def zeros(self, held: Any) -> Any:
        """What is added to products in a step, of those that are late."""
        ...

    def weights(self, held: Any, messages: Any, derivatives: Any) -> Any:
        """The derivatives in late weights, from those in what was added, over some steps."""
        ...


def chunk_length(steps: int, delay: int) -> int:
    """The steps of a chunk by which the least memory is needed; it divides them if it can.

    Args:
        steps: of the scan.
        delay: the longest one, in steps.
    """
    best = math.sqrt(max(1, steps) * (2 + delay) / 2)
    if best >= steps:
        return max(1, steps)
    near = [c for c in range(1, steps + 1) if steps % c == 0 and best / 2 <= c <= best * 2]
    return min(near, key=lambda c: abs(math.log(c / best))) if near else max(1, round(best))


def scan(steps: Steps, held: Any, carry: Any, xs: Any, length: int, chunk: int | None) -> list[Any]:
    """What is watched over so many steps.

    Args:
        steps: the step.
        held: what it reads; as `carry` and `xs` it has derivatives.
        carry: before the first step.
        xs: what comes from outside, along the first axis steps.
        length: how many steps.
        chunk: how many are computed again in one go; None: everything is kept. A last chunk may be
            shorter.
    """

    def plain(held: Any, carry: Any, xs: Any, length: int) -> tuple[Any, tuple[list[Any], Any]]:
        def step(carry: Any, x: Any) -> tuple[Any, tuple[list[Any], Any]]:
            carry, ys, message = steps.step(held, carry, x)
            return carry, (ys, message)

        return jax.lax.scan(step, carry, xs, length)

    if chunk is None:
        return plain(held, carry, xs, length)[1][0]
    chunk = min(chunk, length)
    whole = length // chunk * chunk

    @eqx.filter_custom_vjp
    def run(given: Any) -> list[Any]:
        held, carry, xs = given
        return plain(held, carry, xs, length)[1][0]

    @run.def_fwd
    def _(perturbed: Any, given: Any) -> tuple[list[Any], Any]:
        held, carry, xs = given

        def steps_of(carry: Any, xs: Any) -> tuple[Any, Any]:
            after, (ys, messages) = plain(held, carry, xs, chunk)
            return after, (carry, messages, ys)

        carry, (begins, messages, ys) = jax.lax.scan(
            steps_of, carry, _cut(xs, 0, whole, chunk), whole // chunk
        )
        ys = jax.tree.map(_joined, ys)
        rest = None
        if whole < length:
            _, (more, last) = plain(held, carry, _cut(xs, whole, length), length - whole)
            rest, ys = (carry, last), jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, more)
        return ys, (begins, messages, rest)

    @run.def_bwd
    def _(kept: Any, derivatives: Any, perturbed: Any, given: Any) -> Any:
        (begins, messages, rest), (held, carry, xs) = kept, given
        is_late = jax.tree.map(lambda a, b: a and b, steps.late(held), perturbed[0])
        is_asked = jax.tree.map(lambda a, b: a and not b, perturbed[0], is_late)
        asked, constant = eqx.partition(held, is_asked)
        floats, _ = eqx.partition(xs, perturbed[2])
        watched = [k for k, y in enumerate(derivatives) if y is not None]
        back = Backwards(steps, asked, constant, is_late, watched)
        sums = jax.tree.map(_zeros, (asked, eqx.filter(held, is_late), _inexact(carry)))
        wanted = [derivatives[k] for k in watched]
        tail = None
        if rest is not None:
            begin, message = rest
            of = _cut(xs, whole, length), _cut(floats, whole, length), _cut(wanted, whole, length)
            sums, tail = back.chunk(sums, (begin, message, *of))
        (asked, late, before), head = jax.lax.scan(
            back.chunk,
            sums,
            (begins, messages, *(_cut(x, 0, whole, chunk) for x in (xs, floats, wanted))),
            reverse=True,
        )
        head = jax.tree.map(_joined, head)
        if tail is not None:
            head = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), head, tail)
        return eqx.combine(asked, late), before, head

    return run((held, carry, xs))


class Backwards:
    """The derivatives of the chunks of a scan, the last one first."""

    def __init__(
        self, steps: Steps, asked: Any, constant: Any, is_late: Any, watched: list[int]
    ) -> None:
        self.steps, self.asked, self.constant = steps, asked, constant
        self.is_late, self.watched = is_late, watched

    def chunk(self, sums: Any, of: Any) -> tuple[Any, Any]:
        """The sums of derivatives before a chunk from those behind it, and those in its xs."""
        asked_sum, late_sum, behind = sums
        begin, messages, xs, floats, wanted = of
        moving, fixed = eqx.partition(begin, eqx.is_inexact_array)
        held = eqx.combine(self.asked, self.constant)
        length = len(jax.tree.leaves(wanted)[0])
        added = jax.tree.map(
            lambda x: varying(jnp.zeros((length, *x.shape), x.dtype)), self.steps.zeros(held)
        )

        def again(asked: Any, moving: Any, floats: Any, added: Any) -> Any:
            held = eqx.combine(asked, self.constant)

            def step(carry: Any, given: Any) -> tuple[Any, list[Any]]:
                x, message, added = given
                carry, ys, _ = self.steps.step(held, carry, x, message, added)
                return carry, [ys[k] for k in self.watched]

            given = eqx.combine(floats, xs), messages, added
            carry, ys = jax.lax.scan(step, eqx.combine(moving, fixed), given, length)
            return _inexact(carry), ys

        _, pull = jax.vjp(again, self.asked, moving, floats, added)
        asked, before, in_xs, in_added = pull((behind, wanted))
        late = eqx.filter(self.steps.weights(held, messages, in_added), self.is_late)
        plus = jax.tree.map(jnp.add, (asked_sum, late_sum), (asked, late))
        return (*plus, before), in_xs


def _inexact(tree: Any) -> Any:
    return eqx.filter(tree, eqx.is_inexact_array)


def _zeros(x: Any) -> Any:
    return varying(jnp.zeros_like(x))


def _cut(tree: Any, start: int, stop: int, chunk: int | None = None) -> Any:
    """Some steps, chunk by chunk."""

    def of(x: Any) -> Any:
        x = x[start:stop]
        return x if chunk is None else x.reshape(-1, chunk, *x.shape[1:])

    return jax.tree.map(of, tree)


def _joined(x: Any) -> Any:
    return x.reshape(-1, *x.shape[2:])

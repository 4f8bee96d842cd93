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
        chunk: how many are computed again in one go, the last ones maybe fewer; None: all that
            derivatives need is kept, and nothing computed again.
    """

    @eqx.filter_custom_vjp
    def run(given: Any) -> list[Any]:
        held, carry, xs = given
        return _plain(steps, held, carry, xs, length)[1][0]

    if chunk is None:
        _keep(run, steps, length)
    else:
        _compute_again(run, steps, length, min(chunk, length))
    return run((held, carry, xs))


def _plain(
    steps: Steps, held: Any, carry: Any, xs: Any, length: int
) -> tuple[Any, tuple[list[Any], Any]]:
    """The last carry; what is watched, and the messages."""

    def step(carry: Any, x: Any) -> tuple[Any, tuple[list[Any], Any]]:
        carry, ys, message = steps.step(held, carry, x)
        return carry, (ys, message)

    return jax.lax.scan(step, carry, xs, length)


def _keep(run: Any, steps: Steps, length: int) -> None:
    """Give a run the rules by which all is kept that its derivatives need."""

    @run.def_fwd
    def _(perturbed: Any, given: Any) -> tuple[list[Any], Any]:
        held, carry, xs = given
        floats = eqx.filter(xs, perturbed[2])
        of = Pass(steps, perturbed, held)
        ys, pull, messages = of.linearized(carry, xs, floats, length, None, None)
        return ys, (pull, messages, _inexact(carry), _inexact(ys))

    @run.def_bwd
    def _(kept: Any, derivatives: Any, perturbed: Any, given: Any) -> Any:
        pull, messages, carry, ys = kept
        wanted = [
            jax.tree.map(_zeros, y) if of is None else of
            for y, of in zip(ys, derivatives, strict=True)
        ]
        asked, begin, in_xs, in_added = pull((jax.tree.map(_zeros, carry), wanted))
        late = Pass(steps, perturbed, given[0]).weights(messages, in_added)
        return eqx.combine(asked, late), begin, in_xs


def _compute_again(run: Any, steps: Steps, length: int, chunk: int) -> None:
    """Give a run the rules by which chunks are computed again; the last one may be shorter."""
    whole = length // chunk * chunk

    @run.def_fwd
    def _(perturbed: Any, given: Any) -> tuple[list[Any], Any]:
        held, carry, xs = given

        def steps_of(carry: Any, xs: Any) -> tuple[Any, Any]:
            after, (ys, messages) = _plain(steps, held, carry, xs, chunk)
            return after, (carry, messages, ys)

        carry, (begins, messages, ys) = jax.lax.scan(
            steps_of, carry, _cut(xs, 0, whole, chunk), whole // chunk
        )
        ys = jax.tree.map(_joined, ys)
        rest = None
        if whole < length:
            left = _cut(xs, whole, length)
            _, (more, last) = _plain(steps, held, carry, left, length - whole)
            rest, ys = (carry, last), jax.tree.map(_behind, ys, more)
        return ys, (begins, messages, rest)

    @run.def_bwd
    def _(kept: Any, derivatives: Any, perturbed: Any, given: Any) -> Any:
        (begins, messages, rest), (held, carry, xs) = kept, given
        of = Pass(steps, perturbed, held)
        watched = [k for k, y in enumerate(derivatives) if y is not None]
        given = xs, eqx.filter(xs, perturbed[2]), [derivatives[k] for k in watched]

        def before(sums: Any, chunk: Any) -> tuple[Any, Any]:
            """The sums before a chunk, from those behind it; and the derivatives in its xs."""
            asked, late, behind = sums
            begin, message, (xs, floats, wanted) = chunk
            n = len(jax.tree.leaves(wanted)[0])
            _, pull, _ = of.linearized(begin, xs, floats, n, watched, message)
            asked_here, behind, in_xs, in_added = pull((behind, wanted))
            late_here = of.weights(message, in_added)
            sums = jax.tree.map(jnp.add, (asked, late), (asked_here, late_here))
            return (*sums, behind), in_xs

        sums = jax.tree.map(_zeros, (of.asked, eqx.filter(held, of.is_late), _inexact(carry)))
        tail = None
        if rest is not None:
            sums, tail = before(sums, (*rest, _cut(given, whole, length)))
        chunks = begins, messages, _cut(given, 0, whole, chunk)
        (asked, late, begin), in_xs = jax.lax.scan(before, sums, chunks, reverse=True)
        in_xs = jax.tree.map(_joined, in_xs)
        if tail is not None:
            in_xs = jax.tree.map(_behind, in_xs, tail)
        return eqx.combine(asked, late), begin, in_xs


class Pass:
    """Steps as a function that has derivatives: of what, is said by what is `perturbed`."""

    def __init__(self, steps: Steps, perturbed: Any, held: Any) -> None:
        self.steps, self.held = steps, held
        self.is_late = jax.tree.map(lambda a, b: a and b, steps.late(held), perturbed[0])
        is_asked = jax.tree.map(lambda a, b: a and not b, perturbed[0], self.is_late)
        self.asked, self.constant = eqx.partition(held, is_asked)

    def linearized(
        self,
        begin: Any,
        xs: Any,
        floats: Any,
        length: int,
        watched: list[int] | None,
        messages: Any,
    ) -> tuple[list[Any], Any, Any]:
        """What is watched, what takes its derivatives back, and the messages that were sent.

        Args:
            begin: the carry before the first of the steps.
            xs: what comes from outside.
            floats: of that what has derivatives.
            length: how many steps.
            watched: what of it is asked for; None: all that are floats.
            messages: what has been sent, if it is known.
        """
        moving, fixed = eqx.partition(begin, eqx.is_inexact_array)
        added = jax.tree.map(
            lambda x: varying(jnp.zeros((length, *x.shape), x.dtype)), self.steps.zeros(self.held)
        )

        def again(asked: Any, moving: Any, floats: Any, added: Any) -> Any:
            held = eqx.combine(asked, self.constant)

            def step(carry: Any, given: Any) -> tuple[Any, Any]:
                x, message, added = given
                carry, ys, message = self.steps.step(held, carry, x, message, added)
                return carry, (ys, message)

            given = eqx.combine(floats, xs), messages, added
            carry, (ys, sent) = jax.lax.scan(step, eqx.combine(moving, fixed), given, length)
            asked_ys = _inexact(ys) if watched is None else [ys[k] for k in watched]
            return (_inexact(carry), asked_ys), (ys, sent)

        _, pull, (ys, sent) = jax.vjp(again, self.asked, moving, floats, added, has_aux=True)
        return ys, pull, sent

    def weights(self, messages: Any, in_added: Any) -> Any:
        """The derivatives in late weights, from those in what was added."""
        found = self.steps.weights(self.held, messages, in_added)
        return eqx.filter(found, self.is_late)


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


def _behind(first: Any, second: Any) -> Any:
    return jnp.concatenate([first, second])

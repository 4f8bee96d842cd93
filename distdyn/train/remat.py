"""A scan whose derivatives need the memory of few of its steps.

Of T steps, in chunks of C, the states between chunks are kept, and backwards one chunk at a time is
computed again:

    memory = (2 + D) T / C + 2 C        in states; D is the longest delay, whose ring is carried
    C* = sqrt(T (2 + D) / 2)

A step alone is never computed again by itself: its carry holds the ring, so that D rings would be
kept of every step.

Source: Griewank & Walther (2008), Evaluating Derivatives, ch. 12, for one level of checkpoints.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from distdyn.train.exchange import SENT


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


def scan(
    step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, xs: Any, length: int, chunk: int | None
) -> tuple[Any, Any]:
    """`jax.lax.scan`, in chunks of this length; None: all steps are kept.

    A last chunk that is shorter is kept as it is.
    """
    if chunk is None or chunk >= length:
        return jax.lax.scan(step, carry, xs, length)
    whole = length // chunk

    def steps(carry: Any, xs: Any) -> tuple[Any, Any]:
        return jax.lax.scan(step, carry, xs, chunk)

    policy = jax.checkpoint_policies.save_only_these_names(SENT)
    again = jax.checkpoint(steps, policy=policy, prevent_cse=False)
    head = jax.tree.map(lambda x: x[: whole * chunk].reshape(whole, chunk, *x.shape[1:]), xs)
    carry, ys = jax.lax.scan(again, carry, head, whole)
    ys = jax.tree.map(lambda y: y.reshape(whole * chunk, *y.shape[2:]), ys)
    if whole * chunk == length:
        return carry, ys
    rest = jax.tree.map(lambda x: x[whole * chunk :], xs)
    carry, tail = jax.lax.scan(step, carry, rest, length - whole * chunk)
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, tail)

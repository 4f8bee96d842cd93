"""Steps chosen by the error: an embedded pair with proportional-integral control.

A step from t to t + h is accepted if e, the root mean square of error / (atol + rtol |y|), is at
most 1, where the error is what the pair estimates times its caution (`Tableau`); the next one is

    h <- h min(10, max(1/5, 0.9 e^(-0.7 / p) e_before^(0.4 / p))),   p: the power in error ~ h^p.

A step that would pass the next time of `ts` ends there, so that what is returned are results of
steps and not interpolated. The steps are those of this system alone: under `vmap` each has its own.

The loop has no fixed number of rounds, so it cannot be differentiated backward. A derivative makes
the same steps once more in a scan, in which their lengths are constants.

Source: Gustafsson (1991), ACM Trans. Math. Softw. 17, 533; Hairer, Norsett & Wanner (1993), Solving
Ordinary Differential Equations I, section II.4, for the first step.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.flow import Flow
from distdyn.core.integrators.integrator import vector_field
from distdyn.core.integrators.runge_kutta import AbstractRungeKutta, combined

DONE, TOO_MANY_STEPS, COLLAPSED = range(3)


class Tolerance(NamedTuple):
    """How large the error of a step may be, and how many steps are tried."""

    rtol: float
    atol: float
    max_steps: int


class Outcome(NamedTuple):
    """How a solution ended."""

    status: Any
    t: Any  # the time that was reached
    h: Any  # the step that would have been next
    accepted: Any
    tried: Any


class Steps(NamedTuple):
    """The accepted steps: their lengths, and whether they end at the next of `ts`."""

    length: Any
    lands: Any


class Course(NamedTuple):
    """Where the loop is."""

    t: Any
    y: Any
    slope: Any
    h: Any
    error: Any  # of the last accepted step
    saved: Any
    status: Any
    tried: Any
    accepted: Any
    ys: Any
    steps: Steps


def solve(
    scheme: AbstractRungeKutta, flow: Flow, y0: Any, ts: Any, tolerance: Tolerance
) -> tuple[Any, Outcome, Steps]:
    """The solution at `ts`, how it ended, and the steps; differentiable by flow, y0 and ts."""
    arrays, rest = eqx.partition((flow, y0), eqx.is_array)

    @jax.custom_jvp
    def solution(arrays: Any, ts: Any) -> tuple[Any, Outcome, Steps]:
        flow, y0 = eqx.combine(arrays, rest)
        return _loop(scheme, flow, y0, ts, tolerance)

    @solution.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        ys, outcome, steps = solution(*primals)

        def again(arrays: Any, ts: Any) -> Any:
            flow, y0 = eqx.combine(arrays, rest)
            return _repeat(scheme, flow, y0, ts, steps)

        _, dys = jax.jvp(again, primals, tangents)
        return (ys, outcome, steps), (dys, *_no_tangents((outcome, steps)))

    return jax.jit(solution)(arrays, ts)  # one program, with what chooses the first step


def _no_tangents(tree: Any) -> Any:
    def zero(x: Any) -> Any:
        is_float = jnp.issubdtype(x.dtype, jnp.floating)
        return jnp.zeros(x.shape, x.dtype if is_float else jax.dtypes.float0)

    return jax.tree.map(zero, tree)


def _loop(
    scheme: AbstractRungeKutta, flow: Flow, y0: Any, ts: Any, tolerance: Tolerance
) -> tuple[Any, Outcome, Steps]:
    tableau, f, time = scheme.tableau, vector_field(flow, None, None), ts.dtype
    power, caution = tableau.power, tableau.caution
    difference = [b - lower for b, lower in zip(tableau.b, tableau.lower or (), strict=True)]
    is_first_same_as_last = (*tableau.a[-1], 0.0) == tableau.b and tableau.c[-1] == 1.0
    shortest = 16 * jnp.finfo(time).eps * jnp.maximum(jnp.abs(ts).max(), ts[-1] - ts[0])

    def norm(error: Any, before: Any, after: Any) -> Any:
        leaves = [
            jnp.abs(e) / (tolerance.atol + tolerance.rtol * jnp.maximum(jnp.abs(y), jnp.abs(z)))
            for e, y, z in zip(*map(jax.tree.leaves, (error, before, after)), strict=True)
        ]
        return jnp.sqrt(sum(jnp.sum(x**2) for x in leaves) / sum(x.size for x in leaves))

    def is_on(course: Course) -> Any:
        return (course.saved < ts.shape[0]) & (course.status == DONE)

    def attempt(course: Course) -> Course:
        t, y, h = course.t, course.y, course.h
        target = ts[course.saved]
        lands = h >= 0.99 * (target - t)  # a remainder of a hundredth is not left
        step = jnp.where(lands, target - t, h)
        slopes = scheme.slopes(f, y, t, step, course.slope)
        new = combined(y, tableau.b, slopes, step)
        error = combined(jax.tree.map(jnp.zeros_like, y), difference, slopes, step)
        size = caution * norm(error, y, new)
        size = jnp.where(jnp.isfinite(size), jnp.maximum(size, 1e-10), jnp.inf).astype(time)
        accepts = size <= 1.0
        grow = 0.9 * size ** (-0.7 / power) * course.error ** (0.4 / power)
        shrink = 0.9 * size ** (-1.0 / power)
        factor = jnp.where(accepts, jnp.clip(grow, 0.2, 10.0), jnp.clip(shrink, 0.2, 0.9))
        proposed = step * factor
        # A step cut short at one of `ts` is no reason to go on with shorter ones.
        proposed = jnp.where(accepts & lands, jnp.maximum(proposed, h), proposed).astype(time)
        after = jnp.where(lands, target, t + step)
        slope = slopes[-1] if is_first_same_as_last else f(after, new)
        keep = lambda a, b: jax.tree.map(lambda x, y: jnp.where(accepts, x, y), a, b)  # noqa: E731
        saves = accepts & lands
        place, slot = jnp.where(saves, course.saved, ts.shape[0]), course.accepted
        slot = jnp.where(accepts, slot, tolerance.max_steps)  # out of bounds: dropped
        tried = course.tried + 1
        status = jnp.where(~accepts & (proposed < shortest), COLLAPSED, DONE)
        is_over = (tried >= tolerance.max_steps) & (course.saved + saves < ts.shape[0])
        return Course(
            t=jnp.where(accepts, after, t),
            y=keep(new, y),
            slope=keep(slope, course.slope),
            h=proposed,
            error=jnp.where(accepts, jnp.maximum(size, 1e-4), course.error),
            saved=course.saved + saves,
            status=jnp.where((status == DONE) & is_over, TOO_MANY_STEPS, status),
            tried=tried,
            accepted=course.accepted + accepts,
            ys=jax.tree.map(lambda all, x: all.at[place].set(x, mode="drop"), course.ys, new),
            steps=Steps(
                course.steps.length.at[slot].set(step, mode="drop"),
                course.steps.lands.at[slot].set(lands, mode="drop"),
            ),
        )

    slope, zero = f(ts[0], y0), jnp.zeros((), int)
    first = _first_step(f, y0, slope, ts, power, norm)
    room = tolerance.max_steps
    none = Steps(jnp.zeros(room, time), jnp.zeros(room, bool))
    one, ok = jnp.ones((), time), jnp.asarray(DONE)
    start = Course(
        ts[0], y0, slope, first, one, zero + 1, ok, zero, zero, _room(y0, ts.shape[0]), none
    )
    end = jax.lax.while_loop(is_on, attempt, start)
    outcome = Outcome(end.status, end.t, end.h, end.accepted, end.tried)
    return end.ys, outcome, end.steps


def _first_step(f: Callable, y: Any, slope: Any, ts: Any, power: int, norm: Callable) -> jax.Array:
    """So that an Euler step changes y by a hundredth, and its own error is small."""
    d0, d1 = norm(y, y, y), norm(slope, y, y)
    is_tiny = (d0 < 1e-5) | (d1 < 1e-5)
    h = jnp.where(is_tiny, 1e-6, 0.01 * d0 / jnp.where(is_tiny, 1.0, d1)).astype(ts.dtype)
    ahead = f(ts[0] + h, combined(y, [1.0], [slope], h))
    d2 = norm(jax.tree.map(jnp.subtract, ahead, slope), y, y) / h
    largest = jnp.maximum(d1, d2)
    is_tiny = largest <= 1e-15
    other = (0.01 / jnp.where(is_tiny, 1.0, largest)) ** (1.0 / power)
    other = jnp.where(is_tiny, jnp.maximum(1e-6, h * 1e-3), other)
    first = jnp.minimum(100 * h, other)
    return jnp.where(jnp.isfinite(first), first, 1e-6).astype(ts.dtype)


def _room(y0: Any, n: int) -> Any:
    """Room for n solutions, the first of them there."""
    return jax.tree.map(lambda y: jnp.full((n, *y.shape), jnp.nan, y.dtype).at[0].set(y), y0)


def _repeat(scheme: AbstractRungeKutta, flow: Flow, y0: Any, ts: Any, steps: Steps) -> Any:
    """The solution at `ts` by steps that are known; those of no length are not made."""
    f = vector_field(flow, None, None)

    @jax.checkpoint
    def step(t: Any, y: Any, h: Any) -> Any:
        return combined(y, scheme.tableau.b, scheme.slopes(f, y, t, h), h)

    def make(carry: Any, length: Any, lands: Any) -> Any:
        t, y, saved, ys = carry
        after = jnp.where(lands, ts[saved], t + length)
        new = step(t, y, after - t)
        place = jnp.where(lands, saved, ts.shape[0])
        ys = jax.tree.map(lambda all, x: all.at[place].set(x, mode="drop"), ys, new)
        return after, new, saved + lands, ys

    def one(carry: Any, x: Steps) -> Any:
        return jax.lax.cond(x.length > 0, make, lambda carry, *_: carry, carry, *x), None

    start = ts[0], y0, jnp.ones((), int), _room(y0, ts.shape[0])
    return jax.lax.scan(one, start, steps)[0][-1]

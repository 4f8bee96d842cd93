"""Solve any equation: `dd.integrate(f, y0, ts, method=...)`, f(t, y) a function of any pytree.

Two roads: on a grid of steps dt, with any integrator, or in steps that an embedded pair chooses.
Both start at ts[0] and return y at every time of ts. What is given to a model by its fields is
given here by arguments.

This is our own because an integrator of a cell (V held, receptors, one elementwise kernel for all
cells) has to be the one that solves alone, with the same numbers; diffrax, which solves single
systems better than this, would be a second implementation of each scheme, and is no light import.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.flow import Flow, Function
from distdyn.core.given import (
    check_derivative,
    check_functions,
    check_key,
    check_past,
    grid_of,
    initial,
    is_known,
    pair_of,
    times_of,
    tolerance_of,
)
from distdyn.core.integrators.adaptive import COLLAPSED, TOO_MANY_STEPS, Outcome, Tolerance, solve
from distdyn.core.integrators.default import Method, check_method, method_of
from distdyn.core.integrators.delayed import Delayed
from distdyn.core.integrators.embedded import DormandPrince
from distdyn.core.integrators.implicit import AbstractImplicit
from distdyn.core.integrators.integrator import Remembering
from distdyn.core.system import Tick
from distdyn.errors import ParameterError, SimulationError


def integrate(
    f: Callable[..., Any],
    y0: Any,
    ts: Any,
    *,
    method: Method | None = None,
    args: tuple[Any, ...] = (),
    dt: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    max_steps: int = 10_000,
    diffusion: Callable[..., Any] | None = None,
    noise: str = "ito",
    key: Any = None,
    longest: float | None = None,
    history: Callable[[Any], Any] | None = None,
    order: Any = None,
) -> Any:
    """Solve y' = f(t, y, *args), y(ts[0]) = y0, and return y at the times `ts`.

    With `dt` the steps are a grid: every time of `ts` is a multiple of dt from the first. Without,
    the method must be an embedded pair, and steps are chosen so that the error of each is at most
    atol + rtol |y|, in the root mean square over y; they end at every time of `ts`. Errors of steps
    add up, or grow, as the equations let them: the whole error may be some tolerances.

    Works under `jax.jit`, `vmap` (each system has steps of its own) and `grad`, forward and
    backward, of whatever f, y0 and args depend on, and with chosen steps of ts as well; there a
    derivative takes time and memory by max_steps. f is compiled at every call: wrap calls that
    are made often into `jax.jit`.

    Args:
        f: dy / dt, with the structure and shapes of y.
        y0: a pytree of floating (or, for explicit schemes, complex) numbers and arrays, whose
            types the solution keeps.
        ts: ascending times; y0 belongs to the first.
        method: an integrator; by default DormandPrince.
        args: given to f after t and y.
        dt: the length of the steps.
        rtol: the error of a step relative to y; by default 1e-6.
        atol: its error where y is small; by default 1e-9.
        max_steps: the most steps that are tried when they are chosen.
        diffusion: g(t, y, *args), the strength of the noise of every number of y, in the structure
            of y, None where there is none: dy = f dt + g dW.
        noise: its calculus, "ito" or "stratonovich".
        key: of the noise, of `jax.random`.
        longest: makes it f(t, y, past, *args): `past(d)` is y at t - d, `past.slope(d)` its
            derivative there, for delays d from dt to `longest`. A delay may be an array: of shape
            [n, n] it gives for y of shape [n] element j as each i sees it.
        history: y as a function of t before the start; by default y0.
        order: of the derivative (Caputo's), a number in (0, 1], or {name: number} for some of y.
            How long the past is kept is said by the method.

    Noise, delays and orders need dt, and a method for them (`distdyn.core.integrators.method_of`
    says which is taken by default).

    Returns:
        y at `ts`: a pytree like y0, every array with one more axis in front. Under a
        transformation, where no error can be raised, what could not be computed is NaN.

    Raises:
        ParameterError: y0, f or the other arguments are not as described.
        MethodError: the method is for other equations.
        DelayError: a delay is shorter than dt, or longer than `longest`.
        TimeError: `ts` is not ascending or not finite, or not a multiple of dt.
        SimulationError: the solution is not finite, a chosen step became too short, or there were
            too many.
    """
    is_ordinary = diffusion is None and longest is None and order is None
    check_method(method)
    check_functions(diffusion=diffusion, history=history)
    y0, times = initial(y0), times_of(ts)
    if not isinstance(args, tuple | list):
        raise ParameterError(f"args = {args!r} is no tuple. Give args=({args!r},).")
    args = jax.tree.map(lambda x: jnp.asarray(x) if isinstance(x, float) else x, tuple(args))
    start = jnp.asarray(times[0], jnp.result_type(float))
    if longest is None:
        if history is not None:
            raise ParameterError("history is what delays reach. Give `longest`, the longest one.")
        check_derivative(jax.eval_shape(f, start, y0, *args), y0)
        f = eqx.filter_closure_convert(f, start, y0, *args)
    flow = Flow(Function(f, args, y0, diffusion, noise, longest, history, order))
    if is_ordinary:
        method = DormandPrince() if method is None else method
    elif dt is None:
        raise ParameterError(
            "noise, delays and fractional orders are integrated on a grid of steps. Give dt."
        )
    elif diffusion is not None:
        check_key(key)
    if dt is not None:
        if rtol is not None or atol is not None:
            raise ParameterError(
                f"dt = {dt} makes steps of one length, for which rtol and atol mean nothing. Give "
                "either dt or tolerances."
            )
        grid = grid_of(times, dt)
        check_past(flow, y0, dt)
        method = method_of(flow, method)
        arrays, rest = eqx.partition((flow, y0, key), eqx.is_array)

        @jax.jit  # one program, not one for every operation that prepares the steps
        def solution(arrays: Any) -> Any:
            flow, y0, key = eqx.combine(arrays, rest)
            return _on_grid(method, flow, y0, *grid, key)

        ys = solution(arrays)
        _check_finite(ys, times, method)
        return ys
    scheme, tolerance = pair_of(method), tolerance_of(rtol, atol, max_steps)
    ts = jnp.asarray(times, jnp.result_type(float))
    (ys, _), outcome, _ = solve(scheme, flow, (y0, ()), ts, tolerance)
    _check_outcome(outcome, tolerance)
    _check_finite(ys, times, method)
    return ys


def march(
    advance: Callable[[Any, Tick], Any],
    y: Any,
    steps: np.ndarray,
    t0: Any,
    dt: float,
    *,
    key: Any = None,
    shown: Callable[[Any], Any] = lambda y: y,
) -> Any:
    """The states after `steps` steps on a grid (ascending numbers, the first is 0).

    Args:
        advance: from the state before a step and its tick to the state after it.
        y: the state at t0, any pytree.
        steps: after how many steps the state is returned.
        t0: the time at which step 0 begins.
        dt: the time step.
        key: of the noise.
        shown: what of the state is returned.
    """
    every = int(np.gcd.reduce(steps)) or 1

    def one(y: Any, k: Any) -> tuple[Any, None]:
        t = t0 + jnp.asarray(k, jnp.result_type(float)) * dt
        return advance(y, Tick(k, dt, t, key)), None

    def block(y: Any, first: Any) -> tuple[Any, Any]:
        y, _ = jax.lax.scan(one, y, first + jnp.arange(every))
        return y, shown(y)

    _, after = jax.lax.scan(block, y, jnp.arange(0, int(steps[-1]), every))
    chosen = steps[1:] // every - 1
    return jax.tree.map(lambda x, xs: jnp.concatenate([x[None], xs[chosen]]), shown(y), after)


def _on_grid(
    method: Method, flow: Flow, y0: Any, steps: np.ndarray, t0: Any, dt: float, key: Any
) -> Any:
    prepared = method.prepare(flow, dt)
    if isinstance(method, Remembering):

        def remember(given: tuple[Any, Any], tick: Tick) -> tuple[Any, Any]:
            y, memory = given
            (new, _), memory = method.advance(flow, prepared, (y, ()), memory, None, None, tick)
            return new, memory

        first = y0, method.begin(flow, (y0, ()), dt, flow.neuron.longest or 0.0)
        return march(remember, first, steps, t0, dt, key=key, shown=lambda given: given[0])

    def advance(y: Any, tick: Tick) -> Any:
        new, _ = method.advance(flow, prepared, (y, ()), None, None, tick)
        return new

    return march(advance, y0, steps, t0, dt, key=key)


def _check_outcome(outcome: Outcome, tolerance: Tolerance) -> None:
    if not is_known(outcome.status):
        return
    where = f"after {outcome.accepted} accepted of {outcome.tried} steps, at t = {outcome.t:.9g}"
    asked = f"rtol = {tolerance.rtol}, atol = {tolerance.atol}"
    if outcome.status == COLLAPSED:
        raise SimulationError(
            f"{where}, the step that {asked} allow is below {outcome.h:.3g}: y diverges or jumps, "
            "f is not finite, or the tolerance is below the rounding. Look at y before that time; "
            "raise the tolerances, or use 64-bit floats."
        )
    if outcome.status == TOO_MANY_STEPS:
        raise SimulationError(
            f"{where}, max_steps = {tolerance.max_steps} is reached; the next step would be "
            f"{outcome.h:.3g}. Raise max_steps or the tolerances ({asked}); if the equations are "
            "stiff, take an implicit method with dt."
        )


def _check_finite(ys: Any, times: Any, method: Any) -> None:
    for path, y in jax.tree_util.tree_leaves_with_path(ys):
        if is_known(y) and not np.isfinite(y).all():
            finite = np.isfinite(np.asarray(y).reshape(len(y), -1)).all(axis=1)
            cure = "Take a smaller dt or a more stable method, or look at the equations."
            if isinstance(method, AbstractImplicit):
                cure = "The method did not converge, as where y jumps. Take a smaller dt."
            if isinstance(method, Delayed):
                cure = cure[:-1] + ", and that no delay becomes longer than `longest`."
            t = times[np.argmin(finite)]
            raise SimulationError(f"y{jax.tree_util.keystr(path)} is not finite at t = {t}. {cure}")

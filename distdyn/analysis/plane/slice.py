"""A part of a system: some variables move, the others are held or follow at once.

    fast = sliced(dd.vector_field(dd.HodgkinHuxley()), ("V", "n"), fixed={"h": 0.6}, steady=("m",))

A variable that is held is a parameter of the slice, so that what is slow in a fast-slow system can
be moved like one. One that follows is at its quasi-steady value: where its own derivative is 0.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distdyn._jax import axes_of, varying_over
from distdyn.analysis.field import State, VectorField
from distdyn.analysis.field.delayed import check_no_delays
from distdyn.core.flow import dependence
from distdyn.errors import AnalysisError, NameLookupError, suggestion

NEWTON_STEPS = 50
EXACT = 1e-14  # relative: a step as short is the last but one


def sliced(
    field: VectorField,
    moving: Sequence[str],
    fixed: Mapping[str, Any] | None = None,
    steady: Sequence[str] = (),
) -> VectorField:
    """The field of the variables that move.

    Args:
        field: of all.
        moving: which move.
        fixed: values of others; what is named nowhere has the value with which the model begins.
        steady: which follow at once.

    Raises:
        NameLookupError: there is no variable of a name.
        AnalysisError: a variable is named twice, is an array, or follows in a map.
    """
    check_no_delays(field, "phase_plane, slice")
    fixed, moving = dict(fixed or {}), (moving,) if isinstance(moving, str) else tuple(moving)
    if not moving:
        raise AnalysisError(
            f"{field.name}: no variable moves. Name some of {', '.join([*field.state][:20])}."
        )
    for name, value in fixed.items():
        if not np.isfinite(np.asarray(value, np.float64)).all():
            raise AnalysisError(f'{field.name}: "{name}" = {value} cannot be held. Give a number.')
    named = [*moving, *fixed, *steady]
    for name in named:
        if name not in field.state:
            known = suggestion(name, field.state)
            raise NameLookupError(f'{field.name} has no variable "{name}". {known}')
        if named.count(name) > 1:
            raise AnalysisError(
                f'{field.name}: "{name}" is named twice. A variable moves, or is fixed, or steady.'
            )
    if set(named) == set(moving) == set(field.state):
        return field
    if steady and not field.is_continuous:
        raise AnalysisError(
            f"{field.name} is a map: nothing in it is quasi-steady. Fix it instead."
        )
    held = {name: np.asarray(fixed.get(name, value), np.float64)
            for name, value in field.state.items() if name not in (*moving, *steady)}  # fmt: skip
    follow = _following(field, tuple(steady))

    def F(state: State, parameters: State) -> dict[str, Any]:
        own = {name: value for name, value in parameters.items() if name not in held}
        others = {name: parameters.get(name, value) for name, value in held.items()}
        whole = follow({**state, **others}, own)
        found = field.F(whole, own)
        return {name: found[name] for name in moving}

    parameters = {**field.parameters, **held}
    return VectorField(
        F,
        {name: field.state[name] for name in moving},
        parameters,
        field.is_continuous,
        field.name,
        (*field.notes, *_notes(held, steady)),
        field.threshold if field.threshold and field.threshold[0] in moving else None,
        None,
    )


def _following(
    field: VectorField, steady: tuple[str, ...]
) -> Callable[[State, State], dict[str, Any]]:
    """A function that adds the quasi-steady variables to a state, by Newton's method."""
    if not steady:
        return lambda state, parameters: dict(state)
    start = np.concatenate([np.reshape(field.state[name], -1) for name in steady])

    def taken_apart(z: Any) -> dict[str, Any]:
        found, first = {}, 0
        for name in steady:
            shape = np.shape(field.state[name])
            last = first + int(np.prod(shape, dtype=int))
            found[name] = z[first:last].reshape(shape)
            first = last
        return found

    def of_entries(*z: Any) -> list[Any]:
        found = field.F({**field.state, **taken_apart(jnp.stack(z))}, {})
        return [x for name in steady for x in jnp.reshape(found[name], -1)]

    with jax.enable_x64(True):
        relations = dependence(of_entries, *start)
    are_apart = not relations[~np.eye(len(start), dtype=bool)].any()  # such as gates

    def follow(state: State, parameters: State) -> dict[str, Any]:
        def g(z: Any) -> Any:
            found = field.F({**state, **taken_apart(z)}, parameters)
            return jnp.concatenate([jnp.reshape(found[name], -1) for name in steady])

        def newton(z: Any) -> Any:
            if are_apart:
                value, slope = jax.jvp(g, (z,), (jnp.ones_like(z),))
                return z - value / slope
            return z - jnp.linalg.solve(jax.jacfwd(g)(z), g(z))

        def advance(carry: Any) -> Any:
            z, _, steps = carry
            new = newton(z)
            return new, jnp.abs(new - z).max() > EXACT * (1.0 + jnp.abs(z).max()), steps + 1

        first = newton(start)  # varies over the devices as what it is made of
        begin = (jnp.bool_(True), jnp.int64(0))
        begin = [varying_over(a, axes_of(first)) for a in begin]
        z, *_ = jax.lax.while_loop(lambda c: c[1] & (c[2] < NEWTON_STEPS), advance, (first, *begin))
        # At the root the derivative of one more step is that of the root, whatever was before.
        return {**state, **taken_apart(newton(jax.lax.stop_gradient(z)))}

    return follow


def _notes(held: Mapping[str, Any], steady: Sequence[str]) -> list[str]:
    notes = []
    if held:
        values = ", ".join(
            f"{name} = {float(v):.4g}" if not np.ndim(v) else name for name, v in held.items()
        )
        notes.append(f"Held: {values}.")
    if steady:
        notes.append(f"Quasi-steady: {', '.join(steady)}.")
    return notes

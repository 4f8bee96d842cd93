"""Stochastic schemes, for noise of its own in every variable.

    dX_i = f_i(t, X) dt + g_i(t, X) dW_i,   W_i independent

f is a model's `derivative`, g its `diffusion`, in units of the variable per square root of ms. The
integral is Ito's unless the model says `noise = "stratonovich"`; a scheme belongs to one of them,
Milstein's to both. An increment is a function of the key, the cell, the step and the variable, so
that a path does not depend on who computes it, and the same scheme with the same key repeats it.

Orders above 1/2 hold where g_i depends on t and its own X_i (diagonal noise).
"""

import abc
import math
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from distdyn.core.exprel import exprel
from distdyn.core.flow import Flow, Point
from distdyn.core.integrators.exponential import ExpEuler, with_own_slope
from distdyn.core.integrators.integrator import Integrator
from distdyn.core.system import Drive, Tick
from distdyn.errors import ParameterError
from distdyn.ops.normal import Stream, normal_pair

Leaves = list[Any]  # of a point; of noise None for a leaf without

ITO, STRATONOVICH = "ito", "stratonovich"


class Stochastic(Integrator):
    """A scheme for equations with noise; `calculus` says for which integrals it is."""

    calculus: ClassVar[tuple[str, ...]]


class _Equations:
    """The equations of a step on flat lists of leaves, and its random increments."""

    def __init__(self, flow: Flow, y: Point, current: Any, held: Any, tick: Tick) -> None:
        self.flow, self.held, self.tick = flow, held, tick
        self.current = 0.0 if current is None else current
        self.x, self.structure = jax.tree.flatten(y)
        self.h = jnp.asarray(tick.dt, self.x[0].dtype)
        self.root = jnp.sqrt(self.h)
        self.g = self.noise(0.0, self.x)  # at the beginning of the step

    def drift(self, c: float, x: Leaves) -> Leaves:
        """H f at t + c h."""
        found = self.flow.derivative(self.at(c), self.point(x), self.current)
        return [self.h * f for f in self.free(jax.tree.leaves(found), x)]

    def noise(self, c: float, x: Leaves) -> Leaves:
        """G at t + c h."""
        return self.free(self.flow.diffusion(self.at(c), self.point(x), self.current), x)

    def increments(self) -> tuple[Leaves, Leaves]:
        """DW and an independent dV of the same distribution, of each leaf with noise."""
        dW, dV = [], []
        for row, (value, g) in enumerate(zip(self.x, self.g, strict=True)):
            if g is None:
                dW.append(None)
                dV.append(None)
                continue
            stream = stream_of(self.flow, self.tick, value.shape)
            z, other = normal_pair(stream, self.tick.step, row, value.dtype)
            dW.append(self.root * z)
            dV.append(self.root * other)
        return dW, dV

    def noise_rate(self) -> Leaves:
        """The derivative of each g by its own variable, at the beginning of the step."""
        x = self.x

        def own(row: int, value: Any) -> Any:
            return self.noise(0.0, [*x[:row], value, *x[row + 1 :]])[row]

        def rate(row: int) -> Any:
            return with_own_slope(lambda v: own(row, v), x[row], self.flow.is_elementwise)[1]

        return [None if g is None else rate(row) for row, g in enumerate(self.g)]

    def at(self, c: float) -> Any:
        return self.tick.t + c * self.tick.dt if c else self.tick.t

    def point(self, x: Leaves) -> Point:
        return jax.tree.unflatten(self.structure, x)

    def free(self, values: Leaves, like: Leaves) -> Leaves:
        """In the types of the state; 0 for a V that is held."""
        V, found = self.flow.membrane(), []
        for row, (value, x) in enumerate(zip(values, like, strict=True)):
            if value is not None:
                value = jnp.broadcast_to(jnp.asarray(value).astype(x.dtype), x.shape)
                if self.held is not None and row == V:
                    value = jnp.where(self.held, jnp.zeros((), x.dtype), value)
            found.append(value)
        return found


def _each(function: Callable, *lists: Leaves) -> Leaves:
    """A function of the leaves with noise; None for the others."""
    rows = zip(*lists, strict=True)
    return [None if any(x is None for x in row) else function(*row) for row in rows]


def _sum(x: Leaves, *terms: Leaves) -> Leaves:
    for term in terms:
        x = [v if d is None else v + d for v, d in zip(x, term, strict=True)]
    return x


def _product(x: Any, y: Any) -> Any:
    return x * y


class Explicit(Stochastic):
    """A scheme of drift, noise and increments only."""

    def prepare(self, flow: Flow, dt: float) -> Any:
        return ()

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        equations = _Equations(flow, y, current, held, tick)
        return equations.point(self.after(equations))

    @abc.abstractmethod
    def after(self, e: Any) -> Leaves:
        """The leaves after one step."""


class EulerMaruyama(Explicit):
    """X' = X + h f + g dW. Ito; strong order 1/2 (1 if g does not depend on X), weak order 1.

    Source: Maruyama (1955), Rend. Circ. Mat. Palermo 4, 48.
    """

    calculus: ClassVar = (ITO,)

    def after(self, e: _Equations) -> Leaves:
        dW, _ = e.increments()
        return _sum(e.x, e.drift(0.0, e.x), _each(_product, e.g, dW))


class TamedEuler(Explicit):
    """X' = X + h f / (1 + h |f|) + g dW, |f| over the cell. Ito; strong order 1/2.

    Converges where the drift grows faster than linearly and Euler-Maruyama diverges.

    Source: Hutzenthaler, Jentzen & Kloeden (2012), Ann. Appl. Probab. 22, 1611.
    """

    calculus: ClassVar = (ITO,)

    def after(self, e: _Equations) -> Leaves:
        dW, _ = e.increments()
        F = e.drift(0.0, e.x)
        total = F[0] * F[0]
        for f in F[1:]:
            total = total + f * f
        is_still = total == 0.0  # where the root has no derivative
        root = jnp.sqrt(jnp.where(is_still, jnp.ones_like(total), total))
        size = 1.0 + jnp.where(is_still, jnp.zeros_like(root), root)
        return _sum(e.x, [f / size for f in F], _each(_product, e.g, dW))


class Milstein(Explicit):
    """X' = X + h f + g dW + g g' (dW^2 - h) / 2; strong order 1.

    In Stratonovich's calculus without the h after dW^2. g' is the derivative of g_i by X_i, by
    automatic differentiation; without gradient it is the difference quotient
    (g(X + sqrt(h) g) - g(X)) / (sqrt(h) g), whose g cancels.

    Attributes:
        gradient: whether g is differentiated.

    Source: Milstein (1975), Theory Probab. Appl. 19, 557; without gradient, Kloeden & Platen
    (1992), Numerical Solution of SDEs, sec. 11.1.
    """

    calculus: ClassVar = (ITO, STRATONOVICH)
    gradient: bool = eqx.field(static=True, default=True)

    def after(self, e: _Equations) -> Leaves:
        dW, _ = e.increments()
        less = e.h if calculus_of(e.flow.neuron) == ITO else jnp.zeros_like(e.h)
        if self.gradient:
            slope = _each(_product, e.g, e.noise_rate())
        else:
            support = e.noise(0.0, _sum(e.x, _each(lambda g: e.root * g, e.g)))
            slope = _each(lambda s, g: (s - g) / e.root, support, e.g)
        second = _each(lambda b, w: 0.5 * b * (w * w - less), slope, dW)
        return _sum(e.x, e.drift(0.0, e.x), _each(_product, e.g, dW), second)


class KlPl(Explicit):
    """Kloeden and Platen's scheme of strong order 1 without derivatives. Ito.

        X' = X + h f + g dW + (g(Y) - g(X)) (dW^2 - h) / (2 sqrt h),   Y = X + h f + sqrt(h) g

    It is `Milstein(gradient=False)` but for the drift in Y.

    Source: Kloeden & Platen (1992), Numerical Solution of SDEs, eq. 11.1.3.
    """

    calculus: ClassVar = (ITO,)

    def after(self, e: _Equations) -> Leaves:
        dW, _ = e.increments()
        F, g = e.drift(0.0, e.x), e.g
        support = e.noise(0.0, _sum(e.x, F, _each(lambda g: e.root * g, g)))
        second = _each(lambda s, g, w: (s - g) * (w * w - e.h) / (2.0 * e.root), support, g, dW)
        return _sum(e.x, F, _each(_product, g, dW), second)


class StochasticHeun(Explicit):
    """X' = X + (F + F~) / 2 + (g + g~) dW / 2, with F~ = h f and g~ at Y = X + F + g dW.

    Stratonovich; strong order 1, of order 2 in h for the drift alone.

    Source: Rumelin (1982), SIAM J. Numer. Anal. 19, 604.
    """

    calculus: ClassVar = (STRATONOVICH,)

    def after(self, e: _Equations) -> Leaves:
        dW, _ = e.increments()
        F, g = e.drift(0.0, e.x), e.g
        y = _sum(e.x, F, _each(_product, g, dW))
        drift = [0.5 * (a + b) for a, b in zip(F, e.drift(1.0, y), strict=True)]
        return _sum(e.x, drift, _each(lambda a, b, w: 0.5 * (a + b) * w, g, e.noise(1.0, y), dW))


class StochasticRungeKutta(Explicit):
    """Four stages for the drift and four for the noise. Ito; strong order 3/2, for diagonal noise.

        H_i = X + sum_j A0_ij h f(H_j) + sum_j B0_ij g(K_j) I10 / h
        K_i = X + sum_j A1_ij h f(H_j) + sum_j B1_ij g(K_j) sqrt(h)
        X'  = X + sum_i a_i h f(H_i)
                + sum_i (b1_i I1 + b2_i I11 / sqrt(h) + b3_i I10 / h + b4_i I111 / h) g(K_i)
        I1 = dW,  I11 = (dW^2 - h) / 2,  I111 = (dW^3 - 3 h dW) / 6,
        I10 = h (dW + dV / sqrt(3)) / 2

    f and g at t + c0_i h and t + c1_i h; dV as dW, and independent of it.

    Source: Rossler (2010), SIAM J. Numer. Anal. 48, 922.
    """

    calculus: ClassVar = (ITO,)
    A0: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    A1: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    B0: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    B1: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    a: tuple[float, ...] = eqx.field(static=True)
    b: tuple[tuple[float, ...], ...] = eqx.field(static=True)
    c0: tuple[float, ...] = eqx.field(static=True)
    c1: tuple[float, ...] = eqx.field(static=True)

    def after(self, e: _Equations) -> Leaves:
        dW, dV = e.increments()
        I10 = _each(lambda w, v: 0.5 * (w + v * (1.0 / math.sqrt(3.0))), dW, dV)  # / h
        F: list[Leaves] = []
        G: list[Leaves] = []
        for i in range(len(self.a)):
            H = _stage(e.x, self.A0[i], F, _weighed(self.B0[i], G, I10))
            K = _stage(e.x, self.A1[i], F, _weighed(self.B1[i], G, _each(lambda w: e.root, dW)))
            F.append(e.drift(self.c0[i], H) if self.uses(i) else [])
            G.append(e.noise(self.c1[i], K))
        new = _stage(e.x, self.a, F, [])
        I11 = _each(lambda w: 0.5 * (w * w - e.h) / e.root, dW)  # / sqrt(h)
        I111 = _each(lambda w: w * (w * w - 3.0 * e.h) / (6.0 * e.h), dW)  # / h
        for weights, integral in zip(self.b, (dW, I11, I10, I111), strict=True):
            new = _sum(new, *_weighed(weights, G, integral))
        return new

    def uses(self, stage: int) -> bool:
        """Whether the drift at this stage has a weight anywhere."""
        rows = (*self.A0, *self.A1, self.a)
        return any(len(row) > stage and row[stage] != 0.0 for row in rows)


def _stage(x: Leaves, weights: tuple[float, ...], F: list[Leaves], noise: list[Leaves]) -> Leaves:
    drift = ([w * f for f in of] for w, of in zip(weights, F, strict=False) if w)
    return _sum(x, *drift, *noise)


def _weighed(weights: tuple[float, ...], G: list[Leaves], by: Leaves) -> list[Leaves]:
    return [
        _each(lambda g, i, w=w: w * g * i, of, by) for w, of in zip(weights, G, strict=False) if w
    ]


def SRK1W1() -> StochasticRungeKutta:
    """Rossler's SRI1W1: deterministic order 2."""
    return StochasticRungeKutta(
        A0=((), (0.75,), (), ()),
        A1=((), (0.25,), (1.0,), (0.0, 0.0, 0.25)),
        B0=((), (1.5,), (), ()),
        B1=((), (0.5,), (-1.0,), (-5.0, 3.0, 0.5)),
        a=(1 / 3, 2 / 3, 0.0, 0.0),
        b=(
            (-1.0, 4 / 3, 2 / 3, 0.0),
            (-1.0, 4 / 3, -1 / 3, 0.0),
            (2.0, -4 / 3, -2 / 3, 0.0),
            (-2.0, 5 / 3, -2 / 3, 1.0),
        ),
        c0=(0.0, 0.75, 0.0, 0.0),
        c1=(0.0, 0.25, 1.0, 0.25),
    )


def SRK2W1() -> StochasticRungeKutta:
    """Rossler's SRI2W1: deterministic order 3."""
    return StochasticRungeKutta(
        A0=((), (1.0,), (0.25, 0.25), ()),
        A1=((), (0.25,), (1.0,), (0.0, 0.0, 0.25)),
        B0=((), (0.0,), (1.0, 0.5), ()),
        B1=((), (-0.5,), (1.0,), (2.0, -1.0, 0.5)),
        a=(1 / 6, 1 / 6, 2 / 3, 0.0),
        b=(
            (-1.0, 4 / 3, 2 / 3, 0.0),
            (1.0, -4 / 3, 1 / 3, 0.0),
            (2.0, -4 / 3, -2 / 3, 0.0),
            (-2.0, 5 / 3, -2 / 3, 1.0),
        ),
        c0=(0.0, 1.0, 0.5, 0.0),
        c1=(0.0, 0.25, 1.0, 0.25),
    )


class ExpEulerMaruyama(Stochastic):
    """Exponential Euler for the drift, and noise that decays with its linear part. Ito.

        X_i' = X_i + h phi_1(a h) F_i(X) + g_i sqrt(h phi_1(2 a h)) z,   a = dF_i / dX_i

    Exact, whatever the step, for Ornstein-Uhlenbeck processes: F_i = (mu - X_i) / tau with constant
    mu, and constant g_i. In general of strong order 1/2 (1 if g does not depend on X), and stable
    where the linear part is stiff. Receptors are integrated as by `ExpEuler`.

    Source: of the variance, Gillespie (1996), Phys. Rev. E 54, 2084.
    """

    calculus: ClassVar = (ITO,)

    def prepare(self, flow: Flow, dt: float) -> Any:
        return ExpEuler().prepare(flow, dt)

    def advance(
        self, flow: Flow, prepared: Any, y: Point, current: Any, held: Any, tick: Tick
    ) -> Point:
        e = _Equations(flow, y, current, held, tick)
        after, rates = ExpEuler().advance_with_rates(flow, prepared, y, current, held, tick)
        rates = rates + [None] * (len(e.x) - len(rates))
        dW, _ = e.increments()
        spread = _each(lambda a: jnp.sqrt(exprel(2.0 * e.h * a)), rates)
        noise = _each(lambda g, r, w: g * r * w, e.g, spread, dW)
        return e.point(_sum(jax.tree.leaves(after), noise))


def stream_of(flow: Flow, tick: Tick, shape: tuple[int, ...]) -> Stream:
    """Whose draws those of a step are, for cells of this shape."""
    if tick.key is None:
        raise ParameterError(
            f"{type(flow.neuron).__name__} has noise, but the step has no random key. Use "
            "Tick(step, dt, t, key=jax.random.key(seed))."
        )
    return Stream.of(tick.key, shape)


def calculus_of(model: Any) -> str:
    """Which integral a model's noise means."""
    calculus = getattr(model, "noise", ITO)
    if calculus not in (ITO, STRATONOVICH):
        raise ParameterError(
            f'{type(model).__name__}: noise = "{calculus}" is no calculus. Use "{ITO}" or '
            f'"{STRATONOVICH}".'
        )
    return calculus


def check_diffusion(flow: Flow) -> None:
    """Raise a ParameterError unless the strength of the noise is like the state."""
    state, model = flow.example()[0], flow.neuron
    what = f"{type(model).__name__}.diffusion" if flow.is_elementwise else "diffusion"
    found = jax.eval_shape(
        lambda t, s: model.diffusion(t, s, Drive(0.0)), jnp.zeros((), float), state
    )
    strengths, structure = jax.tree.flatten(found, is_leaf=lambda x: x is None)
    if structure != jax.tree.structure(state):
        raise ParameterError(
            f"{what} returns {structure}, but the state is {jax.tree.structure(state)}. Return the "
            "strength of each variable in the structure of the state; None or 0 where it has none."
        )
    if flow.is_elementwise:
        return
    for name, g, x in zip(flow.names, strengths, jax.tree.leaves(state), strict=True):
        if g is None:
            continue
        if jnp.issubdtype(x.dtype, jnp.complexfloating):
            raise ParameterError(f"{name or 'y'} has noise but is complex. Split it in two parts.")
        if g.shape not in (x.shape, ()):
            raise ParameterError(
                f"{what} of {name or 'y'} has the shape {g.shape}, but y {x.shape}. Return the "
                "strength of every number of y."
            )

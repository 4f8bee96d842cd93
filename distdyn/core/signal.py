"""What changes in time and is given in advance: input currents and rates.

A `Signal` is a pure function of the step, so that a run may be split, resumed and cut in any way.
Signals add up and multiply, with each other and with numbers:

    wave = 200 + 50 * Sinusoid(1, frequency=8)            # pA
    noise = (OU(tau=5, sigma=40) + wave).between(100, 400)

That holds for noise too: what a `Noise` draws is a function of (seed, path of the input, target,
step), and a network gives it the seed.
"""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int, Int64, UInt32

from distdyn.core.parameters import Parameters
from distdyn.core.system import Tick
from distdyn.errors import ParameterError
from distdyn.ops.normal import Stream
from distdyn.ops.update import BLOCK, in_blocks
from distdyn.random import stream_key
from distdyn.units import real, shown, to_steps


class Signal(Parameters):
    """A value, or one value per target, as a function of time alone."""

    __array_ufunc__: ClassVar = None  # an array times a signal is a signal

    @abc.abstractmethod
    def at(self, tick: Tick) -> Any:
        """The value that holds during the step; shape [] or [target]."""

    @abc.abstractmethod
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value; infinite where there is no bound."""

    def changes(self) -> np.ndarray | None:
        """The times (ms) at which the value changes, in any order; None: it may at any step."""
        return None

    @property
    def count(self) -> int | None:
        """How many targets it has values for; None: any number of them."""
        with jax.enable_x64(True):
            shape = jax.eval_shape(lambda: jnp.asarray(self.at(_ZERO))).shape
        return shape[0] if shape else None

    @property
    def is_single(self) -> bool:
        """Whether there is one value for all targets."""
        return self.count is None

    def of(self, tick: Tick, targets: Int[Array, "k"]) -> Any:
        """The values of these targets; shape [k], or [] if all have the same."""
        value = jnp.asarray(self.at(tick))
        return value[targets] if value.ndim else value

    def between(self, start: float, stop: float) -> "Signal":
        """The signal from `start` to `stop` (ms), and 0 before and after."""
        return Between(self, start, stop)

    def clip(self, low: float = -np.inf, high: float = np.inf) -> "Signal":
        """The signal, with `low` where it is less and `high` where it is more."""
        return Clipped(self, low, high)

    def sample(
        self,
        duration: float,
        dt: float,
        *,
        start: float = 0.0,
        seed: int = 0,
        path: str = "",
        targets: Sequence[int] | None = None,
    ) -> Float64[np.ndarray, "t"] | Float64[np.ndarray, "t k"]:
        """The values in the steps of a time, as an array.

        Args:
            duration: how long, in ms.
            dt: time step, in ms.
            start: the first step begins here, in ms.
            seed: of the network that has it as an input; only noise looks at it.
            path: of that input in the network, as `noise`.
            targets: which ones; by default all of a signal with a row of values per time, and one
                of a noise that each target has its own of.

        Raises:
            TimeError: a time that is not a multiple of dt.
        """
        first, n = (int(to_steps(x, dt, f"sample: {w}")) for x, w in (
            (start, "start"), (duration, "duration"),
        ))  # fmt: skip
        count = self.count
        chosen = list(range(1 if count is None else count) if targets is None else targets)
        with jax.enable_x64(True):
            signal = seeded(self, seed, path)

            def at(step: Any) -> Any:
                tick = Tick(step, dt, step.astype(float) * dt)
                value = at_targets(signal, tick, jnp.asarray(chosen, jnp.int64))
                return jnp.asarray(value, float)

            values = np.asarray(jax.jit(jax.lax.map, static_argnums=0)(at, first + jnp.arange(n)))
        return values[:, 0] if values.ndim == 2 and targets is None and count is None else values

    def __add__(self, other: Any) -> "Signal":
        return Sum((self, _operand(other)))

    def __mul__(self, other: Any) -> "Signal":
        return Product((self, _operand(other)))

    def __neg__(self) -> "Signal":
        return Product((self, -1.0))

    def __sub__(self, other: Any) -> "Signal":
        return self + Product((_operand(other), -1.0))

    def __rsub__(self, other: Any) -> "Signal":
        return -self + other

    __radd__, __rmul__ = __add__, __mul__


class Sum(Signal):
    """The sum of signals, functions of t, numbers, and arrays over the targets."""

    members: tuple[Any, ...]

    def at(self, tick: Tick) -> Any:
        return _summed([value_at(x, tick) for x in self.members])

    def of(self, tick: Tick, targets: Int[Array, "k"]) -> Any:
        return _summed([at_targets(x, tick, targets) for x in self.members])

    def extremes(self) -> tuple[float, float]:
        low, high = zip(*map(extremes_of, self.members), strict=True)
        return sum(low), sum(high)

    def changes(self) -> np.ndarray | None:
        return changes_of(self.members)

    @property
    def count(self) -> int | None:
        return _common_count(self.members)

    @property
    def is_single(self) -> bool:
        return all(map(is_single, self.members))


class Product(Signal):
    """The product of signals, functions of t, numbers, and arrays over the targets."""

    members: tuple[Any, Any]

    def at(self, tick: Tick) -> Any:
        first, second = (value_at(x, tick) for x in self.members)
        return first * second

    def of(self, tick: Tick, targets: Int[Array, "k"]) -> Any:
        first, second = (at_targets(x, tick, targets) for x in self.members)
        return first * second

    def extremes(self) -> tuple[float, float]:
        first, second = map(extremes_of, self.members)
        with np.errstate(invalid="ignore"):
            corners = np.outer(first, second)
        corners = np.where(np.isnan(corners), 0.0, corners)  # 0 times what has no bound
        return float(corners.min()), float(corners.max())

    def changes(self) -> np.ndarray | None:
        return changes_of(self.members)

    @property
    def count(self) -> int | None:
        return _common_count(self.members)

    @property
    def is_single(self) -> bool:
        return all(map(is_single, self.members))


class Between(Signal):
    """A signal from `start` to `stop` (ms), 0 before and after."""

    signal: Signal
    start: float
    stop: float

    def __init__(self, signal: Signal, start: float, stop: float):
        self.signal, self.start, self.stop = signal, finite(start, "start"), finite(stop, "stop")
        if not self.start <= self.stop:
            raise ParameterError(
                f"between: start = {start:g} ms is after stop = {stop:g} ms. Give them in order."
            )

    def at(self, tick: Tick) -> Any:
        return self._cut(tick, self.signal.at(tick))

    def of(self, tick: Tick, targets: Int[Array, "k"]) -> Any:
        return self._cut(tick, self.signal.of(tick, targets))

    def _cut(self, tick: Tick, value: Any) -> Any:
        first, after = (step_of(x, tick) for x in (self.start, self.stop))
        is_inside = (tick.step >= first) & (tick.step < after)
        return jnp.where(is_inside, value, jnp.zeros_like(value))

    def extremes(self) -> tuple[float, float]:
        low, high = self.signal.extremes()
        return min(low, 0.0), max(high, 0.0)

    def changes(self) -> np.ndarray | None:
        inside = self.signal.changes()
        return None if inside is None else np.append(inside, [self.start, self.stop])

    @property
    def count(self) -> int | None:
        return self.signal.count

    @property
    def is_single(self) -> bool:
        return self.signal.is_single


class Clipped(Signal):
    """A signal, with `low` where it is less and `high` where it is more."""

    signal: Signal
    low: float
    high: float

    def __init__(self, signal: Signal, low: float = -np.inf, high: float = np.inf):
        self.signal, self.low, self.high = signal, float(low), float(high)
        if not self.low <= self.high:
            raise ParameterError(f"clip: low = {low:g} is more than high = {high:g}. Swap them.")

    def at(self, tick: Tick) -> Any:
        return jnp.clip(self.signal.at(tick), self.low, self.high)

    def of(self, tick: Tick, targets: Int[Array, "k"]) -> Any:
        return jnp.clip(self.signal.of(tick, targets), self.low, self.high)

    def extremes(self) -> tuple[float, float]:
        low, high = np.clip(self.signal.extremes(), self.low, self.high).tolist()
        return low, high

    def changes(self) -> np.ndarray | None:
        return self.signal.changes()

    @property
    def count(self) -> int | None:
        return self.signal.count

    @property
    def is_single(self) -> bool:
        return self.signal.is_single


class Noise(Signal):
    """A signal that is drawn: for each target on its own, or one for all of them.

    The draws are those of a stream that the seed and the path of the input name. One `Noise` object
    is one noise within an input: `x - x` is 0. In two inputs it is two that do not depend on each
    other; one `CurrentInput((E, I), x)` shares it between populations.

    Attributes:
        shared: whether all targets of the input see the same one.
        words: of the random key; what the network gives.
    """

    shared: bool = eqx.field(default=False, kw_only=True, static=True)
    words: UInt32[np.ndarray, "2"] | None = eqx.field(default=None, kw_only=True, repr=False)

    @abc.abstractmethod
    def draw(self, tick: Tick, stream: Stream) -> Any:
        """The value for each id of the stream; elementwise."""

    def at(self, tick: Tick) -> Any:
        if not self.shared:
            raise ParameterError(
                f"{type(self).__name__}: at(tick): each target has its own. Call of(tick, targets)."
            )
        return self.of(tick, np.zeros(1, np.int64))  # pyright: ignore[reportArgumentType]

    def of(self, tick: Tick, targets: Int[Array, "k"]) -> Any:
        if self.words is None:
            raise ParameterError(
                f"{type(self).__name__} has no seed: it gets one as an input of a network, or from "
                "sample(duration, dt, seed=...)."
            )
        word0, word1 = jnp.asarray(self.words, jnp.uint32)

        def draw(id: Any) -> Any:
            return self.draw(tick, Stream(word0, word1, id))

        id = jnp.zeros(1, jnp.uint32) if self.shared else targets.astype(jnp.uint32)
        cells = id.shape[0]
        # Filled up here: of one number over and over, XLA simplifies what is drawn without end.
        id = jnp.concatenate([id, jnp.arange(max(0, BLOCK + 1 - cells), dtype=jnp.uint32)])
        blocked = in_blocks(draw, cells)
        value = jax.lax.platform_dependent(id, cpu=blocked, default=draw)[:cells]
        return value[0] if self.shared else value

    @property
    def count(self) -> int | None:
        return None

    @property
    def is_single(self) -> bool:
        return self.shared


def changes_of(values: Sequence[Any]) -> np.ndarray | None:
    """The times (ms) at which some of these change; None: any time. Numbers never do."""
    found = [np.zeros(0)]
    for value in values:
        if isinstance(value, Signal) or callable(value):
            times = value.changes() if isinstance(value, Signal) else None
            if times is None:
                return None
            found.append(times)
    return np.concatenate(found)


def value_at(signal: Any, tick: Tick) -> Any:
    """The value of a number, an array, a `Signal` or a function of t (ms)."""
    if isinstance(signal, Signal):
        return signal.at(tick)
    return signal(tick.t) if callable(signal) else signal


def at_targets(signal: Any, tick: Tick, targets: Int[Array, "k"]) -> Any:
    """The values of these targets; shape [k], or [] if all have the same."""
    if isinstance(signal, Signal):
        return signal.of(tick, targets)
    value = value_at(signal, tick)
    return jnp.asarray(value)[targets] if jnp.ndim(value) else value


def is_single(value: Any) -> bool:
    """Whether a number, an array, a `Signal` or a function of t is one number at any time."""
    if isinstance(value, Signal):
        return value.is_single
    if callable(value):
        return jnp.shape(jax.eval_shape(lambda: jnp.asarray(value(0.0)))) == ()
    return np.ndim(value) == 0


def extremes_of(value: Any) -> tuple[float, float]:
    """The smallest and the largest value; infinite where they are not known."""
    if isinstance(value, Signal):
        return value.extremes()
    if callable(value):
        return -np.inf, np.inf
    return float(np.min(value)), float(np.max(value))


def seeded(value: Any, seed: int, path: str) -> Any:
    """A signal with its noise drawn by the seed, as the input of this path; others as they are.

    The noises in it are numbered in the order in which they are met.
    """
    if not isinstance(value, Signal):
        return value
    numbers: dict[int, int] = {}

    def key(x: Any) -> Any:
        if not isinstance(x, Noise):
            return x
        number = numbers.setdefault(id(x), len(numbers))
        words = np.array(stream_key(seed, f"signal {number}", path), np.uint32)
        return eqx.tree_at(lambda noise: noise.words, x, words, is_leaf=lambda x: x is None)

    return jax.tree.map(key, value, is_leaf=lambda x: isinstance(x, Noise))


def step_of(time: Any, tick: Tick) -> Int64[Array, "..."]:
    """The step that begins at a time (ms)."""
    return jnp.rint(jnp.asarray(time) / tick.dt).astype(jnp.int64)


def finite(value: Any, what: str) -> float:
    """A finite number.

    Raises:
        ParameterError: it is none.
    """
    number = real(value, what)
    if isinstance(number, np.ndarray) or not np.isfinite(number):
        raise ParameterError(f"{what} = {shown(value)} is not possible. Give a finite number.")
    return number


def _operand(value: Any) -> Any:
    """What a signal is added to or multiplied by."""
    if isinstance(value, Signal) or callable(value):
        return value
    numbers = real(value, "a signal's operand")
    if not np.isfinite(numbers).all() or np.ndim(numbers) > 1:
        raise ParameterError(
            f"{shown(value)} cannot be added to a signal or multiplied by it. Give a finite "
            "number, or an array of one per target."
        )
    return numbers


def _summed(values: list[Any]) -> Any:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _common_count(members: tuple[Any, ...]) -> int | None:
    found = [x.count for x in members if isinstance(x, Signal)]
    found += [len(x) for x in members if not callable(x) and np.ndim(x)]
    counts = {n for n in found if n is not None}
    if len(counts) > 1:
        raise ParameterError(
            f"signals over {' and '.join(map(str, sorted(counts)))} targets do not add "
            "up or multiply. Give all of them one value, or a row of values, for each target."
        )
    return next(iter(counts), None)


_ZERO = Tick(np.int64(0), 0.1, 0.0)

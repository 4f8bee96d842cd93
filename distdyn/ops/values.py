"""From a random word to a delay, a weight, or the number of synapses in a cell, in integers only.

All are inverse distribution functions tabulated once on the host: the same tables, and the same
integer arithmetic, give the same synapses on every processor.
"""

from typing import NamedTuple, Protocol

import numpy as np

from distdyn.errors import DelayError, WeightError

WORDS = 1 << 32
MANY_DELAYS = 1 << 12  # from here on, thresholds are found bit by bit, to save memory
GUIDE_BITS = 12  # the delay's guide has 2^12 entries
KNOT_BITS = 10  # a weight table has 2^10 cells
UNIT_BITS = 12  # knots count in 2^-12 units of the int16 weight
INT16_MAX = 32767
MOST_TABULATED = 64  # mean of the binomial numbers that are tabulated
FIXED_BITS = 256
LEAST_WEIGHT = 128  # a largest weight below has fewer than 8 significant bits


class HasQuantile(Protocol):
    """What a distribution is to this file."""

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """The values below which the parts u of all draws lie, 0 < u < 1."""
        ...


class Binomials(NamedTuple):
    """Binomial(n, p) for some n as a function of a 64-bit word: how many thresholds are <= word.

    Attributes:
        row: int64[largest n + 1]; the row of the thresholds for n, -1 where there are none.
        length: int64[rows]; how many thresholds a row has.
        threshold: uint64[rows, longest]; of all 2^64 words, how many give at most k.
    """

    row: np.ndarray
    length: np.ndarray
    threshold: np.ndarray


def binomials(sizes: np.ndarray, p: float) -> Binomials:
    """The tables of those n > 0 among `sizes` for which one is short: n p <= 64, p <= 1/2."""
    short = [int(n) for n in sizes if n > 0 and is_tabulated(int(n), p)]
    tables = [_binomial_thresholds(n, p) for n in short]
    threshold = np.zeros((len(tables), max(map(len, tables), default=0)), np.uint64)
    row = np.full(int(np.max(sizes, initial=0)) + 1, -1, np.int64)
    row[short] = np.arange(len(short))
    for i, table in enumerate(tables):
        threshold[i, : len(table)] = table
    return Binomials(row, np.array([len(table) for table in tables], np.int64), threshold)


def is_tabulated(n: int, p: float) -> bool:
    """Whether `binomials` makes a table for n."""
    return n * p <= MOST_TABULATED and p <= 0.5


def _binomial_thresholds(n: int, p: float) -> list[int]:
    """2^64 P(at most k), rounded down, from k = 0 up to where no word is left.

    In fixed-point numbers of 256 bits, for the least mass is (1 - p)^n >= 2^-128.
    """
    numerator, denominator = p.as_integer_ratio()
    success = (numerator << FIXED_BITS) // denominator
    failure = (1 << FIXED_BITS) - success
    mass, power, left = 1 << FIXED_BITS, failure, n
    while left:  # mass = failure^n by squaring
        if left & 1:
            mass = mass * power >> FIXED_BITS
        power = power * power >> FIXED_BITS
        left >>= 1
    total, thresholds = 0, []
    for k in range(n):
        total += mass
        thresholds.append(min(total >> (FIXED_BITS - 64), 2**64 - 1))
        mass = mass * (n - k) * success // ((k + 1) * failure)
        if k > n * p and not mass >> (FIXED_BITS - 66):
            break
    return thresholds


class Delays(NamedTuple):
    """Delays in steps as a function of a 32-bit word.

    delay = first + i where threshold[i - 1] <= word < threshold[i]

    Attributes:
        first: the shortest delay.
        threshold: uint64[n]; how many words give a delay of at most first + i; ends with 2^32.
        guide: int32[4096]; the i of the first word with these top 12 bits.
    """

    first: int
    threshold: np.ndarray
    guide: np.ndarray

    @property
    def last(self) -> int:
        """The longest delay."""
        return self.first + len(self.threshold) - 1


def constant_delay(steps: int) -> Delays:
    """The table of one delay."""
    return Delays(int(steps), np.array([WORDS], np.uint64), np.zeros(1 << GUIDE_BITS, np.int32))


def delay_range(distribution: HasQuantile, dt: float, where: str = "delay") -> tuple[int, int]:
    """The shortest and the longest delay that can be drawn, in steps."""
    first, last = _steps(distribution, np.array([0, WORDS - 1]), dt, where)
    if not last - first < 1 << 20:
        raise DelayError(
            f"{where} = {distribution} spans delays from {first:.6g} to {last:.6g} steps of {dt:g} "
            "ms, more than 2^20. Limit it with high=."
        )
    return int(first), int(last)


def drawn_delays(distribution: HasQuantile, dt: float, where: str = "delay") -> Delays:
    """The table of max(1, rint(x / dt)) for x (ms) of this distribution.

    The steps are monotone in the word, so each threshold is found digit by digit, exact to a word.
    """
    first, last = delay_range(distribution, dt, where)
    wanted = np.arange(float(first), last)[:, None]
    width, base = WORDS, 16 if len(wanted) < MANY_DELAYS else 2
    least = np.zeros((len(wanted), 1), np.int64)  # so many words at least are not longer
    while width > 1:
        width //= base
        word = least + width * np.arange(1, base) - 1
        is_longer = _steps(distribution, word, dt, where) > wanted
        least += width * (base - 1 - np.count_nonzero(is_longer, axis=1, keepdims=True))
    threshold = np.append(least, WORDS).astype(np.uint64)
    words = np.arange(1 << GUIDE_BITS, dtype=np.uint64) << np.uint64(32 - GUIDE_BITS)
    guide = np.searchsorted(threshold, words, side="right").astype(np.int32)
    return Delays(first, threshold, guide)


def _steps(distribution: HasQuantile, word: np.ndarray, dt: float, where: str) -> np.ndarray:
    return np.maximum(1.0, np.rint(_quantile(distribution, word, where) / dt))


class Weights(NamedTuple):
    """int16 weights as a function of a 32-bit word, by interpolation between quantiles.

    Attributes:
        knots: int32[3, 1025]; the quantiles at the ends of 1024 equal cells of all words, and of
            the first and of the last of these cells, in 2^-12 units of the weight.
        unit: one unit of the weight in the accumulator's integers, a power of two.
    """

    knots: np.ndarray
    unit: int


NO_KNOTS = np.zeros((0, (1 << KNOT_BITS) + 1), np.int32)  # of weights that are not drawn


def drawn_weights(distribution: HasQuantile, unit_scale: float, where: str = "weight") -> Weights:
    """The table of the weights of this distribution in units of 1 / unit_scale.

    The unit is the smallest power of two with which the largest weight fits into an int16. Where
    the distribution is symmetric, so is the table, exactly.
    """
    knots = quantile_knots(distribution, where)
    largest = float(np.abs(knots).max()) * unit_scale
    check_significance(largest, f"{where} = {distribution}")
    shift = 0
    while largest > INT16_MAX * 2.0**shift:
        shift += 1
    per_knot = unit_scale / 2.0**shift * 2.0**UNIT_BITS
    table = np.rint(knots * per_knot)
    middle, mirrored = knots[0, 1 << (KNOT_BITS - 1)], knots[[0, 2, 1], ::-1]
    if np.abs(knots + mirrored - 2 * middle).max() <= 1e-9 * np.abs(knots).max():
        table = np.rint(middle * per_knot) + np.rint((knots - mirrored) / 2 * per_knot)
    return Weights(np.ascontiguousarray(table, np.int32), 1 << shift)


class _StandardNormal:
    def quantile(self, u: np.ndarray) -> np.ndarray:
        from scipy.special import ndtri  # here: it would double the time of `import distdyn`

        return ndtri(u)


def normal_knots() -> np.ndarray:
    """The knots of the standard normal distribution."""
    return quantile_knots(_StandardNormal(), "weight")


def interpolated(word: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """What `Weights` makes of each word before it is rounded, from knots of float64."""
    cells, (whole, first, last) = 1 << KNOT_BITS, knots
    coarse, fine = WORDS // cells, np.arange(cells + 1) * (WORDS // cells**2)
    place = np.concatenate([fine, np.arange(2, cells - 1) * coarse, (cells - 1) * coarse + fine])
    return np.interp(word + 0.5, place, np.concatenate([first, whole[2:-2], last]))


def check_significance(largest: float, what: str) -> None:
    """Refuse weights that the accumulator's unit leaves with fewer than 8 significant bits."""
    if 0 < largest < LEAST_WEIGHT - 0.5:
        raise WeightError(
            f"{what}: the largest weight is {largest:.3g} units of the receptor's accumulator, "
            f"fewer than 8 significant bits ({LEAST_WEIGHT} units): other inputs of the receptor "
            'are far stronger. Use precision="float64".'
        )


def quantile_knots(distribution: HasQuantile, where: str) -> np.ndarray:
    """float64[3, 1025]: the knots of `Weights`, not yet in integers."""
    cells = 1 << KNOT_BITS
    fine = np.arange(cells + 1, dtype=np.float64)
    width = WORDS / cells
    starts = np.stack([fine * width, fine * width / cells, (cells - 1 + fine / cells) * width])
    return _quantile(distribution, starts - 0.5, where)


def _quantile(distribution: HasQuantile, word: np.ndarray, where: str) -> np.ndarray:
    """The quantile in the middle of a word's share of the probability."""
    u = np.clip((word + 0.5) / WORDS, 0.5 / WORDS, 1 - 0.5 / WORDS)
    x = np.asarray(distribution.quantile(u), np.float64)
    if not np.isfinite(x).all():
        kind = DelayError if where.endswith("delay") else WeightError
        raise kind(f"{where} = {distribution} gives values that are not finite. Limit it.")
    return x

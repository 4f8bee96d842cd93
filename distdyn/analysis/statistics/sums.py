"""Sums over spikes that come piece by piece, in the order of their steps.

    intervals = Intervals(n)
    for step, id in pieces:
        intervals.add(step, id)
    intervals.cv()

They hold numbers per neuron, per pair of some neurons, or of one segment of time, and never the
spikes. All but spectra are sums of integers: where a piece ends changes nothing, nor who adds it.
"""

import math

import numpy as np
from jaxtyping import Float64, Int64

Steps = Int64[np.ndarray, "s"]
ROOM = 1 << 20  # numbers of a table of counts that is held at once


class Intervals:
    """Of each of n neurons how many spikes it has, and how the intervals between them vary.

    Attributes:
        count: spikes.
        first, last: step of the first and of the last one; -1 before there is one.
        squares: the sum of squared intervals, in steps.
    """

    def __init__(self, n: int) -> None:
        self.count, self.squares = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.first, self.last = np.full(n, -1, np.int64), np.full(n, -1, np.int64)

    def add(self, step: Steps, id: Steps) -> None:
        """More spikes, none before those that are known."""
        if not len(id):
            return
        order = np.argsort(id, kind="stable")
        id, step = id[order], step[order]
        heads = np.flatnonzero(np.append(True, id[1:] != id[:-1]))
        who, ends = id[heads], np.append(heads[1:], len(id)) - 1
        before = np.append(0, step[:-1])
        before[heads] = self.last[who]
        gap = step - before
        gap[heads[self.last[who] < 0]] = 0
        self.squares[who] += np.add.reduceat(gap * gap, heads)
        self.count[who] += ends - heads + 1
        self.first[who] = np.where(self.first[who] < 0, step[heads], self.first[who])
        self.last[who] = step[ends]

    def cv(self) -> Float64[np.ndarray, "n"]:
        """Standard deviation of the intervals over their mean; NaN of fewer than two."""
        n = np.maximum(self.count - 1, 1)
        total = self.last - self.first
        whole = total // n  # the mean but for a part of a step: what is subtracted stays exact
        rest = (total - n * whole) / n
        deviations = self.squares - 2 * whole * total + n * whole**2
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.sqrt(deviations / n - rest**2) / (total / n)
        return np.where(self.count > 2, found, np.nan)


class Pairs:
    """Of some neurons the sums of their counts in bins, and of the products of those of each two.

    Args:
        id: the neurons, ascending, of n.
        n: how many there are.
        start: the step after which the first bin begins; a bin includes its last step.
        width: of the bins, in steps.
    """

    def __init__(self, id: Int64[np.ndarray, "k"], n: int, start: int, width: int) -> None:
        self._place = np.full(n, -1, np.int64)
        self._place[id] = np.arange(len(id))
        self._start, self._width, self._k = start, width, len(id)
        self.sums = np.zeros(len(id), np.int64)
        self.products = np.zeros((len(id), len(id)))  # whole numbers below 2^53
        self._bin = self._who = np.zeros(0, np.int64)  # of the last bin, to which more may come

    def add(self, step: Steps, id: Steps) -> None:
        """More spikes, none before those that are known."""
        who = self._place[id]
        mine = who >= 0
        bin_ = np.append(self._bin, (step[mine] - self._start - 1) // self._width)
        who = np.append(self._who, who[mine])
        if not len(bin_):
            return
        n = int(np.searchsorted(bin_, bin_[-1]))
        self._take(bin_[:n], who[:n])
        self._bin, self._who = bin_[n:], who[n:]

    def finish(self) -> None:
        """There are no more spikes."""
        self._take(self._bin, self._who)
        self._bin = self._who = np.zeros(0, np.int64)

    def _take(self, bin_: Steps, who: Steps) -> None:
        """Whole bins; those without spikes add nothing."""
        is_new = np.diff(bin_, prepend=-1) != 0
        column = np.cumsum(is_new) - 1
        n = int(is_new.sum())
        most = max(1, min(n, ROOM // max(1, self._k)))
        for first in range(0, n, most):
            a, b = np.searchsorted(column, (first, first + most))
            at = who[a:b] * most + column[a:b] - first
            table = np.bincount(at, minlength=self._k * most).reshape(self._k, most)
            self.sums += table.sum(1)
            counts = table.astype(np.float64)
            self.products += counts @ counts.T

    def correlations(self, bins: int) -> Float64[np.ndarray, "p"]:
        """Pearson's correlation of each two, i < j, over so many bins; NaN if one is constant."""
        covariance = bins * self.products - np.multiply.outer(self.sums, self.sums)
        deviation = np.sqrt(np.diag(covariance))
        deviation[deviation == 0] = np.nan
        matrix = covariance / np.multiply.outer(deviation, deviation)
        return np.clip(matrix[np.triu_indices(self._k, 1)], -1.0, 1.0)


class Spectrum:
    """The power of the rate of a population, from segments of time that overlap by half.

    Args:
        start: the step after which the first segment begins.
        bin: steps of a bin.
        length: bins of a segment.
        segments: how many there are.
        scale: from a count in a bin to a rate, Hz.
        rate: bins per second.
    """

    def __init__(
        self, start: int, bin: int, length: int, segments: int, scale: float, rate: float
    ) -> None:
        self._start, self._width, self._length, self._rate = start, bin, length, rate
        self._left, self._scale = segments, scale
        self._counts = np.zeros(length, np.int64)
        self._base = 0  # the bin with which the segment begins
        k = np.arange(length)
        self._window = 0.5 - 0.5 * np.cos(2 * math.pi * k / length)  # Hann's, periodic
        self.power = np.zeros(length // 2 + 1)  # summed over segments

    @staticmethod
    def hop(length: int) -> int:
        """Bins from one segment to the next."""
        return length - length // 2

    def add(self, step: Steps) -> None:
        """More spikes, none before those that are known."""
        bin_ = (step - self._start - 1) // self._width
        bin_ = bin_[bin_ >= 0]
        while self._left and len(bin_):
            n = int(np.searchsorted(bin_, self._base + self._length))
            self._counts += np.bincount(bin_[:n] - self._base, minlength=self._length)
            bin_ = bin_[n:]
            if len(bin_):
                self._next()

    def finish(self) -> None:
        """There are no more spikes."""
        while self._left:
            self._next()

    def _next(self) -> None:
        """The segment is full: take it, and go on to the next one."""
        x = self._counts * self._scale
        transformed = np.fft.rfft((x - x.mean()) * self._window)
        self.power += np.abs(transformed) ** 2
        self._left -= 1
        hop = self.hop(self._length)
        self._counts = np.append(self._counts[hop:], np.zeros(hop, np.int64))
        self._base += hop

    def density(self, power: Float64[np.ndarray, "f"], segments: int) -> Float64[np.ndarray, "f"]:
        """From the sum over all segments to Hz^2 per Hz, of frequencies >= 0."""
        found = power / (segments * self._rate * np.sum(self._window**2))
        found[1 : None if self._length % 2 else -1] *= 2
        return found

    @property
    def frequency(self) -> Float64[np.ndarray, "f"]:
        """In Hz."""
        return np.fft.rfftfreq(self._length, 1 / self._rate)

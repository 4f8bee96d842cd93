"""Readouts by linear algebra: what is read stays as it is, only the readout is found, at once.

    y = x @ weight + bias

    moments = dd.offline.Moments()
    for x, y in chunks:                       # float[step, feature], float[step, output]
        moments.add(x, y)
    readout = dd.offline.ridge(moments, alpha=1e-6)

Only sums over the steps are kept, X^T X and X^T Y: their size does not depend on how long the data
are. Chunks can come from other places: moments are added (`+`), also over ranks (`gathered`), and
the result is that of all data at once.

`logistic` needs the data again in every iteration, a chunk at a time.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import linalg

from distdyn.errors import TrainError
from distdyn.parallel.launch import World
from distdyn.units import real, shown


@dataclass(frozen=True)
class Readout:
    """A linear function of features.

    Attributes:
        weight: float64[feature, output].
        bias: float64[output].
    """

    weight: Float[np.ndarray, "feature output"]
    bias: Float[np.ndarray, " output"]

    def __call__(self, x: Any) -> Any:
        """What is read from x[..., feature]."""
        return x @ self.weight + self.bias


class Moments:
    """Sums over steps of features x and of what is wanted y: all that linear readouts need.

    Attributes:
        count: steps.
        xx, xy, yy: sums of products of [1, x] with itself, and with y; of y^2. None before data.
    """

    def __init__(self) -> None:
        self.count = 0
        self.xx: Any = None
        self.xy: Any = None
        self.yy: Any = None

    def add(self, x: Any, y: Any) -> None:
        """Add steps.

        Args:
            x: float[step, feature].
            y: float[step, output], or float[step].

        Raises:
            TrainError: arrays of other shapes than before, or that are not finite.
        """
        x, y = _checked(x, y)
        one = np.concatenate([np.ones((len(x), 1)), x], axis=1)
        more = one.T @ one, one.T @ y, (y**2).sum(axis=0)
        if self.xx is None:
            self.xx, self.xy, self.yy = more
        elif self.xx.shape != more[0].shape or self.xy.shape != more[1].shape:
            raise TrainError(
                f"Moments: {x.shape[1]} features and {y.shape[1]} outputs, but before there were "
                f"{len(self.xx) - 1} and {self.xy.shape[1]}. Give as many in every chunk."
            )
        else:
            self.xx += more[0]
            self.xy += more[1]
            self.yy += more[2]
        self.count += len(x)

    def __add__(self, other: "Moments") -> "Moments":
        total = Moments()
        for of in (self, other):
            if of.count:
                total._take(of)
        return total

    def _take(self, of: "Moments") -> None:
        self.count += of.count
        for name in ("xx", "xy", "yy"):
            mine, more = getattr(self, name), getattr(of, name)
            setattr(self, name, more.copy() if mine is None else mine + more)

    def gathered(self, world: World) -> "Moments":
        """The moments of the data of all ranks, on all of them. Collective.

        Raises:
            TrainError: a rank has no data.
        """
        counts = world.allgather(self.count)
        if min(counts) == 0:
            raise TrainError(f"Moments: ranks have {counts} steps. Give data to each of them.")
        total = Moments()
        total.count = sum(counts)
        total.xx, total.xy, total.yy = (world.sum(x) for x in (self.xx, self.xy, self.yy))
        return total


def linear(moments: Moments) -> Readout:
    """The readout of the least squares.

    Raises:
        TrainError: features depend on each other, so that there are many.
    """
    return ridge(moments, 0.0)


def ridge(moments: Moments, alpha: float, *, bias: bool = True) -> Readout:
    """The readout of the least sum of squares and alpha times that of the weights; not of the bias.

        (X^T X + alpha) w = X^T y,    X without its mean; without a bias as it is

    Source: Hoerl & Kennard (1970), Technometrics 12, 55. Solved by Cholesky's factors.

    Args:
        moments: of the data.
        alpha: >= 0, in the unit of X^T X.
        bias: whether there is one; without it a feature that is 1 has a weight like the others.

    Raises:
        TrainError: no data, or alpha too small for features that depend on each other.
    """
    gram, cross, mean, target = _centred(moments)
    if not bias:
        gram, cross, mean, target = moments.xx[1:, 1:], moments.xy[1:], 0 * mean, 0 * target
    alpha = _nonnegative(alpha, "ridge: alpha")
    try:
        factor = linalg.cho_factor(gram + alpha * np.eye(len(gram)))
    except linalg.LinAlgError:
        raise TrainError(
            f"ridge: with alpha = {alpha:g} features depend on each other. Use a larger alpha."
        ) from None
    weight = linalg.cho_solve(factor, cross)
    return Readout(weight, target - mean @ weight)


def elastic_net(
    moments: Moments, alpha: float, l1_ratio: float = 0.5, *, tolerance: float = 1e-10,
    most: int = 100_000,
) -> Readout:  # fmt: skip
    """The readout of the least mean square with few weights, by coordinate descent.

        |y - x w|^2 / (2 n) + alpha (l1_ratio |w|_1 + (1 - l1_ratio) |w|^2 / 2)

    Source: Friedman, Hastie & Tibshirani (2010), J. Stat. Softw. 33(1), covariance updates.

    Raises:
        TrainError: no convergence after `most` sweeps.
    """
    gram, cross, mean, target = _centred(moments)
    alpha, n = _nonnegative(alpha, "elastic_net: alpha"), moments.count
    ratio = _nonnegative(l1_ratio, "elastic_net: l1_ratio")
    gram, cross = gram / n, cross / n
    weight = np.zeros_like(cross)
    scale = np.diag(gram) + alpha * (1 - ratio)
    for _ in range(most):
        largest = 0.0
        for j in np.flatnonzero(np.diag(gram) > 0):
            old = weight[j].copy()
            rest = cross[j] - gram[j] @ weight + gram[j, j] * old
            weight[j] = np.sign(rest) * np.maximum(abs(rest) - alpha * ratio, 0.0) / scale[j]
            largest = max(largest, float((abs(weight[j] - old) * np.sqrt(gram[j, j])).max()))
        if largest <= tolerance * max(1e-300, float(np.sqrt(moments.yy.max() / n))):
            return Readout(weight, target - mean @ weight)
    raise TrainError(f"elastic_net: no convergence after {most} sweeps. Use a larger alpha.")


def lasso(moments: Moments, alpha: float, **options: Any) -> Readout:
    """`elastic_net` with the absolute values of weights alone."""
    return elastic_net(moments, alpha, 1.0, **options)


def logistic(
    data: Callable[[], Iterable[tuple[Any, Any]]], classes: int, alpha: float = 1.0, *,
    tolerance: float = 1e-8, most: int = 100, world: World | None = None,
) -> Readout:  # fmt: skip
    """The readout of the classes' logarithmic odds: softmax regression, by Newton's method.

        -sum log p_c + alpha / 2 |w|^2,    p = softmax(x w + b)

    Every iteration reads the data once, chunk by chunk, and keeps sums of the size of the weights
    squared.

    Args:
        data: gives the chunks (x[step, feature], class int[step]) anew each time it is called.
        classes: how many.
        alpha: > 0.
        tolerance: of the largest change of a weight.
        most: iterations.
        world: ranks that have other chunks; all get the readout. Collective.

    Source: Boehning (1992), Ann. Inst. Statist. Math. 44, 197: bounded Newton steps, which always
    go down.

    Raises:
        TrainError: no convergence, or labels beyond the classes.
    """
    world = world or World()
    alpha = _nonnegative(alpha, "logistic: alpha")
    weight: Any = None
    factor: Any = None
    for _ in range(most):
        gradient, gram = 0.0, 0.0
        for x, label in data():
            x, label = np.asarray(x, np.float64), np.asarray(label)
            if label.size and not 0 <= label.min() <= label.max() < classes:
                raise TrainError(f"logistic: classes up to {label.max()} of {classes}.")
            one = np.concatenate([np.ones((len(x), 1)), x], axis=1)
            if weight is None:
                weight = np.zeros((one.shape[1], classes))
            logits = one @ weight
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(p)), label] -= 1.0
            gradient = gradient + one.T @ p
            gram = gram + (one.T @ one if factor is None else 0.0)
        if weight is None:
            raise TrainError("logistic: there is no data.")
        penalty = np.full(len(weight), alpha)
        penalty[0] = 0.0
        gradient = world.sum(np.asarray(gradient)) + penalty[:, None] * weight
        if factor is None:
            gram = world.sum(np.asarray(gram))
            factor = linalg.cho_factor(0.5 * gram + np.diag(np.maximum(penalty, 1e-12)))
        change = linalg.cho_solve(factor, gradient)
        weight = weight - change
        if abs(change).max() < tolerance:
            return Readout(weight[1:], weight[0])
    raise TrainError(
        f"logistic: no convergence in {most} iterations, the last one moved a weight by "
        f"{abs(change).max():.1g}. Use a larger alpha or tolerance, or scale the features."
    )


def _centred(moments: Moments) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """X^T X and X^T Y of features and targets without their means; and the means."""
    if not moments.count:
        raise TrainError("Moments: there is no data. Add some.")
    n = moments.count
    mean, target = moments.xx[0, 1:] / n, moments.xy[0] / n
    gram = moments.xx[1:, 1:] - n * np.outer(mean, mean)
    return gram, moments.xy[1:] - n * np.outer(mean, target), mean, target


def _checked(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    y = y[:, None] if y.ndim == 1 else y
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
        raise TrainError(
            f"x has shape {list(x.shape)}, y {list(y.shape)}. Give [step, feature] and "
            "[step, output]."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise TrainError("x or y is not finite. Look at the run that they come from.")
    return x, y


def _nonnegative(value: Any, what: str) -> float:
    number = float(np.float64(real(value, what)))
    if not 0 <= number < np.inf:
        raise TrainError(f"{what} = {shown(value)} is not possible. Give a number >= 0.")
    return number

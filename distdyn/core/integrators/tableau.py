"""The tableau of an explicit Runge-Kutta scheme: its coefficients, checked, and its order."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import ParameterError

ROUNDING = 1e-9  # of coefficients that are printed with ten digits
UNITS = 5.0  # of time whose errors may add up within the tolerance


class Tableau(NamedTuple):
    """The coefficients of a scheme of s stages.

        k_i = f(t + c_i dt, y + dt sum_j a_ij k_j),   y(t + dt) = y + dt sum_i b_i k_i

    Attributes:
        a: row by row, as many as come before: row i has i entries.
        b: the weights of the stages.
        c: their times; the sums of the rows of a.
        lower: the weights of a result of lower order, from which the error is estimated, or None.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    lower: tuple[float, ...] | None = None

    @property
    def order(self) -> int:
        """The order of the scheme, from the conditions of Butcher; at most 5 is looked for."""
        return order_of(self, self.b)

    @property
    def power(self) -> int:
        """The power of dt with which the difference of the two results falls."""
        return 1 + min(self.order, order_of(self, self.lower or self.b))

    @property
    def caution(self) -> float:
        """By how much the estimated error of a step is enlarged.

        The difference of results of order p - 1 and p is the error of the lower one, dt^p |e|. The
        higher one goes on: its error, dt^(p+1) |E| in a step, is dt^p |E| in a unit of time, which
        is |E| / |e| times the estimate. E and e are the coefficients of the leading terms; their
        ratio is 0.3 for Dormand and Prince's pair and 87 for Fehlberg's of order 2. Where errors
        last, those of many units add up; five are allowed for, with which the error stays below
        ten tolerances on problems A1 to A3 of DETEST, whatever the pair.

        Source: Shampine (1977), Appl. Math. Comput. 3, 189; of E and e, Prince & Dormand (1981),
        J. Comput. Appl. Math. 7, 67.
        """
        if self.lower is None or self.power != self.order:
            return 1.0
        result = math.hypot(*_residuals(self, self.b, self.order + 1))
        estimate = math.hypot(*_residuals(self, self.lower, self.power))
        return max(1.0, UNITS * result / estimate)


def tableau(
    a: Sequence[Sequence[float]],
    b: Sequence[float],
    *,
    c: Sequence[float] | None = None,
    lower: Sequence[float] | None = None,
) -> Tableau:
    """The tableau with these coefficients; c is the sums of the rows unless it is given.

    Raises:
        ParameterError: lengths that do not fit, a scheme that is implicit, weights or nodes that
            are not consistent.
    """
    rows, weights = tuple(_numbers(row, f"a[{i}]") for i, row in enumerate(a)), _numbers(b, "b")
    for i, row in enumerate(rows):
        if len(row) > i:
            raise ParameterError(
                f"tableau: a[{i}] has {len(row)} entries, but in an explicit scheme stage {i} sees "
                f"the {i} before it. Give {i} entries; implicit are BackwardEuler, CrankNicolson."
            )
        if len(row) < i:
            raise ParameterError(f"tableau: a[{i}] has {len(row)} entries, needed are {i}. Give 0.")
    nodes = tuple(math.fsum(row) for row in rows) if c is None else _numbers(c, "c")
    below = None if lower is None else _numbers(lower, "lower")
    for name, values in (("b", weights), ("c", nodes), ("lower", below)):
        if values is not None and len(values) != len(rows):
            raise ParameterError(
                f"tableau: {name} has {len(values)} entries for {len(rows)} rows of a. Give one "
                "for each stage."
            )
    for i, (row, node) in enumerate(zip(rows, nodes, strict=True)):
        if abs(math.fsum(row) - node) > ROUNDING:
            raise ParameterError(
                f"tableau: c[{i}] = {node}, but a[{i}] sums to {math.fsum(row)}. They must agree, "
                "or the scheme is of no order for equations that depend on time."
            )
    for name, values in (("b", weights), ("lower", below)):
        if values is not None and abs(math.fsum(values) - 1.0) > ROUNDING:
            raise ParameterError(
                f"tableau: {name} sums to {math.fsum(values)}. It must be 1, or the scheme does "
                "not converge."
            )
    return Tableau(rows, weights, nodes, below)


def _numbers(values: Sequence[float], name: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"tableau: {name} = {values!r} is not a sequence of numbers. Give a list of floats."
        ) from error
    if not all(map(math.isfinite, numbers)):
        raise ParameterError(f"tableau: {name} = {numbers} is not finite. Give finite numbers.")
    return numbers


def order_of(scheme: Tableau, weights: Sequence[float]) -> int:
    """The largest order, up to 5, whose conditions these weights of the stages fulfil.

    One condition for each rooted tree. Source: Hairer, Norsett & Wanner (1993), Solving Ordinary
    Differential Equations I, section II.2.
    """
    order = 0
    while order < 5 and all(abs(x) <= ROUNDING for x in _residuals(scheme, weights, order + 1)):
        order += 1
    return order


Tree = tuple[Any, ...]  # a root, by the trees that hang from it, sorted


def trees(n: int) -> list[Tree]:
    """All rooted trees of n nodes."""
    return sorted({new for tree in trees(n - 1) for new in _grown(tree)}) if n > 1 else [()]


def _grown(tree: Tree) -> Iterator[Tree]:
    """With one leaf more, anywhere."""
    yield tuple(sorted((*tree, ())))
    for i, branch in enumerate(tree):
        for new in _grown(branch):
            yield tuple(sorted((*tree[:i], new, *tree[i + 1 :])))


def _size(tree: Tree) -> int:
    return 1 + sum(map(_size, tree))


def _density(tree: Tree) -> int:
    return _size(tree) * math.prod(map(_density, tree))


def _symmetry(tree: Tree) -> int:
    """In how many ways the tree can be drawn so that it looks the same."""
    alike = Counter(tree).values()
    return math.prod(map(math.factorial, alike)) * math.prod(map(_symmetry, tree))


def _residuals(scheme: Tableau, weights: Sequence[float], n: int) -> list[float]:
    """What is left of the conditions of order n: of the error of a step, the terms in dt^n."""
    s = len(scheme.b)
    A = np.array([[*row, *[0.0] * (s - len(row))] for row in scheme.a]).reshape(s, s)

    def stages(tree: Tree) -> Any:
        return math.prod((A @ stages(branch) for branch in tree), start=np.ones(s))

    return [
        float(np.array(weights) @ stages(tree) - 1 / _density(tree)) / _symmetry(tree)
        for tree in trees(n)
    ]

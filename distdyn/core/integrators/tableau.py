"""The tableau of an explicit Runge-Kutta scheme: its coefficients, checked, and its order."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from distdyn.errors import ParameterError

ROUNDING = 1e-9  # of coefficients that are printed with ten digits


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
    Differential Equations I, tables II.2.1 and II.2.2.
    """
    s, b = len(scheme.b), np.array(weights)
    A = np.array([[*row, *[0.0] * (s - len(row))] for row in scheme.a]).reshape(s, s)
    c = A.sum(axis=1)
    Ac, Ac2, AAc = A @ c, A @ c**2, A @ A @ c
    trees = [
        [(np.ones(s), 1)],
        [(c, 2)],
        [(c**2, 3), (Ac, 6)],
        [(c**3, 4), (c * Ac, 8), (Ac2, 12), (AAc, 24)],
        [
            *[(c**4, 5), (c**2 * Ac, 10), (Ac**2, 20), (c * Ac2, 15), (A @ c**3, 20)],
            *[(c * AAc, 30), (A @ (c * Ac), 40), (A @ Ac2, 60), (A @ AAc, 120)],
        ],
    ]
    order = 0
    for conditions in trees:
        if any(abs(b @ tree - 1.0 / density) > ROUNDING for tree, density in conditions):
            break
        order += 1
    return order

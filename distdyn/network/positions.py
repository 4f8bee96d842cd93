"""Positions: what a population may be given as the places of its neurons, in um."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from distdyn.errors import ParameterError
from distdyn.units import real, shown

Extent = tuple[float, ...]


@dataclass(frozen=True)
class Lattice:
    """A rectangular lattice with the shape of the population; ids run through it in C order.

    The neuron with the indices (i, j, ...) is at ((i + 1/2) a, (j + 1/2) b, ...) + origin: in the
    middle of its cell, so that lattices of different spacing that cover one area lie in it alike.

    Args:
        spacing: the distance of neighbours, um: a number, or one for each axis.
        periodic: whether the last neuron along an axis is a neighbour of the first.
        origin: the corner of the lattice, um: a number, or one for each axis.
    """

    spacing: float | tuple[float, ...]
    periodic: bool = False
    origin: float | tuple[float, ...] = 0.0

    def __post_init__(self):
        spacing, origin = _numbers(self.spacing, "spacing"), _numbers(self.origin, "origin")
        if min(np.ravel(spacing)) <= 0:
            raise ParameterError(
                f"Lattice: spacing = {shown(self.spacing)} um is not positive. Give one > 0."
            )
        if not isinstance(self.periodic, bool):
            raise ParameterError(
                f"Lattice: periodic = {shown(self.periodic)} is no truth value. Give True or "
                "False; the period is the extent of the lattice."
            )
        vars(self).update(spacing=spacing, origin=origin)

    def at(self, shape: tuple[int, ...], ids: np.ndarray) -> np.ndarray:
        """float64[n, d]: the positions of these neurons of a population of this shape."""
        index = np.stack(np.unravel_index(ids, shape), axis=-1) if ids.size else None
        if index is None:
            return np.zeros((0, len(shape)))
        return (index + 0.5) * np.asarray(self.spacing) + np.asarray(self.origin)

    def extent(self, shape: tuple[int, ...]) -> Extent:
        """How far a lattice of this shape extends along each axis, um."""
        return tuple(float(x) for x in np.multiply(shape, self.spacing))


@dataclass(frozen=True, eq=False)
class Periodic:
    """Positions in a space that is periodic: beyond its extent along an axis it begins again.

    Args:
        array: a row of coordinates per neuron, um.
        extent: the period along each axis, um, > 0: a number, or one for each axis.
    """

    array: np.ndarray
    extent: Extent

    def __init__(self, array: Any, extent: float | tuple[float, ...]):
        array = coordinates(array, "Periodic: array")
        period = np.broadcast_to(_numbers(extent, "extent", "Periodic"), array.shape[1:])
        if min(period) <= 0:
            raise ParameterError(f"Periodic: extent = {shown(extent)} um is not positive.")
        vars(self).update(array=array, extent=tuple(map(float, period)))


def check_positions(
    positions: Any, shape: tuple[int, ...], what: str
) -> np.ndarray | Lattice | Periodic | None:
    """Positions for a population of this shape: an array of float64, or one of the above."""
    if positions is None:
        return None
    if isinstance(positions, Lattice):
        for name in ("spacing", "origin"):
            given = np.size(getattr(positions, name))
            if given not in (1, len(shape)):
                raise ParameterError(
                    f"{what}: Lattice: {name} has {given} numbers, but the shape is {shape}. Give "
                    f"one, or {len(shape)}."
                )
        return positions
    array = positions.array if isinstance(positions, Periodic) else coordinates(positions, what)
    if len(array) != prod(shape):
        raise ParameterError(
            f"{what} have the shape {array.shape}. Give one row of coordinates per neuron: shape "
            f"({prod(shape)}, d)."
        )
    return positions if isinstance(positions, Periodic) else array


def coordinates(positions: Any, what: str) -> np.ndarray:
    """Rows of coordinates as float64[n, d].

    Raises:
        ParameterError: they are something else, or not all finite.
    """
    array = np.atleast_1d(real(positions, what))
    if array.ndim != 2 or not array.shape[1]:
        raise ParameterError(
            f"{what} has the shape {array.shape}. Give one row of coordinates (um) per neuron: "
            "shape (n, d)."
        )
    if not np.isfinite(array).all():
        row = np.flatnonzero(~np.isfinite(array).all(axis=1))[0]
        raise ParameterError(f"{what}[{row}] = {array[row]} um is not finite. Give finite numbers.")
    return array


def _numbers(x: Any, name: str, of: str = "Lattice") -> float | tuple[float, ...]:
    """A finite number, or some."""
    numbers = real(x, f"{of}: {name}")
    if np.ndim(numbers) > 1 or not np.size(numbers) or not np.isfinite(numbers).all():
        raise ParameterError(
            f"{of}: {name} = {shown(x)} um is not possible. Give a finite number, or one for each "
            "axis."
        )
    return numbers if isinstance(numbers, float) else tuple(map(float, np.ravel(numbers)))

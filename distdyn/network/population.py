"""Population: neurons of one model; View: some of them; members: what a projection can join."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import gcd, prod
from operator import index
from typing import Any

import numpy as np

from distdyn.core.parameters import fields_of
from distdyn.core.system import DynamicalSystem, state_fields
from distdyn.errors import NameLookupError, NetworkError, ParameterError, suggestion
from distdyn.network.positions import Lattice, Periodic, check_positions
from distdyn.network.values import Value, check_instance, check_model, check_value
from distdyn.units import shown

_MOST = 2**62  # ids are int64


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Population:
    """Neurons of one model, known by their ids 0 ... size - 1. A description: nothing is drawn.

    `population[a:b:c]` is a view of some of them, `population[i]` of one.

    Args:
        size: how many neurons, or the shape of the sheet or block they fill (ids in C order).
        model: the model, with numbers, arrays over the neurons or distributions as parameters.
        positions: an array of one row of coordinates (um) per neuron, a `Lattice`, or `Periodic`.
        **initial: values of the model's states at the start: numbers, arrays or distributions.
    """

    size: int
    shape: tuple[int, ...]
    model: DynamicalSystem
    positions: np.ndarray | Lattice | Periodic | None
    initial: dict[str, Value]

    def __init__(
        self,
        size: int | tuple[int, ...],
        model: DynamicalSystem,
        *,
        positions: Any = None,
        **initial: Any,
    ):
        shape = _check_size(size)
        cure = "Give a model such as LIF()."
        check_instance(model, DynamicalSystem, "Population: model", cure)
        vars(self).update(size=prod(shape), shape=shape, model=model)
        check_model(model, f"{self!r}", length=self.size)
        vars(self).update(
            positions=check_positions(positions, shape, f"{self!r}: positions"),
            initial={name: _check_initial(self, name, x) for name, x in initial.items()},
        )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: slice | int) -> "View":
        return _view(self, range(self.size), key)

    __iter__ = None  # neurons are not objects; without this line Python would count them one by one

    def __repr__(self) -> str:
        size = self.size if len(self.shape) == 1 else self.shape
        return f"Population({size}, {type(self.model).__name__})"


@dataclass(frozen=True, repr=False)
class View:
    """Some neurons of a population: those with the ids range(start, stop, step)."""

    population: Population
    start: int
    stop: int
    step: int

    @property
    def ids(self) -> range:
        """The ids of the neurons in their population."""
        return range(self.start, self.stop, self.step)

    @property
    def size(self) -> int:
        """How many neurons there are."""
        return len(self.ids)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, key: slice | int) -> "View":
        return _view(self.population, self.ids, key)

    __iter__ = None

    def __repr__(self) -> str:
        return f"{self.population!r}{self.slice_text()}"

    def slice_text(self) -> str:
        """`[10:20]`, or nothing if the view is the whole population."""
        if self.ids == range(self.population.size):
            return ""
        return f"[{self.start}:{self.stop}" + (f":{self.step}]" if self.step != 1 else "]")


def members(x: Any, what: str = "members") -> tuple[View, ...]:
    """The views whose concatenation is meant by a population, a view, or a tuple of these.

    Raises:
        NetworkError: it is something else, or contains a neuron twice.
    """
    views = tuple(_flatten(x, what))
    for i, view in enumerate(views):
        for other in views[:i]:
            twice = common(view, other)
            if twice:
                raise NetworkError(
                    f"{what}: neuron {twice[0]} of {view.population!r} is contained twice, in "
                    f"{other!r} and {view!r}. Use views that do not overlap."
                )
    return views


def common(a: View, b: View) -> range:
    """The ids of the neurons that lie in both views."""
    if a.population is not b.population or not a.size or not b.size:
        return range(0)
    distance, divisor = b.start - a.start, gcd(a.step, b.step)
    if distance % divisor:
        return range(0)
    # ids a.start + k a.step = b.start (mod b.step): one k, by the inverse, then every lcm
    step = a.step // divisor * b.step
    modulus = b.step // divisor
    k = distance // divisor * pow(a.step // divisor, -1, modulus) % modulus
    first = a.start + k * a.step
    least = max(a.start, b.start)
    first += max(0, -(-(least - first) // step)) * step
    return range(first, max(first, min(a.stop, b.stop)), step)


def _flatten(x: Any, what: str) -> Iterator[View]:
    if isinstance(x, Population):
        yield x[:]
    elif isinstance(x, View):
        yield x
    elif isinstance(x, tuple | list) and x:
        for member in x:
            yield from _flatten(member, what)
    else:
        cure = "Give a Population, a slice of one, or a tuple of these."
        raise NetworkError(f"{what} = {shown(x)} is not a group of neurons. {cure}")


def _view(population: Population, ids: range, key: slice | int) -> View:
    """The view of `ids[key]`, with the limits that Python gives a slice."""
    try:
        part = ids[key] if isinstance(key, slice) else ids[slice(*_single(key, len(ids)))]
    except (TypeError, ValueError, IndexError) as error:
        cure = "Use a slice such as [10:20] or one index; for any other choice, the rule Edges."
        raise NetworkError(
            f"{population!r}[{shown(key)}] is not possible: {error}. {cure}"
        ) from error
    if part.step < 0:
        raise NetworkError(f"{population!r}: the step of {key} is negative. Use a positive step.")
    return View(population, part.start, max(part.start, part.stop), part.step)


def _single(key: Any, size: int) -> tuple[int, int]:
    if isinstance(key, bool | np.bool_):
        raise TypeError("a boolean is not an index")
    i = index(key)
    if not -size <= i < size:
        raise IndexError(f"there are {size} neurons")
    return i % size, i % size + 1


def _check_size(size: Any) -> tuple[int, ...]:
    shape = size if isinstance(size, tuple) else (size,)
    for n in shape:
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 0:
            raise ParameterError(
                f"Population: size = {shown(size)} is not possible. Give an int >= 0, or a tuple "
                "of them as the shape."
            )
    if not shape or prod(map(int, shape)) >= _MOST:
        raise ParameterError(f"Population: size = {size} is not possible. Give 0 <= size < 2^62.")
    return tuple(int(n) for n in shape)


def _check_initial(population: Population, name: str, value: Any) -> Value:
    model = type(population.model)
    states = state_fields(population.model)
    if name in states:
        return check_value(value, f"{population!r}: {name}", length=population.size)
    if name in fields_of(population.model):
        cure = f"It is a parameter: {model.__name__}({name}=...)."
    else:
        cure = suggestion(name, states)
    raise NameLookupError(f'{population!r}: {model.__name__} has no state "{name}". {cure}')

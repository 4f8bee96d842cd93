"""The matrix of a projection: the synapses that a simulation draws, as a matrix of floats.

`matrix_of` has an entry for each synapse. `unlisted_of` is the same matrix where it follows from
few numbers, so that of a million neurons all may be connected with all.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from distdyn.errors import NetworkError, WeightError
from distdyn.network.distributions import Distribution
from distdyn.network.ends import Ends
from distdyn.network.jit import connectivity_key, is_linear, weight_law
from distdyn.network.positions import Lattice
from distdyn.network.rule import AbstractCellRule, AbstractPairRule, Key, Rule
from distdyn.network.rules import AllToAll, FixedOutdegree, FixedProb
from distdyn.network.space import ByDistance, distances, extent_of, positions_of
from distdyn.network.spatial import DistanceDependent
from distdyn.ops.matrix.circulant import Circulant
from distdyn.ops.matrix.csr import CSR
from distdyn.ops.matrix.jit import JITMatrix, bernoulli, cell_words, fixed_number, pair_words
from distdyn.ops.matrix.jit import weights as weights_of_words
from distdyn.ops.matrix.matrix import Matrix
from distdyn.ops.matrix.scalar import Constant
from distdyn.ops.values import interpolated, quantile_knots
from distdyn.units import shown


def matrix_of(
    ends: Ends, rule: Rule, weight: Any, *, storage: str, seed: int, path: str, dtype: Any = None
) -> CSR | JITMatrix:
    """The matrix [pre, post] of a projection; weights are as before they are made integers.

    Args:
        ends: both ends.
        rule: who connects to whom.
        weight: a number, a distribution, or an array over the edges.
        storage: "stored" gives a `CSR`, "procedural" a `JITMatrix`.
        seed: of the simulation.
        path: of the projection in its network.
        dtype: of the weights.

    Raises:
        NetworkError: a rule of which there is no `JITMatrix`.
        WeightError: a distribution of which there is none.
    """
    what = f'projection "{path}": matrix()'
    key = connectivity_key(seed, path, what)
    rule.check(ends, what)
    if storage == "procedural":
        return _drawn_again(ends, rule, weight, key, dtype, what)
    return _drawn_once(ends, rule, weight, key, dtype, what)


def unlisted_of(ends: Ends, rule: Rule, weight: Any, *, dtype: Any = None) -> Matrix | None:
    """The matrix [pre, post] of a projection without a list of its synapses; None: there is none.

    It is `Constant` where all are connected with one weight, and `Circulant` where who is connected
    and how strongly depends on the distance alone, within a population on a periodic `Lattice`.

    Args:
        ends: both ends.
        rule: who connects to whom.
        weight: as in `matrix_of`.
        dtype: of the weights.
    """
    is_one = isinstance(weight, int | float)
    if isinstance(rule, AllToAll) and rule.autapses and is_one:
        return Constant(jnp.asarray(weight, dtype), shape=(ends.n_pre, ends.n_post))
    if not isinstance(rule, DistanceDependent) or not (is_one or isinstance(weight, ByDistance)):
        return None
    population = ends.pre[0].population
    if not _are_torus(ends):
        return None
    positions, others = positions_of(ends.post), np.arange(ends.n_post)
    distance = distances(positions[:1], positions, extent_of(population))
    p = np.where(distance <= rule.reach, rule.probability(distance), 0.0)
    if not np.isin(p, (0.0, 1.0)).all():  # else it is drawn
        return None
    p[:1] *= rule.autapses
    values = weight if is_one else weight.between(np.zeros_like(others), others)
    return Circulant(jnp.asarray((p * values).reshape(population.shape), dtype))


def _are_torus(ends: Ends) -> bool:
    """Whether both ends are all of one periodic lattice."""
    population = ends.pre[0].population
    return (
        len(ends.pre) == len(ends.post) == 1
        and ends.post[0].population is population
        and ends.pre[0].ids == ends.post[0].ids == range(population.size)
        and isinstance(population.positions, Lattice)
        and population.positions.periodic
        and population.size > 0
    )


def _drawn_again(
    ends: Ends, rule: Rule, weight: Any, key: tuple[int, int], dtype: Any, what: str
) -> JITMatrix:
    cure = 'Use storage="stored", of which the matrix is a CSR'
    if not isinstance(rule, FixedProb | FixedOutdegree):
        raise NetworkError(
            f"{what}: of {shown(rule)} there is no matrix that is drawn again for every product. "
            f"{cure}, or FixedProb or FixedOutdegree."
        )
    if not is_linear(weight):
        raise WeightError(
            f"{what}: weight = {weight!r} is not linear in its numbers. {cure}, or a number, "
            "Uniform(low, high), or Normal(mean, sd) without limits."
        )
    law, data = weight_law(weight, what, dtype)
    cells = rule.cells(ends, _words(key))
    own = cells.own if (cells.own >= 0).any() else None
    made = {"law": law, "shape": (ends.n_pre, ends.n_post), "key": key, "own": own}
    made["block_start"] = cells.block_start
    if isinstance(rule, FixedProb):
        return bernoulli(rule.p, data, **made)
    return fixed_number(rule.n, data, multapses=rule.multapses, **made)


def _drawn_once(
    ends: Ends, rule: Rule, weight: Any, key: tuple[int, int], dtype: Any, what: str
) -> CSR:
    row, column, words = _drawn(ends, rule, _words(key))
    order = np.lexsort((column, row))
    indptr = np.searchsorted(row[order], np.arange(ends.n_pre + 1))
    if isinstance(weight, Distribution):
        word = words()[order]
        if is_linear(weight):
            law, data = weight_law(weight, what, dtype)
            weight = weights_of_words(data, word, law)
        else:
            weight = interpolated(word, quantile_knots(weight, f"{what}: weight"))
    elif isinstance(weight, ByDistance):
        weight = weight.between(row[order], column[order])
    elif np.ndim(weight):
        weight = weight[order]
    data = jnp.asarray(weight, dtype or jnp.result_type(float))
    return CSR((data, column[order], indptr), shape=(ends.n_pre, ends.n_post))


def _drawn(
    ends: Ends, rule: Rule, key: Key
) -> tuple[np.ndarray, np.ndarray, Callable[[], np.ndarray]]:
    """Rows and columns, and the random words that a simulation reads for their weights."""
    if isinstance(rule, AbstractPairRule):
        found = rule.listed(ends, key)
        words = partial(pair_words, key, found.items, found.begin)
        return found.sources, found.targets, words
    assert isinstance(rule, AbstractCellRule)  # there is no third kind
    row, column = rule.rows(ends, key)
    return row, column, partial(cell_words, key, row, column, ends.block_start())


def _words(key: tuple[int, int]) -> Key:
    return np.uint64(key[0]), np.uint64(key[1])

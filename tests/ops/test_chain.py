"""Chain: operators as one call, against the same operators one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.ops.chain import Chain, now
from distdyn.ops.deliver import deliver
from distdyn.ops.kernels import cut_rows
from distdyn.ops.rows import Rows
from distdyn.ops.team import Team
from tests.ops.test_deliver import BOUNDS, N_TARGET, SLOTS, some_cells, table


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


def delivered(vias, members):
    """Two tables onto one ring and a third onto another; `vias` makes what calls, and its end."""
    tables = [table(1), table(2, weight="none"), table(3)]
    tables = [Rows(*map(jnp.asarray, cut_rows(rows, N_TARGET, members))) for rows in tables]
    cells = some_cells(np.random.default_rng(4), 1)
    events = jnp.array(cells, jnp.int32)

    @jax.jit
    def call(first, second, operand):
        via, end = vias()
        given = jnp.int64(1), events, jnp.int64(0), jnp.int32(len(cells)), jnp.int64(7), operand
        first = deliver(first, tables[0], *given, via=via)
        second = deliver(second, tables[1], *given, via=via)
        first = deliver(first, tables[2], *given, via=via)
        return end(first, second)

    rings = [jnp.arange(SLOTS * N_TARGET, dtype=jnp.int32).reshape(SLOTS, N_TARGET)] * 2
    with Team(members) as team:
        return [np.asarray(ring) for ring in call(*rings, team.operand)]


def chained():
    chain = Chain()
    return chain, chain.run


@pytest.mark.parametrize("members", [1, 3])
def test_a_chain_does_what_its_operators_do(members):
    expected = delivered(lambda: (now, lambda *rings: rings), members)
    assert len(BOUNDS) > 1 and not np.array_equal(*expected)
    for found, ring in zip(delivered(chained, members), expected, strict=True):
        np.testing.assert_array_equal(found, ring)


def test_a_chain_is_one_call():
    ring = jnp.zeros((SLOTS, N_TARGET), jnp.int32)
    assert Chain().run(ring)[0] is ring  # without calls nothing happens
    rows = Rows(*map(jnp.asarray, table(1)))
    given = jnp.int64(0), jnp.zeros(3, jnp.int32), jnp.int64(0), jnp.int32(1), jnp.int64(7)

    def twice(ring):
        chain = Chain()
        for _ in range(2):
            ring = deliver(ring, rows, *given, jnp.array([0, 1]), via=chain)
        return chain.run(ring)[0]

    equations = jax.make_jaxpr(twice)(ring).jaxpr.eqns
    assert [e.primitive.name for e in equations].count("ffi_call") == 1

"""Chain: operators as one call, against the same operators one by one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distdyn.ops import ledger
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


def repeated(most, stop=0):
    """Steps of a ledger that enters two spikes at each, until there are `most` or it is full."""

    @jax.jit
    def call():
        chain = Chain()
        book = [jnp.int64(10), jnp.int64(11), jnp.int64(0), jnp.int64(0)]  # step ... full
        halt = jnp.where(most > 0, 0, ledger.COMPLETE)
        cursor, counts, limit = jnp.int64(0), jnp.zeros(9, jnp.int32), jnp.int64(stop or 99)
        _, *kept, full = ledger.enter(
            jnp.int32(2), jnp.int64(1), limit, book[2], cursor, counts, book[3], via=chain
        )
        *after, end = ledger.advance(jnp.int64(most), full, *book[:3], full, halt, via=chain)
        given = [*book, halt, cursor, counts]
        return chain.repeat(end, given, [*after, end, *kept])

    return [np.asarray(x).tolist() for x in call()]


def test_a_chain_is_repeated_until_it_halts():
    assert repeated(3) == [13, 14, 3, 0, ledger.COMPLETE, 6, [2, 2, 2, 0, 0, 0, 0, 0, 0]]
    assert repeated(0) == [10, 11, 0, 0, ledger.COMPLETE, 0, [0] * 9]
    full = [12, 13, 2, 0, ledger.FULL, 4, [2, 2, 0, 0, 0, 0, 0, 0, 0]]
    assert repeated(9, stop=3) == full  # the second step takes the cursor beyond the limit


def test_what_is_repeated_must_be_in_place():
    chain = Chain()
    begin, count = ledger.scheduled(jnp.array([1, 4, 4, 7]), jnp.int64(4), via=chain)
    with pytest.raises(ValueError, match="in place"):
        chain.repeat(begin, [jnp.int64(0)], [count])


@pytest.mark.parametrize(
    ("stamp", "expected"), [(0, (0, 0)), (4, (1, 2)), (7, (3, 1)), (9, (4, 0))]
)
def test_what_a_schedule_has_due(stamp, expected):
    steps = jnp.array([1, 4, 4, 7])
    assert tuple(map(int, ledger.scheduled(steps, jnp.int64(stamp)))) == expected

"""A team: the same spikes for any number of threads, and threads that always come to an end."""

import hashlib
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.network.network import graph
from distdyn.ops.team import Team
from distdyn.parallel import chunk
from distdyn.parallel.assemble import Setting
from distdyn.parallel.shard import Shard


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


class Mixed(dd.Network):
    """Two groups, two receptors, many delays and one, constant, drawn and Poisson weights."""

    def __init__(self):
        cell = dd.LIF(
            C_m=250.0, tau_m=10.0, E_L=-65.0, V_th=-50.0, V_reset=-65.0, t_ref=2.0, I_e=380.0
        )
        self.E = dd.Population(403, cell, V=dd.Normal(-58.0, 5.0))
        self.I = dd.Population(101, cell, V=dd.Normal(-58.0, 5.0))
        self.noise = dd.Population(50, dd.Poisson(rate=40.0))
        fast, slow = dd.Exponential(tau=0.5), dd.Exponential(tau=2.0)
        both = (self.E, self.I)
        delay = dd.Normal(1.5, 0.75, low=0.1)
        self.exc = dd.Projection(
            self.E, both, dd.FixedTotal(20_000), fast, weight=dd.Normal(90.0, 9.0), delay=delay
        )
        self.inh = dd.Projection(self.I, both, dd.FixedProb(0.1), slow, weight=-90.0, delay=0.8)
        self.input = dd.Projection(
            self.noise, self.E, dd.FixedOutdegree(30), fast, weight=60.0, delay=0.4
        )
        self.drive = dd.PoissonInput(self.E, 2000.0, fast, weight=40.0)


def spikes(threads, precision="float32", steps=1500):
    shard = Shard(graph(Mixed()), Setting(0.1, 1, precision, 0), threads=threads)
    shard.watch(tuple(shard.graph.populations), ())
    digest, n = hashlib.sha256(), 0
    for _ in range(3):
        result = shard.run(steps // 3)
        assert result.done == steps // 3
        for step, id in result.spikes.values():
            digest.update(step.tobytes() + id.tobytes())
            n += len(id)
    for state in shard.states:
        for leaf in state:
            digest.update(np.asarray(leaf).tobytes())
    assert n > 1000
    return digest.hexdigest()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_spikes_do_not_depend_on_the_number_of_threads(precision):
    alone = spikes(1, precision)
    for threads in (2, 3, 4):
        assert spikes(threads, precision) == alone, f"{threads} threads"


def test_a_team_is_closed_outside_a_chunk():
    team = Team(3)
    for _ in range(3):
        with team:
            assert sum(t.name.startswith("distdyn-team") for t in threading.enumerate()) == 2
        assert not any(t.name.startswith("distdyn-team") for t in threading.enumerate())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_chunk_that_fails_ends_its_team_and_can_be_repeated(monkeypatch, error):
    shard = Shard(graph(Mixed()), Setting(0.1, 1, "float32", 0), threads=3)
    run_chunk, step = chunk.run_chunk, shard.step

    def fails(*_):
        raise error("planted")

    monkeypatch.setattr(chunk, "run_chunk", fails)
    with pytest.raises(error, match="planted"):
        shard.run(10)
    assert not any(t.name.startswith("distdyn-team") for t in threading.enumerate())
    monkeypatch.setattr(chunk, "run_chunk", run_chunk)
    assert shard.run(10).done == 10
    assert shard.step == step + 10


def test_a_thread_that_cannot_start_leaves_none_behind(monkeypatch):
    start, begun = threading.Thread.start, []

    def second_fails(thread):
        begun.append(thread)
        if len(begun) == 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", second_fails)
    with pytest.raises(RuntimeError, match="new thread"), Team(4):
        pass
    assert not begun[0].is_alive()


def test_a_team_that_left_makes_no_difference():
    """An operator that finds nobody does all shares itself."""
    from tests.ops.test_deliver import N_TARGET, SLOTS, cut_rows, deliver, dense, table

    rows, ring = table(1), np.zeros((SLOTS, N_TARGET), np.int32)
    cut, sources = cut_rows(rows, N_TARGET, 3), np.arange(30, dtype=np.int32)
    operand = (team := Team(3)).operand
    scalars = jnp.int64(0), jnp.int32(30), jnp.int64(5)
    part = jnp.int64(0)
    call = jax.jit(lambda ring: deliver(ring, cut, part, sources, *scalars, team=operand))
    for _ in range(2):
        np.testing.assert_array_equal(call(jnp.array(ring)), dense(ring, rows, 0, sources, 5))
    with team:
        np.testing.assert_array_equal(call(jnp.array(ring)), dense(ring, rows, 0, sources, 5))


def test_many_short_jobs_with_more_threads_than_cores():
    """Ten thousand steps of next to nothing: no thread is ever waited for that does not come."""
    shard = Shard(graph(Mixed()), Setting(0.1, 1, "float32", 0), threads=8)
    done = 0
    while done < 10_000:
        done += shard.run(10_000 - done).done
    assert done == 10_000


@pytest.mark.parametrize("members", [0, -1, 65])
def test_a_team_of_an_impossible_size(members):
    with pytest.raises(ValueError, match="members"):
        Team(members)

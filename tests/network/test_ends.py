"""Blocks and self pairs of the ends of projections, against counting them one by one."""

from types import SimpleNamespace

import pytest

from distdyn.network.ends import Ends, block_size
from distdyn.network.population import View

A, B = SimpleNamespace(size=100), SimpleNamespace(size=3000)


def view(population, start=0, stop=None, step=1):
    return View(population, start, population.size if stop is None else stop, step)


ENDS = {
    "whole": (view(A), view(A)),
    "tuple": ((view(A), view(B)), (view(B), view(A))),
    "parts": ((view(B, 5, 70), view(A, 0, 9)), (view(A, 3, 100, 7), view(B, 11, 2000, 13))),
    "steps": ((view(B, 1, 3000, 6), view(B, 0, 3000, 6)), (view(B, 3, 2900, 4),)),
    "empty": ((view(A, 5, 5), view(A, 0, 4)), (view(B, 0, 0), view(A, 2, 3), view(A, 9, 9))),
    "nobody": ((view(A, 0, 0),), (view(A, 0, 0),)),
}


def ends_of(name):
    pre, post = ENDS[name]
    return Ends(
        pre if isinstance(pre, tuple) else (pre,), post if isinstance(post, tuple) else (post,)
    )


def neurons(views):
    return [(id(v.population), i) for v in views for i in v.ids]


@pytest.mark.parametrize("name", ENDS)
def test_blocks_are_where_views_meet_the_blocks_of_their_population(name):
    ends = ends_of(name)
    place, starts = 0, []
    for v in ends.post:
        block = [i // block_size(v.population.size) for i in v.ids]
        starts += [place + k for k in range(len(block)) if k == 0 or block[k] != block[k - 1]]
        place += len(block)
    assert ends.block_start().tolist() == [*starts, ends.n_post]


@pytest.mark.parametrize("name", ENDS)
def test_self_pairs_are_the_same_neuron(name):
    ends = ends_of(name)
    pre, post = neurons(ends.pre), neurons(ends.post)
    assert (ends.n_pre, ends.n_post) == (len(pre), len(post))
    assert ends.n_self == len(set(pre) & set(post))
    assert ends.self_of_pre().tolist() == [post.index(x) if x in post else -1 for x in pre]
    assert ends.self_of_post().tolist() == [pre.index(x) if x in pre else -1 for x in post]


def test_block_sizes_are_powers_of_two_within_their_limits():
    for n in [0, 1, 17, 1024, 1025, 4000, 77169, 2**16, 2**16 + 1, 2**20, 2**20 + 1, 10**7, 10**9]:
        size = block_size(n)
        assert size & (size - 1) == 0 and size >= 16
        assert -(-n // size) <= max(64, min(-(-n // 256), 2**16))
    assert [block_size(n) for n in (100, 20683, 2**24, 10**9)] == [16, 256, 256, 16384]

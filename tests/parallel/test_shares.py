"""Places of cells: a numbering of all cells that every part can compute for any neuron."""

import numpy as np
import pytest

import distdyn as dd
from distdyn.network.ends import block_size
from distdyn.network.network import graph
from distdyn.parallel.groups import group_populations
from distdyn.parallel.shares import Shares
from partition import Decomposition, round_robin


class Three(dd.Network):
    def __init__(self, sizes):
        self.A = dd.Population(sizes[0], dd.LIF())
        self.P = dd.Population(sizes[1], dd.Poisson(rate=1.0))
        self.B = dd.Population(sizes[2], dd.LIF())


def any_owner(sizes, blocks, parts):
    owners = [
        np.random.default_rng(5).integers(parts, size=-(-n // b))
        for n, b in zip(sizes, blocks, strict=True)
    ]
    return Decomposition(tuple(sizes), tuple(blocks), tuple(owners), parts)


@pytest.mark.parametrize("deal", [round_robin, any_owner])
@pytest.mark.parametrize("parts", [1, 2, 7, 64])
@pytest.mark.parametrize("sizes", [(331, 5, 1), (0, 40, 17), (10007, 0, 640)])
def test_places_number_all_cells_as_the_parts_have_them(sizes, parts, deal):
    net = graph(Three(sizes))
    decomposition = deal(sizes, [block_size(n) for n in sizes], parts)
    for group in group_populations(net):
        shares = Shares.of(net, group, decomposition)
        seen = []
        for part in range(parts):
            cells = group.owned(net, decomposition, part)
            np.testing.assert_array_equal(cells.bounds, shares.bounds[part])
            for path in group.paths:
                here, ids = cells.of(path)
                parts_of, cell = shares.cells(path, ids)
                assert (parts_of == part).all()
                np.testing.assert_array_equal(cell, np.arange(here.start, here.stop))
                seen.append(shares.first[part] + cell)
                found, index = cells.find(path, ids[::-1])
                np.testing.assert_array_equal(found, cell[::-1])
                np.testing.assert_array_equal(index, np.arange(len(ids)))
        assert sorted(np.concatenate(seen)) == list(range(group.size))


def test_neurons_that_are_elsewhere_are_not_found():
    sizes = (331, 5, 1)
    net = graph(Three(sizes))
    decomposition = round_robin(sizes, [block_size(n) for n in sizes], 3)
    group = group_populations(net)[0]
    cells = group.owned(net, decomposition, 1)
    own = set(cells.of("A")[1].tolist())
    wanted = np.arange(0, 331, 7)
    _, index = cells.find("A", wanted)
    assert {int(i) for i in wanted[index]} == own & set(wanted.tolist())
    assert 0 < len(index) < len(wanted)

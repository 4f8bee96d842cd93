"""IndegreeRule: what a user's `choose` is given, and what it may return."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.network.population import View
from tests.network.toys import Cell

KEY = np.uint64(3), np.uint64(7)


@dataclass(frozen=True)
class Chosen(dd.IndegreeRule):
    """Whatever a test returns."""

    n: int
    returned: Any

    def choose(self, post, n_pre, u):
        return self.returned(post, n_pre, u)


def ends(n_pre, n_post):
    pre, post = dd.Population(n_pre, Cell()), dd.Population(n_post, Cell())
    return Ends((View(pre, 0, n_pre, 1),), (View(post, 0, n_post, 1),))


def test_each_synapse_has_a_uniform_number_of_its_own():
    seen = {}

    def remember(post, n_pre, u):
        assert post.shape == (len(u), 1) and n_pre == 50
        seen.update(zip(post[:, 0].tolist(), u.tolist(), strict=True))
        return np.zeros(u.shape, int)

    rule = Chosen(20, remember)
    pre, post = rule.rows(ends(50, 1000), KEY)
    assert (pre == 0).all() and np.array_equal(post, np.repeat(np.arange(1000), 20))
    u = np.array([seen[j] for j in range(1000)])
    assert len(np.unique(u)) == u.size
    n = np.histogram(u, bins=20, range=(0, 1))[0]
    assert ((n - 1000) ** 2 / 1000).sum() < 43.8, "chi squared of 19 degrees, p = 0.001"
    for a, b in ((u[:-1], u[1:]), (u[:, :-1], u[:, 1:])):  # neurons, synapses beside each other
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda post, n, u: u, r"returned float64\[10, 4\]. Return integers of shape \[10, 4\]"),
        (lambda post, n, u: post, r"returned int64\[10, 1\]"),
        (lambda post, n, u: post + 0 * u.astype(int) - 1, "returned the source -1, and"),
        (lambda post, n, u: post + (u > 0) + 30, "source 40, and the pre end has 40 neurons"),
    ],
)
def test_what_are_no_sources_is_refused(returned, message):
    with pytest.raises(RuleError, match=message):
        Chosen(4, returned).rows(ends(40, 10), KEY)


def test_a_number_that_is_none_and_an_empty_end_are_refused():
    with pytest.raises(RuleError, match=r"exc: Chosen: n = 2.5 is not a number of synapses"):
        Chosen(2.5, None).check(ends(40, 10), "exc")
    with pytest.raises(RuleError, match=r"exc: .* asks for 3 among no sources"):
        Chosen(3, None).check(Ends((), ends(1, 10).post), "exc")

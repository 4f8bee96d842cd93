"""Poisson counts: the terms that are enough, and the same counts in compiled code and on arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from distdyn.ops.poisson import RARE, poisson_count, terms_needed
from distdyn.random import stream_key, threefry
from tests.ops.test_fuse import values_of

MEANS = 0.0, 1e-4, 0.1, 0.8, 2.32, 20.0, 500.0


@pytest.mark.parametrize("mean", MEANS)
def test_terms_left_out_are_rarer_than_a_word(mean):
    terms = terms_needed(mean)
    assert stats.poisson.sf(terms.all - 1, mean) <= 2.0**-33
    assert 1 <= terms.common <= terms.all
    if terms.common < terms.all:
        assert stats.poisson.sf(terms.common, mean) <= RARE
    if terms.common > max(1, np.ceil(mean)):
        assert stats.poisson.sf(terms.common - 1, mean) > RARE


@pytest.mark.parametrize("mean", MEANS)
def test_counts_are_quantiles_of_the_words_in_compiled_code_and_on_arrays(mean):
    terms, step = terms_needed(mean), np.int64(2**33 + 5)
    key = tuple(np.uint32(word) for word in stream_key(1, "poisson", "noise"))
    ids = np.arange(20_011, dtype=np.uint32)
    with jax.enable_x64(True):

        def count(id):
            return poisson_count(id, jnp.asarray(step), key, jnp.float64(mean), terms)

        compiled, arrays = values_of(count, ids), np.asarray(count(jnp.asarray(ids)))
        counter = jnp.asarray(ids), jnp.uint32(5)
        word = np.asarray(threefry(counter, (key[0], key[1] ^ jnp.uint32(2)))[0], np.float64)
    np.testing.assert_array_equal(compiled, arrays)
    expected = stats.poisson.ppf((word + 0.5) / 2**32, mean)
    np.testing.assert_array_equal(compiled, np.maximum(expected, 0))
    if terms.common < terms.all and mean > 0.01:
        assert 0 < (compiled > terms.common).sum() < 2 * RARE * len(ids)

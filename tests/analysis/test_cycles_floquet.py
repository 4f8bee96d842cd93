"""Eigenvalues of long products, small ones included."""

import numpy as np
import pytest

from distdyn.analysis.cycles.floquet import multipliers, product_eigenvalues


def turned(diagonals, rng):
    """Factors X_(i+1) D_i X_i^-1 with D_i block diagonal: the eigenvalues are those of the D's."""
    n, k = len(diagonals), diagonals[0].shape[0]
    bases = np.linalg.qr(rng.normal(size=(n, k, k)))[0] + 0.2 * rng.normal(size=(n, k, k))
    return np.stack(
        [np.roll(bases, -1, axis=0)[i] @ diagonals[i] @ np.linalg.inv(bases[i]) for i in range(n)]
    )


def test_tiny_and_large_eigenvalues_are_found_to_relative_accuracy(seed):
    rng = np.random.default_rng(seed)
    rates = np.array([0.2, -0.1, -1.0, -4.0])
    shares = rng.uniform(0.5, 1.5, size=(60, 1))
    found = product_eigenvalues(turned([np.diag(np.exp(rates * s)) for s in shares], rng))
    assert found == pytest.approx(np.exp(rates * shares.sum()), rel=1e-9)
    assert found[-1] < 1e-80


def test_complex_pairs_and_signs(seed):
    rng = np.random.default_rng(seed)
    c, s = np.cos(0.3), np.sin(0.3)
    one = np.zeros((4, 4))
    one[:2, :2] = 0.99 * np.array([[c, -s], [s, c]])
    one[2, 2], one[3, 3] = -0.5, 1e-2
    found = product_eigenvalues(turned([one] * 41, rng))
    pair = 0.99**41 * np.exp(0.3j * 41)
    expected = sorted([pair, pair.conjugate()], key=lambda z: z.imag)
    assert sorted(found[:2], key=lambda z: z.imag) == pytest.approx(expected, rel=1e-9)
    assert found[2:].real == pytest.approx([-(0.5**41), 1e-82], rel=1e-9)


def test_one_factor_is_an_ordinary_matrix(seed):
    matrix = np.random.default_rng(seed).normal(size=(5, 5))
    found, expected = product_eigenvalues(matrix[None]), np.linalg.eigvals(matrix)
    by_place = [sorted(x, key=lambda z: (round(z.real, 8), z.imag)) for x in (found, expected)]
    assert by_place[0] == pytest.approx(by_place[1])


def test_the_multiplier_along_the_flow_is_split_off(seed):
    rng = np.random.default_rng(seed)
    bases = np.linalg.qr(rng.normal(size=(20, 3, 3)))[0]
    speed = rng.uniform(0.5, 2.0, size=20)
    after = np.roll(speed, -1)
    transfer = []
    for i in range(20):  # carries the flow of one place to that of the next
        D = np.diag([after[i] / speed[i], 0.9, 1e-2])
        D[0, 1:] = rng.normal(size=2)
        transfer.append(np.roll(bases, -1, axis=0)[i] @ D @ bases[i].T)
    trivial, others = multipliers(np.stack(transfer), bases[:, :, 0] * speed[:, None])
    assert trivial == pytest.approx(1.0, abs=1e-12)
    assert others == pytest.approx([0.9**20, 1e-40], rel=1e-9)

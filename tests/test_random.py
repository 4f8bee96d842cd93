"""The generators against the known answers that their authors publish."""

import numpy as np
import pytest

from distdyn.random import philox, threefry

PI = 0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0
ONES = (0xFFFFFFFF,) * 6


def words(numbers):
    return tuple(np.array([n], np.uint32) for n in numbers)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        (ONES[:2], ONES[:2], (0x1CB996FC, 0xBB002BE7)),
        (PI[:2], PI[2:4], (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry(counter, key, answer):
    with np.errstate(over="ignore"):
        assert threefry(words(counter), words(key)) == words(answer)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (ONES[:4], ONES[:2], (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (PI[:4], PI[4:], (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_philox(counter, key, answer):
    with np.errstate(over="ignore"):
        assert philox(words(counter), words(key)) == words(answer)

"""A few seconds of the fuzzer; half an hour of it is `python tests/fuzz/fuzz.py`."""

import time

import pytest

from tests.fuzz.fuzz import Fuzzer

SECONDS, LEAST = 12.0, 40  # of wall time, and cases


@pytest.mark.parametrize("seconds", [SECONDS, pytest.param(1800.0, marks=pytest.mark.slow)])
def test_only_listed_errors_come_of_what_is_damaged(tmp_path, seed, seconds):
    fuzzer = Fuzzer(seed, tmp_path)
    fuzzer.run(0)  # the reader starts
    end, case = time.monotonic() + seconds, 1
    while time.monotonic() < end or case < LEAST:
        fuzzer.run(case)
        case += 1
    fuzzer.close()
    assert not fuzzer.findings, "\n".join(fuzzer.findings)
    assert sum(fuzzer.counts.values()) >= case

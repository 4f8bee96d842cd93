"""What a first look leaves out is named by `thorough.txt`: names that are right, from a log."""

import re
from pathlib import Path

from tests.durations import KEPT, long_tests

ROOT = Path(__file__).parents[1]
LOG = """
12.50s call     tests/a/test_b.py::test_c[x 1-y]
0.30s setup    tests/a/test_b.py::test_d
1.90s call     tests/a/test_b.py::test_d
1.90s call     tests/a/test_b.py::test_e
99.00s call     tests/mpi/test_same_spikes.py::test_command_line
"""


def test_every_name_is_that_of_a_test():
    names = (ROOT / "tests" / "thorough.txt").read_text().splitlines()
    assert names == sorted(set(names)) and not set(names) & set(KEPT)
    for name in (*names, *KEPT):
        file, function = re.fullmatch(r"(tests/\S+\.py)::(\w+)(?:\[.*)?", name).groups()
        assert f"def {function}(" in (ROOT / file).read_text(), name


def test_those_that_take_long_with_their_setup():
    assert long_tests(LOG) == ["tests/a/test_b.py::test_c[x 1-y]", "tests/a/test_b.py::test_d"]

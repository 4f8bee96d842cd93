"""Statistics over ranks: each reads a part of the time, together they have all of it."""

import json

import pytest

pytestmark = pytest.mark.mpi

STATISTICS = """
import json, sys
import numpy as np
import distdyn as dd
from distdyn.parallel import launch
from tests.analysis.test_statistics import written

us = launch.world()
if us.rank == 0:
    written(sys.argv[1], 3)
us.barrier()
together = dd.statistics(sys.argv[1], sample=20, resolution=4.0, block=100)
launch.world = lambda: launch.World()
alone = dd.statistics(sys.argv[1], sample=20, resolution=4.0)
same = all(
    np.array_equal(getattr(together[path], name), getattr(alone[path], name), equal_nan=True)
    for path in alone for name in ("rate", "cv", "correlation")
)
power = together["E"].power
close = np.allclose(power, alone["E"].power, rtol=1e-12, atol=0) and power.max() > 0
sys.stdout.write(json.dumps([us.size, bool(same), bool(close)]) + "\\n")
"""


@pytest.mark.parametrize("n", [2, 3])
def test_ranks_change_nothing(n, ranks, tmp_path):
    lines = ranks(n, STATISTICS, str(tmp_path / "run")).out.splitlines()
    assert [json.loads(line) for line in lines] == [[n, True, True]] * n

"""A sweep over ranks: the same table, whoever does which points, and whoever dies."""

import json
import signal

import pytest

import distdyn as dd

pytestmark = pytest.mark.mpi

TICKETS = """
import json, time
from distdyn.parallel.launch import world
from distdyn.parallel.launch.tickets import Tickets
us = world()
tickets, mine = Tickets(us), []
while (k := tickets.take(2)) < 20:
    mine += [k, k + 1]
    time.sleep(0.2 if us.rank == 0 else 0.01)
tickets.finish()
tickets.finish()
every = us.allgather(mine)
if us.rank == 0:
    print(json.dumps([sorted(k for own in every for k in own), *map(len, every)]))
"""
SWEEPS = """
import json, sys
import numpy as np
import distdyn as dd

class Net(dd.Network):
    def __init__(self, w):
        cell = dd.LIF(E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0, tau_m=20.0, I_e=200.0)
        self.E = dd.Population(30, cell, V=dd.Normal(-55.0, 3.0))
        self.exc = dd.Projection(
            self.E, self.E, dd.FixedProb(0.2), dd.Exponential(tau=5.0), dd.COBA(E=0.0), weight=w,
            delay=0.1,
        )

def swept(*words, **given):
    return dd.sweep(*words, **given, progress="off")

out = sys.argv[1]
grid = {"mu_0": np.linspace(0, 60, 200)}
model = swept(dd.WongWang(), grid, "std", duration=20., out=out + "/m.h5")
net = swept(Net, {"w": [0., 1., -1., 2.], "E.I_e": [200., 210.]}, "rate", duration=20.)
try:
    swept(Net, {"w": [0., 1., -1., 2.]}, "rate", duration=20., strict=True)
    failure = None
except dd.DistDynError as error:
    failure = type(error).__name__
sys.stdout.write(json.dumps([model.sha256, net.sha256, len(net.reasons), failure]) + "\\n")
"""
LONG = """
import os, signal, sys
import numpy as np
import distdyn as dd
from distdyn.analysis.sweep.models import ModelWork
from distdyn.parallel.launch import world
do, count = ModelWork.do, [0]
def dying(self, units):
    count[0] += 1
    if len(sys.argv) > 2 and world().rank == 1 and count[0] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return do(self, units)
ModelWork.do = dying
grid = {"mu_0": np.linspace(0, 60, 40), "seed": range(200)}
given = {"duration": 100., "progress": "off"}
table = dd.sweep(dd.WongWang(), grid, "mean", **given, out=sys.argv[1])
sys.stdout.write(f"{table.sha256 == dd.sweep(dd.WongWang(), grid, 'mean', **given).sha256}\\n")
"""


def test_every_ticket_is_taken_once_and_who_is_fast_takes_more(ranks):
    taken, slow, fast = json.loads(ranks(2, TICKETS, light=True).out)
    assert taken == list(range(20)) and slow < fast


def test_ranks_change_nothing(ranks, tmp_path):
    found = []
    for n in (1, 2):
        (tmp_path / str(n)).mkdir()
        lines = ranks(n, SWEEPS, str(tmp_path / str(n)), limit=200.0).out.splitlines()
        assert len(lines) == n
        found += [json.loads(line) for line in lines]
        assert [path.name for path in (tmp_path / str(n)).iterdir()] == ["m.h5"]
        assert dd.Sweep.load(tmp_path / str(n) / "m.h5").sha256 == found[-1][0]
    assert found[0] == found[1] == found[2]
    assert found[0][2:] == [2, "SimulationError"]


def test_what_ranks_have_found_outlives_one_that_is_killed(ranks, tmp_path):
    out = tmp_path / "s.h5"
    ended = ranks(2, LONG, str(out), "die", ok=False, limit=200.0)
    assert ended.code not in (0, -signal.SIGKILL)
    known = dd.Sweep.load(out).is_known.sum()
    assert 0 < known < 8000
    assert any(path.name == "s.part-rank-0001.h5" for path in tmp_path.iterdir())
    assert ranks(None, LONG, str(out), limit=200.0).out == "True\n"
    assert [path.name for path in tmp_path.glob("*.h5")] == ["s.h5"]

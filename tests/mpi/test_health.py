"""What must not go on ends on all ranks alike: no room, states that explode, runaway cells."""

import json

import numpy as np
import pytest

from distdyn.run.checkpoint.stored import Stored

pytestmark = pytest.mark.mpi

HUGE = """
import json, os, sys, time
import distdyn as dd
from distdyn.errors import CapacityError
from distdyn.parallel.launch import world

us = world()

class Huge(dd.Network):
    def __init__(self):
        self.E = dd.Population(10**9, dd.LIF(), V=dd.Normal(-60.0, 5.0))
        self.exc = dd.Projection(self.E, self.E, dd.FixedIndegree(10**4), dd.Exponential(tau=5.0),
                                 weight=dd.Normal(1.0, 0.1), delay=1.0)

dd.DSRunner(dd.LIF(), dt=0.1, progress="off").run(0.1)  # what the first run loads
began = time.process_time()
try:
    dd.DSRunner(Huge(), dt=0.1, progress="off")
    text = ""
except CapacityError as error:
    text = str(error)
seconds = time.process_time() - began
# not ru_maxrss, which a process inherits from the one that started it
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
rss = int(status["VmHWM"].split()[0]) * 1024
told = us.gather([text, seconds, rss])
us.rank == 0 and print(json.dumps(told), flush=True)
"""


@pytest.mark.parametrize("n", [3, pytest.param(None, marks=pytest.mark.slow)])
def test_what_cannot_fit_is_refused_before_it_is_made(ranks, n):  # B14
    told = json.loads(ranks(n, HUGE, limit=90.0).out.splitlines()[-1])
    assert len(told) == (n or 1)
    assert len({text for text, _, _ in told}) == 1
    for text, seconds, rss in told:
        assert f"rank 0 of {n or 1} needs" in text and "TB, but has" in text
        assert "of room for synapses" in text
        assert seconds < 2.0 and rss < 1e9
        print(f"MEASURED refusal: {seconds:.2f} s, {rss / 1e6:.0f} MB")


SICK = """
import json, sys
from typing import NamedTuple
import jax
import numpy as np
import distdyn as dd
from distdyn.errors import SimulationError
from distdyn.parallel.launch import world

us = world()

class Square(dd.ODE):
    class State(NamedTuple):
        x: jax.Array
    def init(self, id, key):
        return self.State(x=0.0)
    def derivative(self, t, s, drive):
        return self.State(x=s.x * s.x)

class Exploding(dd.Network):
    def __init__(self):
        self.N = dd.Population(80, Square(), x=np.where(np.arange(80) == 33, 0.5, 0.0))

class Runaway(dd.Network):
    def __init__(self):
        self.E = dd.Population(40, dd.LIF(t_ref=2.0), V=-51.0)
        self.exc = dd.Projection(self.E, self.E, dd.AllToAll(), dd.Exponential(tau=5.0),
                                 weight=1e3, delay=1.0)
        self.kick = dd.CurrentInput(self.E[:3], dd.Steps([0.0, 5.0], [1e3, 0.0]))

found = {}
for name, network, more in (("explosion", Exploding(), {}), ("runaway", Runaway(), {}),
                            ("limit", Runaway(), {"max_rate": 100.0})):
    said = None
    with dd.DSRunner(network, dt=0.1, progress="off", record="spikes", out=f"{sys.argv[1]}/{name}",
                     **more) as runner:
        try:
            runner.run(100.0)
        except SimulationError as error:
            said = str(error)
    found[name] = us.allgather(said)
us.rank == 0 and print(json.dumps(found), flush=True)
"""


def test_all_ranks_hear_what_is_wrong_and_the_state_is_kept(ranks, tmp_path):  # B12
    ended = ranks(2, SICK, str(tmp_path), limit=120.0)
    found = json.loads(ended.out.splitlines()[-1])
    for name, words in (
        ("explosion", 'population "N": x of neuron 33 is'),
        ("limit", "more than max_rate = 100 Hz"),
    ):
        first, second = found[name]
        assert first == second and words in first, found
        (failed,) = (tmp_path / name).glob("*failed*")
        assert f'The state is saved in "{failed}".' in first
        assert first in json.loads((tmp_path / name / "run.json").read_text())["exit_reason"]
    (failed,) = (tmp_path / "explosion").glob("failed-*")
    stored = Stored(failed)
    assert len(stored.manifest["parts"]) == 2
    x = stored.read("cells/N", np.arange(80))["state.x"]
    assert np.flatnonzero(~np.isfinite(x)).tolist() == [33] and x[32] == 0
    assert found["runaway"] == [None, None]
    assert ended.err.count("nearly as much as is possible") == 1, ended.err
    assert not list((tmp_path / "runaway").glob("*failed*"))


@pytest.mark.slow
def test_the_command_ends_a_run_that_is_too_fast(ranks, tmp_path):
    words = ["-m", "distdyn", "run", "brunel", "--set", "n=200", "--duration", "100", "--quiet"]
    words += ["--max-rate", "1", "--out", str(tmp_path / "run")]
    ended = ranks(2, words, limit=120.0, ok=False)
    assert ended.code == 1 and ended.err.count("more than max_rate = 1 Hz") == 1, ended.err
    assert "Traceback" not in ended.err
    assert list((tmp_path / "run").glob("failed-step-*"))

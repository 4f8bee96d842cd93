"""One rank fails, vanishes, stops or is interrupted in the middle of a simulation.

As `test_faults.py`, but with a runner: ranks wait for each other inside of a compiled chunk.
"""

import os
import re
import signal
import time

import pytest

import distdyn as dd
from distdyn.zoo import by_name

pytestmark = pytest.mark.mpi
slow = pytest.mark.slow

BEGIN = """
import os, sys, threading, time
import distdyn as dd
from distdyn.parallel.built import Built
from distdyn.parallel.launch import world
from distdyn.parallel.shard import Shard
from distdyn.zoo import by_name

us = world()
odd = us.rank == 1

def build(**more):
    given = {"dt": 0.1, "seed": 1, "record": "spikes", "watchdog": 5.0, "progress": "off"}
    return dd.DSRunner(by_name("coba")(n=200), **(given | more))

def ready(runner=None):
    pids = [int(pid) for pid in us.watch.lines["pid"]] if us.size > 1 else [os.getpid()]
    us.rank == 0 and print("ready", pids, flush=True)

def later(deed, seconds=1.0):
    timer = threading.Timer(seconds, deed)
    timer.daemon, timer.name = True, "later"
    timer.start()

def fail(*_):
    raise ValueError("seven is not even")
"""
RUN = "runner = build()\nrunner.run(20.0)\nready()\n"
FAULTS = {
    "build": ("ready()\nif odd: Built.tables = property(fail)\nbuild()", "ValueError: seven"),
    "chunk": (RUN + "if odd: Shard._chunk = fail\nrunner.run(1e6)", "ValueError: seven"),
    "call": (
        RUN + "runner.run(1e6, every=10.0, call=lambda r: odd and r.t > 90 and fail())",
        "ValueError: seven",
    ),
    "exit in a call": (
        RUN + "runner.run(1e6, every=10.0, call=lambda r: odd and r.t > 90 and sys.exit(3))",
        "exit code 3",
    ),
    "thread": (RUN + "odd and later(fail)\nrunner.run(1e6)", "in thread later"),
    "os._exit(0)": (RUN + "odd and later(lambda: os._exit(0))\nrunner.run(1e6)", "disappeared"),
}
DEFAULT = ("call",)


def until_ready(job, limit=90.0) -> list[int]:
    """The process ids of the ranks, once they say that they have come so far."""
    end = time.monotonic() + limit
    while time.monotonic() < end and job.process.poll() is None:
        found = re.search(r"ready \[(.*)\]", job.output())
        if found:
            return [int(pid) for pid in found[1].split(",")]
        time.sleep(0.02)
    ended = job.wait(limit=10.0)
    return pytest.fail(f"the ranks did not start\n{ended.out}\n{ended.err}")


def assert_gone(pids: list[int]) -> None:
    end = time.monotonic() + 5.0
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < end, "a rank is left over"
        time.sleep(0.02)


def end_of(job, pids, what, limit=10.0):
    """How the job ends from now on: in time, and with no rank left."""
    began = time.monotonic()
    ended = job.wait(limit)
    print(f"MEASURED {what}: {time.monotonic() - began:.2f} s, code {ended.code}")
    assert_gone(pids)
    return ended


def assert_same_as_alone(recorded, n=200) -> None:
    """What was recorded until it ended is how a run of one process begins."""
    alone = dd.DSRunner(by_name("coba")(n=n), dt=0.1, seed=1, record="spikes", progress="off")
    whole = alone.run(recorded.stop * 0.1)
    for path, spikes in whole.spikes.items():
        for column in ("step", "id"):
            mine, other = getattr(spikes, column), getattr(recorded.spikes[path], column)
            assert (mine == other).all() and len(mine) == len(other)


@pytest.mark.parametrize(
    "fault", [x if x in DEFAULT else pytest.param(x, marks=slow) for x in FAULTS]
)
def test_one_rank_fails(start, fault):  # D10, D11, D12, D13
    script, words = FAULTS[fault]
    job = start(3, BEGIN + script)
    pids = until_ready(job)
    ended = end_of(job, pids, fault)
    assert ended.code != 0
    assert ended.err.count(words) == 1, ended.err
    assert re.search(rf"rank 1 \(.*pid {pids[1]}\)", ended.err), ended.err
    assert ended.err.count("Traceback") == (words.startswith("Value") or "thread" in words)


def test_killed_rank_ends_a_run_that_can_be_read(start, tmp_path):  # D13
    script = "runner = build(out=sys.argv[1])\nrunner.run(20.0)\nready()\nrunner.run(1e6)"
    job = start(2, BEGIN + script, str(tmp_path / "run"))
    pids = until_ready(job)
    time.sleep(2.0)
    os.kill(pids[1], signal.SIGKILL)
    ended = end_of(job, pids, "SIGKILL")
    assert ended.code != 0
    assert "rank 1 (" in ended.err and "disappeared" in ended.err, ended.err
    assert not (tmp_path / "run" / "spikes.h5").exists()  # nothing that looks like the end
    recorded = dd.load(tmp_path / "run")
    assert recorded.stop > 200
    assert_same_as_alone(recorded)


@slow
def test_state_that_explodes_on_one_rank_ends_all(start):
    script = """
from typing import NamedTuple
import jax, numpy as np
class Square(dd.ODE):
    class State(NamedTuple):
        x: jax.Array
    def init(self, id, key):
        return self.State(x=0.0)
    def derivative(self, t, s, drive):
        return self.State(x=s.x * s.x)
net = dd.Network()
net.N = dd.Population(80, Square(), x=np.where(np.arange(80) == 33, 0.5, 0.0))
runner = dd.DSRunner(net, dt=0.1, progress="off")
ready()
runner.run(1e6)
"""
    job = start(3, BEGIN + script)
    ended = end_of(job, until_ready(job), "explosion", limit=20.0)
    assert ended.code == 1
    assert ended.err.count('SimulationError: population "N": x of neuron 33 is') == 1, ended.err
    assert ended.err.count("Traceback") == 1


# --- stops ---------------------------------------------------------------------------------------

COMMAND = ["-m", "distdyn", "run", "coba", "--set", "n=400", "--duration", "1e7", "--seed", "1",
           "--quiet", "--watchdog", "5", "--out"]  # fmt: skip


def under_way(job, out, n, limit=90.0) -> list[int]:
    """The ranks of a command, by rank, once all of them have written spikes."""
    end = time.monotonic() + limit
    while time.monotonic() < end and job.process.poll() is None:
        files = [*out.glob("*rank*")]
        if len(files) >= n and min(file.stat().st_size for file in files) > 20_000:
            return pids_of(job)
        time.sleep(0.1)
    job.process.kill()
    ended = job.wait(limit=10.0)
    return pytest.fail(f"the run did not begin: {[*out.glob('*')]}\n{ended.out}\n{ended.err}")


def pids_of(job) -> list[int]:
    """Process ids by rank, of those children of the launcher that know theirs."""
    found, folder = {}, os.path.dirname(job.files[0].name)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                variables = dict(x.partition(b"=")[::2] for x in file.read().split(b"\0"))
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if b"PMI_RANK" in variables and os.readlink(f"/proc/{pid}/cwd") == folder:
            if words[1:4] == [b"-m", b"distdyn", b"run"]:
                found[int(variables[b"PMI_RANK"])] = int(pid)
    return [found[rank] for rank in sorted(found)]


def test_stopped_rank_ends_a_run(start, tmp_path):  # D14
    job = start(2, [*COMMAND, str(tmp_path / "run")])
    pids = under_way(job, tmp_path / "run", 2)
    assert len(pids) == 2
    os.kill(pids[1], signal.SIGSTOP)
    ended = end_of(job, pids, "SIGSTOP, limit 5 s", limit=15.0)
    assert ended.code != 0
    assert ended.err.count("rank 1 (") == 1 and "no heartbeat for 5 s" in ended.err, ended.err
    assert re.search(r"last seen at step \d+", ended.err), ended.err
    assert dd.load(tmp_path / "run").stop > 0


@slow
def test_a_stop_shorter_than_the_limit_changes_nothing(start):  # D15
    script = """
def slowly(runner):
    runner.t == 20.0 and ready()
    time.sleep(0.05)
runner = build()
first = runner.run(800.0, every=10.0, call=slowly).spikes_sha256()
runner.reset()
assert runner.run(800.0).spikes_sha256() == first
us.rank == 0 and print("same", flush=True)
"""
    job = start(2, BEGIN + script)
    pids = until_ready(job)
    os.kill(pids[1], signal.SIGSTOP)
    time.sleep(3.0)
    assert job.process.poll() is None and "same" not in job.output()
    os.kill(pids[1], signal.SIGCONT)
    ended = end_of(job, pids, "3 s of SIGSTOP", limit=30.0)
    assert ended.code == 0 and "same" in ended.out and ended.err == "", ended


def test_interrupt_of_mpirun(start, tmp_path):  # D19
    job = start(2, [*COMMAND, str(tmp_path / "run")])
    pids = under_way(job, tmp_path / "run", 2)
    os.kill(job.process.pid, signal.SIGINT)
    ended = end_of(job, pids, "Ctrl-C")
    assert ended.code != 0
    assert "Traceback" not in ended.err, ended.err
    names = sorted(file.name for file in (tmp_path / "run").iterdir())
    assert not [name for name in names if "draft" in name], names
    recorded = dd.load(tmp_path / "run")
    assert '"completed"' not in (tmp_path / "run" / "run.json").read_text()
    assert recorded.stop > 0
    assert_same_as_alone(recorded, 400)

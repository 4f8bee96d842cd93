"""Ranks that are killed, stopped and started again on another number of them: the same spikes."""

import json
import os
import random
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

import distdyn as dd
from distdyn.parallel.launch import World
from distdyn.run.checkpoint.stored import Stored
from distdyn.run.checkpoint.writing import kept

pytestmark = pytest.mark.mpi
slow = pytest.mark.slow

GOLDEN = "52ded88a9f83722ba800501cdbf96224b426b669f34c43226349989a04e515f6"
RUN = f"""
import json, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import distdyn as dd
from same import NETWORKS, state_of

name, out, duration, every, devices, pause = sys.argv[1:]
make, _, precision = NETWORKS[name]
with dd.DSRunner(
    make(), dt=0.1, seed=7, record="spikes", precision=precision, out=out, progress="off",
    checkpoint_every=every, keep=100, resume="auto", devices=int(devices), watchdog=20.0,
) as runner:
    pids = [int(pid) for pid in runner.world.watch.lines["pid"]]
    runner.world.rank == 0 and print("pids", pids, runner.step, flush=True)
    def call(r):
        time.sleep(float(pause))
    recording = runner.run(float(duration), every=10.0, call=call)
    found = recording.spikes_sha256(), state_of(runner), runner.counters()["emitted"]
    runner.world.rank == 0 and print(json.dumps(found), flush=True)
"""


def words(name, out, duration, every="20ms", devices=1, pause=0.0):
    return name, str(out), str(duration), every, str(devices), str(pause)


def result(ended):
    return json.loads(ended.out.strip().splitlines()[-1])


def pids(job, limit=60.0):
    """The processes of the ranks, once they are about to run."""
    began = time.monotonic()
    while time.monotonic() - began < limit and job.process.poll() is None:
        if found := re.search(r"pids \[(.*?)\] (\d+)", job.output()):
            return [int(x) for x in found[1].split(",")]
        time.sleep(0.05)
    pytest.fail(f"the ranks did not begin within {limit:g} s: {job.output()}")


@pytest.mark.parametrize(
    ("name", "n", "duration"),
    [("plastic", (3, 2, 1), 60.0), *(pytest.param(x, (2, 3, 1), 40.0, marks=slow)
                                     for x in ("coupled", "memory", "poisson", "procedural"))],
)  # fmt: skip
def test_from_rank_to_rank(start, tmp_path, name, n, duration):
    [first, second, last] = n
    whole = result(start(1, RUN, *words(name, tmp_path / "whole", duration)).wait(200.0))
    fault = {"DISTDYN_FAULT": f"step-300:{first - 1}"}
    killed = start(first, RUN, *words(name, tmp_path / "a", duration), env=fault).wait(200.0)
    assert killed.code != 0
    fault = {"DISTDYN_FAULT": "manifest:0"}
    killed = start(second, RUN, *words(name, tmp_path / "a", duration), env=fault).wait(200.0)
    assert killed.code != 0
    again = start(last, RUN, *words(name, tmp_path / "a", duration, devices=2)).wait(200.0)
    assert result(again) == whole
    assert dd.load(tmp_path / "a").spikes_sha256() == whole[0]


@pytest.mark.parametrize("whom", [["one", "all"], pytest.param(["one", "all"] * 25, marks=slow)],
                         ids=["twice", "50 times"])  # fmt: skip
def test_killed_at_any_moment_the_golden_network_comes_to_its_spikes(start, tmp_path, whom):
    draw = random.Random(len(whom))
    n, pause = 2, 0.0 if len(whom) == 2 else 0.05
    for turn, who in enumerate(whom):
        job = start(n, RUN, *words("whole", tmp_path / "a", 1000.0, every="30ms", pause=pause))
        ranks = pids(job)
        time.sleep(draw.uniform(0.0, 1.0))
        for pid in ranks if who == "all" else ranks[-1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                break  # it has come to its end
        ended = job.wait(60.0)
        if ended.code == 0:
            assert result(ended)[0] == GOLDEN
            return
        n = (2, 3, 1)[(turn + 1) % 3]
    ended = start(n, RUN, *words("whole", tmp_path / "a", 1000.0, every="30ms")).wait(100.0)
    assert result(ended)[0] == GOLDEN
    assert dd.load(tmp_path / "a").spikes_sha256() == GOLDEN


@pytest.mark.parametrize(
    ("n", "whom", "number", "code"),
    [(3, [1], signal.SIGUSR1, 75), (2, [0, 1], signal.SIGTERM, 143)],
)
def test_told_to_stop_all_ranks_stop_at_one_step(start, tmp_path, n, whom, number, code):
    job = start(n, RUN, *words("golden", tmp_path / "a", 1e6, every="1h", pause=0.01))
    ranks = pids(job)
    time.sleep(1.0)
    began = time.monotonic()
    for k in whom:
        os.kill(ranks[k], number)
    ended = job.wait(40.0)
    assert ended.code == code, ended.err
    assert time.monotonic() - began < 20.0
    [(step, path)] = kept(tmp_path / "a" / "checkpoints")
    assert len(Stored(path).manifest["parts"]) == n
    assert dd.load(tmp_path / "a").stop == step
    duration = (step + 2000) / 10
    one = start(1, RUN, *words("golden", tmp_path / "a", duration)).wait(100.0)
    whole = start(1, RUN, *words("golden", tmp_path / "b", duration)).wait(100.0)
    assert result(one) == result(whole)


def test_a_checkpoint_that_one_rank_finds_damaged_stops_all(start, tmp_path):
    start(2, RUN, *words("golden", tmp_path / "a", 40.0)).wait(100.0)
    for _, path in kept(tmp_path / "a" / "checkpoints"):
        with open(path / "part-0001.h5", "r+b") as file:
            file.truncate(1000)
    ended = start(2, RUN, *words("golden", tmp_path / "a", 50.0)).wait(60.0)
    assert ended.code == 1
    assert ended.err.count("none of the checkpoints") == 1
    assert "part-0001.h5" in ended.err


def test_told_twice_it_still_stops_in_order(start, tmp_path):
    job = start(2, RUN, *words("golden", tmp_path / "a", 1e6, every="1h", pause=0.2))
    ranks = pids(job)
    time.sleep(1.0)
    for _ in range(2):
        for pid in ranks:
            os.kill(pid, signal.SIGTERM)
        time.sleep(0.05)
    assert job.wait(40.0).code == 143
    [(step, path)] = kept(tmp_path / "a" / "checkpoints")
    Stored(path).verify(World())
    assert dd.load(tmp_path / "a").stop == step


@slow
@pytest.mark.parametrize("before", [(1, 1), (2, 2), (3, 1), (4, 1), (7, 1)])
def test_from_any_ranks_and_devices_to_any_others(start, tmp_path, before):
    whole = result(start(1, RUN, *words("plastic", tmp_path / "whole", 30.0)).wait(200.0))
    given = words("plastic", tmp_path / "a", 30.0, every="11ms", devices=before[1])
    start(before[0], RUN, *given, env={"DISTDYN_FAULT": "step-250"}).wait(300.0)
    for n, devices in ((1, 4), (2, 1), (3, 2), (4, 1), (7, 1)):
        shutil.copytree(tmp_path / "a", tmp_path / f"{n}")
        given = words("plastic", tmp_path / f"{n}", 30.0, devices=devices)
        assert result(start(n, RUN, *given).wait(300.0)) == whole


@slow
@pytest.mark.parametrize("n", [1, 2, 3])
def test_from_any_of_twenty_checkpoints(start, tmp_path, n):
    """A stochastic network that learns, by all kinds of plasticity."""
    whole = start(1, RUN, *words("plastic", tmp_path / "a", 100.0, every="5ms")).wait(200.0)
    steps = [step for step, _ in kept(tmp_path / "a" / "checkpoints")]
    assert len(steps) == 20
    for step in steps:
        for _, path in kept(tmp_path / "a" / "checkpoints")[:1]:
            assert Stored(path).step == step
        again = start(n, RUN, *words("plastic", tmp_path / "a", 100.0, every="1h")).wait(200.0)
        assert result(again) == result(whole)
        newest = kept(tmp_path / "a" / "checkpoints")[0][1]
        for file in newest.iterdir():
            file.unlink()
        newest.rmdir()

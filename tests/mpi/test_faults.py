"""A rank that fails, vanishes, hangs or disagrees ends all ranks, in time and with a reason.

The D numbers are those of our list of robustness checks. Every limit is hard: a job that is still
there is killed and the test fails. Faults happen in a small program that all ranks run: `us` is the
world, and the ranks that did not fail wait for the others in a barrier, or are busy.
"""

import os
import re
import signal
import sys
import time

import pytest

pytestmark = pytest.mark.mpi
slow = pytest.mark.slow  # the same again in another way: the rest is the thin slice

BEGIN = """
import os, sys, signal, threading, time
import numpy as np
from distdyn.errors import ParameterError
from distdyn.parallel.launch import check_same, world
us = world()
us.watch.limit = 2.0
def wait(how):
    if how == "busy":
        end = time.monotonic() + 30
        while time.monotonic() < end: pass
    else:
        us.barrier()
us.barrier()
us.rank == 0 and print("ready", [int(pid) for pid in us.watch.lines["pid"]], flush=True)
"""
FAULTS = {
    "raise": ("raise ValueError('seven is not even')", "ValueError: seven is not even"),
    "sys.exit(3)": ("sys.exit(3)", "exit code 3"),
    "SystemExit(3)": ("raise SystemExit(3)", "came to the end"),
    "thread": (
        "threading.Thread(target=lambda: 1 / 0, name='writer').start(); time.sleep(30)",
        "ZeroDivisionError: division by zero",
    ),
    "interrupt": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", "interrupted"),
    "os._exit(0)": ("os._exit(0)", "disappeared"),
    "end": ("sys.exit(0)", "came to the end"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", "disappeared"),
    "crash": ("import ctypes; ctypes.string_at(0)", "disappeared"),
}


def until_ready(job, limit=120.0) -> list[int]:
    """The process ids of the ranks, once they have all started."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        found = re.search(r"ready \[(.*)\]", job.output())
        if found:
            return [int(pid) for pid in found[1].split(",")]
        time.sleep(0.02)
    return pytest.fail("the ranks did not start")


def assert_gone(pids: list[int]) -> None:
    """No rank is left, not as a zombie either; it may take the launcher a moment."""
    end = time.monotonic() + 5.0
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < end, "a rank is left over"
        time.sleep(0.02)


@pytest.mark.parametrize("others", ["wait", pytest.param("busy", marks=slow)])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_rank_fails(start, fault, others):  # D10, D11, D12, D13
    deed, words = FAULTS[fault]
    if others == "busy" and fault in ("SystemExit(3)", "end"):
        pytest.skip("nobody waits for this rank, and nothing tells that it failed")
    script = BEGIN + f"if us.rank == 1: {deed}\nwait({others!r})"
    job = start(3, script, light=True)
    pids = until_ready(job)
    began = time.monotonic()
    ended = job.wait(limit=10.0)
    print(f"MEASURED {fault} ({others}): {time.monotonic() - began:.2f} s, code {ended.code}")
    assert ended.code != 0
    assert_gone(pids)
    if fault == "crash":  # what killed it, and in which line
        assert "Segmentation fault" in ended.err and "script.py" in ended.err, ended.err
    if fault in ("kill", "crash") and words not in ended.err:  # mpirun was faster, and ended us
        assert f"PID {pids[1]} RUNNING" in ended.out
        return
    assert ended.err.count(words) == 1, ended.err
    assert re.search(rf"rank 1 \(.*pid {pids[1]}\)", ended.err), ended.err
    assert ended.err.count("Traceback") == (fault in ("raise", "thread"))


@pytest.mark.parametrize("code", [0, 75, *(pytest.param(code, marks=slow) for code in (1, 2, 143))])
def test_all_ranks_end_in_order_and_keep_the_code(ranks, code):
    script = BEGIN + f"us.barrier()\nus.began = time.monotonic()\nsys.exit({code})"
    ended = ranks(3, script, light=True, limit=10.0, ok=False)
    print(f"MEASURED orderly end, code {code}: {ended.seconds:.2f} s")
    assert ended.code == code
    assert "distdyn" not in ended.err and "Traceback" not in ended.err
    if code == 0:
        assert ended.err == ""


def test_the_same_error_on_all_ranks_is_printed_once(ranks):
    script = BEGIN + "raise ParameterError('tau_m = -1 ms must be > 0.')"
    ended = ranks(3, script, light=True, limit=10.0, ok=False)
    assert ended.code == 1
    assert ended.err.count("ParameterError: tau_m = -1 ms must be > 0.") == 1
    assert ended.err.count("Traceback") == 1


def test_an_error_of_one_rank_that_all_agree_on_shows_where_it_was(ranks):
    script = BEGIN + (
        "def build():\n"
        "    if us.rank == 2: raise ParameterError('row 17 is empty.')\n"
        "error = None\n"
        "try:\n    build()\nexcept ParameterError as caught:\n    error = caught\n"
        "us.agree(None)\n"
        "us.agree(error)\n"
    )
    ended = ranks(3, script, light=True, limit=10.0, ok=False)
    assert ended.code == 1
    assert ended.err.count("row 17 is empty.") == 2  # where it is raised, and the last line
    assert ended.err.count("Traceback") == 1
    assert "rank 2" in ended.err and "in build" in ended.err


def test_leave_prints_one_message_and_keeps_the_code(ranks):
    script = BEGIN + "sys.exit(us.leave(2, 'distdyn: no such network'))"
    ended = ranks(3, script, light=True, limit=10.0, ok=False)
    assert ended.code == 2
    assert ended.err.count("distdyn: no such network") == 1


# --- stopped and stuck ranks ---------------------------------------------------------------------


STOPPED = "us.watch.progress(1200)\nif us.rank == 0: time.sleep(60)\n"


@pytest.mark.parametrize("others", ["wait", pytest.param("busy", marks=slow)])
def test_a_stopped_rank_ends_the_job(start, others):  # D14
    job = start(3, BEGIN + STOPPED + f"wait({others!r})", light=True)
    pids = until_ready(job)
    time.sleep(0.3)
    os.kill(pids[0], signal.SIGSTOP)
    began = time.monotonic()
    ended = job.wait(limit=10.0)
    print(f"MEASURED SIGSTOP, limit 2 s ({others}): {time.monotonic() - began:.2f} s")
    assert ended.code != 0
    assert ended.err.count("rank 0 (") == 1 and "no heartbeat for 2 s" in ended.err, ended.err
    assert "last seen at step 1200" in ended.err
    assert_gone(pids)


def test_a_stop_shorter_than_the_limit_is_survived(start):  # D15
    loop = "us.watch.limit = 5.0\nfor i in range(300): us.sum(i); time.sleep(.005)\n"
    job = start(3, BEGIN + loop, light=True)
    pids = until_ready(job)
    os.kill(pids[1], signal.SIGSTOP)
    time.sleep(3.0)
    os.kill(pids[1], signal.SIGCONT)
    ended = job.wait(limit=15.0)
    assert ended.code == 0 and ended.err == ""


@slow
def test_a_job_that_was_stopped_as_a_whole_goes_on(start):
    loop = "for i in range(300): us.sum(i); time.sleep(.005)\n"
    job = start(3, BEGIN + loop, light=True)  # the limit is 2 s
    pids = until_ready(job)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(4.0)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.1)
    ended = job.wait(limit=15.0)
    assert ended.code == 0 and ended.err == ""


def test_a_sleeping_rank_that_others_wait_for_ends_the_job(start):
    script = BEGIN + "us.watch.progress(7)\nif us.rank == 2: time.sleep(60)\nus.sum(1)"
    job = start(3, script, light=True)
    until_ready(job)
    began = time.monotonic()
    ended = job.wait(limit=10.0)
    print(f"MEASURED sleeping rank, limit 2 s: {time.monotonic() - began:.2f} s")
    assert ended.code != 0
    assert re.search(r"rank 2 \(.*has not moved for 2 s", ended.err), ended.err
    assert "(sum)" in ended.err  # what rank 0 waits in


@slow
def test_a_rank_that_works_is_waited_for(ranks):
    script = BEGIN + "if us.rank == 2:\n  end = time.monotonic() + 5\n"
    script += "  while time.monotonic() < end: pass\nus.sum(1)"
    ended = ranks(2, script.replace("rank == 2", "rank == 1"), light=True, limit=15.0)
    assert ended.err == ""


def test_ranks_in_different_collectives_end_the_job(ranks):
    script = BEGIN + (
        "with us.watch.waiting('exchange' if us.rank else 'merge'):\n"
        "    us.comm.recv(source=us.rank ^ 1)\n"
    )
    ended = ranks(2, script, light=True, limit=10.0, ok=False)
    assert ended.code != 0
    assert "exchange" in ended.err and "merge" in ended.err


@pytest.mark.parametrize("fake_node", ["3", pytest.param("2", marks=slow)])
def test_a_part_whose_epoch_does_not_move_ends_the_job(ranks, fake_node):
    script = BEGIN + (
        "epochs = us.shared(8 * us.local_size).view(np.int64)\n"
        "mates = [rank for rank in range(us.size) if us.node_of[rank] == us.node]\n"
        "us.watch.watch_epochs(epochs, mates)\n"
        "us.barrier()\n"
        "with us.watch.stepping():\n"
        "    for epoch in range(1, 10**9):\n"
        "        if us.rank == 1 and epoch == 300: time.sleep(60)\n"
        "        epochs[us.local_rank] = epoch\n"
        "        while epochs.min() < epoch: time.sleep(0)\n"
    )
    env = {"DISTDYN_RANKS_PER_NODE": fake_node}
    ended = ranks(3, script, light=True, limit=12.0, ok=False, env=env)
    assert ended.code != 0
    assert re.search(r"rank 1 \(.*has not moved.*in a chunk, epoch 299", ended.err), ended.err
    assert "rank 0 (" not in ended.err.split("The job ends")[0]


FIELDS = ("seed", "network", "distdyn")

# --- ranks that disagree -------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["dt", *(pytest.param(name, marks=slow) for name in FIELDS)])
def test_ranks_that_differ_are_told_in_what(ranks, field):  # D16
    script = BEGIN + (
        "held = {'seed': 1, 'dt': .1, 'network': 'a3f', 'distdyn': '0.1.0'}\n"
        f"if us.rank == 1: held[{field!r}] = 'other'\n"
        "try:\n    check_same(us, held)\n"
        "except Exception as error:\n"
        "    print(f'{type(error).__name__} {error}\\n', end='', flush=True)\n"
        "    us.leave(2, str(error))\n"
        "    sys.exit(2)\n"
    )
    ended = ranks(3, script, light=True, limit=10.0, ok=False)
    print(f"MEASURED disagreement: {ended.seconds:.2f} s")
    assert ended.code == 2
    assert ended.out.count(f'AgreementError the ranks of this job differ in "{field}"') == 3
    assert "'other' on rank 1." in ended.out and "on ranks 0, 2" in ended.out
    assert ended.err.count("differ in") == 1


# --- the launcher --------------------------------------------------------------------------------


def test_interrupt_of_mpirun_ends_all_ranks(start):  # D19
    job = start(3, BEGIN + "wait('busy')", light=True)
    pids = until_ready(job)
    os.kill(job.process.pid, signal.SIGINT)
    began = time.monotonic()
    ended = job.wait(limit=10.0)
    print(f"MEASURED Ctrl-C: {time.monotonic() - began:.2f} s, code {ended.code}")
    assert ended.code != 0
    assert_gone(pids)


def test_more_ranks_than_cores(ranks):  # D23
    n = 2 * len(os.sched_getaffinity(0)) + 1
    script = BEGIN + "for i in range(50): assert us.sum(us.rank) == us.size * (us.size - 1) // 2"
    ended = ranks(n, script, light=True, limit=30.0)
    print(f"MEASURED {n} ranks: {ended.seconds:.2f} s")
    assert ended.err == ""


WRONG = {
    "PMI_SIZE=2": {"PMI_SIZE": "2", "PMI_RANK": "0"},
    "OMPI_COMM_WORLD_SIZE=2": {"OMPI_COMM_WORLD_SIZE": "2"},
    "SLURM_STEP_NUM_TASKS=2": {
        "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_LOCALID": "1",
    },
}  # fmt: skip


@pytest.mark.parametrize("evidence", WRONG)
def test_a_launcher_that_does_not_fit_is_an_error(ranks, evidence):
    env = WRONG[evidence]
    ended = ranks(None, BEGIN, env=env, light=True, limit=10.0, ok=False)
    assert ended.code == 1
    assert "LaunchError" in ended.err and evidence in ended.err
    cure = "srun --mpi=pmix" if "SLURM" in evidence else os.path.dirname(sys.executable) + "/mpirun"
    assert cure in ended.err
    env = env | {"DISTDYN_LAUNCHER": "none"}
    assert ranks(None, BEGIN, env=env, light=True, limit=10.0).err == ""

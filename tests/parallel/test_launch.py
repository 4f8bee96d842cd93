"""How a process was launched is read from what its launcher really set; and how cores are dealt."""

import numpy as np
import pytest

from distdyn.errors import AgreementError, LaunchError, ParameterError
from distdyn.parallel.launch import World, check_same, ranks_text, world
from distdyn.parallel.launch.cores import judge, look
from distdyn.parallel.launch.detect import (
    Launch,
    detect,
    fake_node_size,
    first_host,
    misfit,
    slurm_task,
    tasks_per_node,
)  # fmt: skip

STEP = {
    "SLURM_JOB_ID": "4242",
    "SLURM_NTASKS": "6",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_TASKS_PER_NODE": "4,2",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
}


@pytest.mark.parametrize(
    "environment, launcher, size",
    [
        ({}, "none", 1),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, "none", 1),  # sbatch
        (STEP, "srun", 6),
        (STEP | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, "none", 1),
        ({"PMI_SIZE": "2", "PMI_RANK": "0"}, "mpirun", 2),
        ({"OMPI_COMM_WORLD_SIZE": "3", "PMIX_RANK": "0"}, "mpirun", 3),
        ({"OMPI_COMM_WORLD_SIZE": "1", "PMIX_RANK": "0"}, "mpirun", 1),
        ({"PMIX_RANK": "0"}, "mpirun", None),
        ({"MPI_LOCALNRANKS": "4"}, "mpirun", None),
        (STEP | {"PMI_SIZE": "8"}, "mpirun", 8),  # mpirun starts its daemons by srun
        (STEP | {"PMIX_RANK": "5"}, "srun", 6),
        (STEP | {"DISTDYN_LAUNCHER": "none"}, "none", 1),
        ({"DISTDYN_LAUNCHER": "MPI"}, "mpirun", None),
        ({"PMI_SIZE": "2", "DISTDYN_LAUNCHER": "mpi"}, "mpirun", 2),
    ],
)
def test_the_launcher_is_what_started_the_process(environment, launcher, size):
    assert detect(environment)[:2] == (launcher, size)


@pytest.mark.parametrize(
    "environment, words",
    [
        ({"DISTDYN_LAUNCHER": "slurm"}, "Use mpi or none"),
        ({"PMI_SIZE": "two"}, 'PMI_SIZE="two"'),
        ({"PMI_SIZE": "0"}, ">= 1"),
        ({"SLURM_STEP_NUM_TASKS": "2"}, "SLURM_PROCID is missing"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "SLURM_LOCALID is missing"),
        (STEP | {"SLURM_PROCID": "6"}, "SLURM_PROCID=6 is no rank of the 6"),
    ],
)
def test_variables_that_do_not_fit_are_errors(environment, words):
    with pytest.raises(LaunchError, match=words):
        detect(environment)


def test_a_task_of_slurm():
    task = slurm_task(STEP)
    assert task == (5, 6, 1, 2, 2, "node07", "4242", None)
    array = {"SLURM_ARRAY_JOB_ID": "4240", "SLURM_ARRAY_TASK_ID": "2"}
    task = slurm_task(STEP | array)
    assert task is not None and (task.job, task.array_index) == ("4240_2", 2)
    fewer = {key: value for key, value in STEP.items() if "STEP_T" not in key}
    task = slurm_task(fewer)
    assert task is not None and task.local_size is None
    assert slurm_task({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) is None


def test_lists_of_slurm():
    assert tasks_per_node("2(x3),1") == [2, 2, 2, 1]
    assert tasks_per_node("16") == [16]
    assert tasks_per_node("") == []
    names = {"n1": "n1", "gpu[003-007,9],login1": "gpu003", "a,b": "a", "r1n[2,4]-ib": "r1n2-ib"}
    assert {text: first_host(text) for text in names} == names
    assert first_host("") == ""


def test_the_misfit_names_the_cure():
    srun = misfit(Launch("srun", 6, "SLURM_STEP_NUM_TASKS=6"), 1, "MPICH 5.0", None)
    assert "6 ranks (SLURM_STEP_NUM_TASKS=6)" in str(srun) and "--mpi=pmi2" in str(srun)
    wheel = misfit(Launch("mpirun", 2, "PMI_SIZE=2"), 1, "MPICH 5.0", "/venv/bin/mpirun")
    assert "/venv/bin/mpirun -n 2" in str(wheel)
    site = misfit(Launch("mpirun", None, "PMIX_RANK=1"), 1, "MPICH 5.0", None)
    assert "the mpirun that belongs to this library (MPICH 5.0)" in str(site)


def test_fake_nodes():
    assert fake_node_size({}) is None
    assert fake_node_size({"DISTDYN_RANKS_PER_NODE": "2"}) == 2
    with pytest.raises(LaunchError, match="must be an integer >= 1"):
        fake_node_size({"DISTDYN_RANKS_PER_NODE": "0"})


# --- a world of one ------------------------------------------------------------------------------


def test_a_process_by_itself_is_a_world(monkeypatch):
    us = World()
    assert (us.rank, us.size, us.node, us.nodes, us.node_of) == (0, 1, 0, 1, (0,))
    assert us.allgather(3) == us.gather(3) == [3] and us.bcast(3) == us.sum(3) == us.max(3) == 3
    values = np.arange(3)
    assert us.sum(values).tolist() == [0, 1, 2] and us.sum(values) is not values
    memory = us.shared(100)
    assert memory.shape == (100,) and not memory.any() and memory.ctypes.data % 64 == 0
    us.barrier()
    check_same(us, {"seed": 1})
    us.agree(None)
    with pytest.raises(ParameterError, match="mine"):
        us.agree(ParameterError("mine"))
    assert us.leave(2) == 2


def test_the_world_is_found_once():
    assert world() is world() and world().size == 1


def test_the_watchdog_has_a_shortest_time():
    us = World()
    us.watch.limit = 5
    assert us.watch.limit == 5.0
    for seconds in (0.2, -1.0, float("nan")):
        with pytest.raises(ParameterError, match="Use at least 1 s"):
            us.watch.limit = seconds


def test_epochs_have_owners():
    us = World()
    with pytest.raises(ParameterError, match="2 epochs have 3 owners"):
        us.watch.watch_epochs(np.zeros(2, np.int64), [0, 0, 0])


class Ranks:
    """A world of which every rank says what it is told to say."""

    def __init__(self, *values):
        self.values = list(values)

    def allgather(self, value):
        return self.values


def test_ranks_that_differ_are_named():
    us = Ranks({"dt": 0.1, "seed": 1}, {"dt": 0.1, "seed": 2}, {"dt": 0.1, "seed": 1}, {"dt": 0.1})
    with pytest.raises(AgreementError, match='"seed": 1 on ranks 0, 2, 2 on rank 1, nothing on'):
        check_same(us, {})
    check_same(Ranks({"dt": 0.1}, {"dt": 0.1}), {})


def test_ranks_as_text():
    assert ranks_text([3]) == "rank 3"
    assert ranks_text([0, 1, 2, 5, 7, 8]) == "ranks 0-2, 5, 7-8"


# --- cores ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "masks, present, per_rank, text, warning",
    [
        ([{0, 1, 2}], 4, 3, "3 cores", ""),
        ([{0, 1}, {2, 3}], 4, 2, "2 cores per rank, disjoint", ""),
        ([{0}, {1}], 2, 1, "1 core per rank, disjoint", ""),
        ([{0}, {1}], 8, 1, "1 core per rank, disjoint", "6 of the host's 8 cores have no rank"),
        ([{0, 1, 2, 3}] * 2, 4, 2, "4 cores for 2 ranks, not bound", "share cores 0-3"),
        ([{0, 1}] * 3, 2, 1, "3 ranks on 2 cores", "take turns on 2 cores"),
    ],
)
def test_how_cores_are_dealt(masks, present, per_rank, text, warning):
    cores = judge("h", [(rank, mask, present) for rank, mask in enumerate(masks)])
    assert (cores.per_rank, cores.text) == (per_rank, text)
    assert len(cores.warnings) == bool(warning)
    assert not warning or (warning in cores.warnings[0] and " of h " in cores.warnings[0])


def test_the_poorest_host_decides():
    said = [
        (0, "a", [0, 1], 4), (0, "a", [2, 3], 4), (2, "b", [0], 4), (2, "b", [1], 4),
    ]  # fmt: skip
    us = Ranks(*said)
    us.host, us.hostname = 0, "a"
    cores = look(us)
    assert cores.per_rank == 1 and len(cores.warnings) == 1
    assert cores.warnings[0].startswith("ranks 2-3 of b have one core each")

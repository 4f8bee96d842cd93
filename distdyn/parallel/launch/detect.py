"""How this process was launched, read from what its launcher left in the environment.

    alone             plain `python`, a notebook, one task
    mpirun, srun      several ranks: each is told how many

Only what a launcher gives to each process it starts is believed. `SLURM_NTASKS` is not: every shell
inside an allocation has it, though nothing was started there.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from distdyn.errors import LaunchError
from distdyn.units import shown

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PALS_SIZE")  # Open MPI, MPICH and its kin, Cray
SIGNS = ("PMIX_RANK", "PMI_RANK", "MPI_LOCALNRANKS")  # of a launcher that tells no size


class Launch(NamedTuple):
    """What started this process."""

    launcher: str  # "none", "mpirun" or "srun"
    size: int | None  # how many ranks it says there are; None: it does not say
    evidence: str = ""  # the variable that tells it


def detect(environment: Mapping[str, str]) -> Launch:
    """Find the launcher: `DISTDYN_LAUNCHER`, mpirun's variables, or those of an srun step."""
    wish = environment.get("DISTDYN_LAUNCHER", "").lower()
    if wish not in ("", "mpi", "none"):
        raise LaunchError(f"DISTDYN_LAUNCHER={shown(wish)} is unknown. Use mpi or none.")
    if wish == "none":
        return Launch("none", 1, "DISTDYN_LAUNCHER=none")
    # mpirun inside an allocation starts its daemons by srun, so its ranks see srun's variables too.
    for name in SIZES:
        if name in environment:
            return Launch("mpirun", _number(environment, name, 1), f"{name}={environment[name]}")
    task = slurm_task(environment)
    if task is not None and task.size > 1:
        return Launch("srun", task.size, f"SLURM_STEP_NUM_TASKS={task.size}")
    for name in SIGNS:
        if name in environment and task is None:
            return Launch("mpirun", None, f"{name}={environment[name]}")
    return Launch("mpirun", None, "DISTDYN_LAUNCHER=mpi") if wish else Launch("none", 1)


class Task(NamedTuple):
    """One task of an srun step, as Slurm describes it to that task."""

    rank: int
    size: int
    local_rank: int
    local_size: int | None  # tasks on this node; None: Slurm did not say
    nodes: int
    first_host: str
    job: str  # 4242; of an array 4242_7
    array_index: int | None


def slurm_task(environment: Mapping[str, str]) -> Task | None:
    """The srun task that this process is; None outside of an srun step.

    Raises:
        LaunchError: variables that contradict each other or are missing.
    """
    if "SLURM_STEP_NUM_TASKS" not in environment:
        return None
    size = _number(environment, "SLURM_STEP_NUM_TASKS", 1)
    rank = _number(environment, "SLURM_PROCID", 0)
    if rank >= size:
        raise LaunchError(
            f"SLURM_PROCID={rank} is no rank of the {size} of SLURM_STEP_NUM_TASKS. Start the "
            "ranks with srun and leave its variables as they are."
        )
    node = _number(environment, "SLURM_NODEID", 0) if "SLURM_NODEID" in environment else 0
    per_node = tasks_per_node(environment.get("SLURM_STEP_TASKS_PER_NODE", ""))
    array = environment.get("SLURM_ARRAY_JOB_ID")
    index = environment.get("SLURM_ARRAY_TASK_ID")
    return Task(
        rank=rank,
        size=size,
        local_rank=_number(environment, "SLURM_LOCALID", 0),
        local_size=per_node[node] if node < len(per_node) else None,
        nodes=int(environment.get("SLURM_STEP_NUM_NODES", "1")),
        first_host=first_host(environment.get("SLURM_STEP_NODELIST", "")),
        job=f"{array}_{index}" if array and index else environment.get("SLURM_JOB_ID", ""),
        array_index=int(index) if index else None,
    )


def tasks_per_node(text: str) -> list[int]:
    """`"2(x3),1"`, Slurm's way to say 2, 2, 2, 1."""
    counts: list[int] = []
    for number, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        counts += [int(number)] * int(times or 1)
    return counts


def first_host(nodes: str) -> str:
    """The first of a list of hosts: `"gpu[003-007,9],login1"` is `"gpu003"`."""
    match = re.match(r"([^,\[]+)(?:\[(\d+)[^\]]*\]([^,]*))?", nodes)
    return "".join(part or "" for part in match.groups()) if match else ""


def fake_node_size(environment: Mapping[str, str]) -> int | None:
    """`DISTDYN_RANKS_PER_NODE`: one machine plays several nodes of so many ranks, for tests."""
    if not environment.get("DISTDYN_RANKS_PER_NODE"):
        return None
    return _number(environment, "DISTDYN_RANKS_PER_NODE", 1)


def misfit(launch: Launch, size: int, library: str, mpirun: str | None) -> LaunchError:
    """The error of a rank whose MPI library sees another number of ranks than its launcher."""
    told = f"{launch.size} ranks" if launch.size else "that this is one rank of several"
    count = launch.size or "N"
    if launch.launcher == "srun":
        cure = (
            "Use srun --mpi=pmix (Open MPI, new MPICH) or srun --mpi=pmi2 (MPICH, Intel MPI); "
            f"srun --mpi=list shows what this Slurm has. Or {mpirun or 'mpirun'} -n {count} ..."
        )
    elif mpirun:
        cure = f"Use the mpirun of this environment: {mpirun} -n {count} ..."
    else:
        cure = f"Use the mpirun that belongs to this library ({library})."
    return LaunchError(
        f"the launcher says {told} ({launch.evidence}), but the MPI library of this Python, "
        f"{library}, sees {size}: each process would run everything by itself. {cure} "
        "DISTDYN_LAUNCHER=none runs them as they are, each alone."
    )


def _number(environment: Mapping[str, str], name: str, least: int) -> int:
    text = environment.get(name)
    if text is None:
        raise LaunchError(
            f"{name} is missing, though SLURM_STEP_NUM_TASKS is set: this environment was not "
            "made by srun alone. Start the ranks with srun, or set DISTDYN_LAUNCHER=none."
        )
    if not text.isdigit() or int(text) < least:
        raise LaunchError(f"{name}={shown(text)} must be an integer >= {least}.")
    return int(text)

"""One JAX over several processes, for GPUs of several nodes.

Nothing is left to JAX's own detection: every argument is given. Before JAX starts, the processes
meet at the coordinator's address by themselves: JAX ends a process without a Python error when one
is missing, we raise one that names the address and who is missing.
"""

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import jax

from distdyn.errors import LaunchError
from distdyn.parallel.launch import World, ranks_text
from distdyn.parallel.launch.detect import Task, slurm_task

LOOPBACK = "127.0.0.1"
TIMEOUT = 60.0  # s in which all processes must have come
HEARTBEAT = 60  # s after which JAX takes a silent process for dead
FIRST_PORT, PORTS = 20000, 10000  # below the ports that systems give away by themselves


class Meeting(NamedTuple):
    """Where the processes meet, and which one this is."""

    address: str  # host:port of process 0
    size: int
    index: int


def start_distributed(
    meeting: Meeting | None = None,
    *,
    us: World | None = None,
    local_device_ids: Sequence[int] | None = None,
    timeout: float = TIMEOUT,
) -> None:
    """Start `jax.distributed`. Collective.

    Args:
        meeting: where; without it rank 0 of the world chooses, or Slurm's variables do.
        us: the ranks, if MPI has started them.
        local_device_ids: GPUs of this process; all that it sees by default.
        timeout: s until an error says who is missing.

    Raises:
        LaunchError: the port is in use, the coordinator cannot be reached, a process is missing.
    """
    if meeting is None:
        meeting = (
            choose_meeting(us) if us is not None and us.size > 1 else slurm_meeting(os.environ)
        )
    end = time.monotonic() + timeout
    if meeting.index == 0:
        _gather(meeting, end)
    else:
        _come(meeting, end)
    jax.config.update("jax_enable_preemption_service", False)  # it would take SIGTERM for itself
    try:
        jax.distributed.initialize(
            meeting.address,
            meeting.size,
            meeting.index,
            coordinator_bind_address=meeting.address if _is_local(meeting) else None,
            local_device_ids=local_device_ids,
            cluster_detection_method="deactivate",
            initialization_timeout=max(1, round(timeout)),
            heartbeat_timeout_seconds=HEARTBEAT,
        )
    except RuntimeError as error:
        raise LaunchError(
            f"process {meeting.index} of {meeting.size}: jax.distributed does not start at "
            f"{meeting.address}: {str(error).splitlines()[0]}"
        ) from error


def spans(us: World, platform: str | None, *, share_gpu: bool = False) -> bool:
    """Whether one program is to span all ranks, and if so start JAX for it. Collective.

    On GPU it does: collectives of the mesh exchange spikes between nodes too. On CPU ranks are
    independent, which is faster; DISTDYN_COLLECTIVES=1 asks for the road of the GPUs. Ranks that
    share a GPU are independent too, and exchange by messages: NCCL, which does JAX's collectives,
    takes a GPU only once.
    """
    is_asked = platform == "gpu" or os.environ.get("DISTDYN_COLLECTIVES") == "1"
    if us.size == 1 or share_gpu or not is_asked:
        return False
    start(us)
    return True


def start(us: World) -> None:
    """Start JAX for one program that spans all ranks, if it is not. Collective."""
    if not jax.distributed.is_initialized():
        start_distributed(us=us)


def everywhere(devices: Sequence[Any]) -> list[Any]:
    """The devices of all processes that are of the kind of these, process after process.

    As many of each process as of ours; `local_devices` has seen to it that all have as many.
    """
    kind, n = devices[0].platform, len(devices)
    by_process: dict[int, list[Any]] = {}
    for device in sorted(jax.devices(kind), key=lambda device: device.id):
        by_process.setdefault(device.process_index, []).append(device)
    return [device for process in sorted(by_process) for device in by_process[process][:n]]


def choose_meeting(us: World) -> Meeting:
    """A free port of rank 0's host. Collective."""
    hosts = us.allgather(us.host)
    address = None
    if us.rank == 0:
        with socket.socket() as probe:
            probe.bind(("", 0))
            port = probe.getsockname()[1]
        # On one machine the loopback: its name need not lead anywhere.
        name = LOOPBACK if len(set(hosts)) == 1 else us.hostname
        address = f"{name}:{port}"
    return Meeting(us.bcast(address), us.size, us.rank)


def slurm_meeting(environment: Mapping[str, str]) -> Meeting:
    """The meeting of the tasks of an srun step, which need no MPI: each knows the same address."""
    task: Task | None = slurm_task(environment)
    if task is None or task.size == 1:
        raise LaunchError(
            "several processes are needed to start jax.distributed, this is one by itself. Start "
            "them with srun or mpirun."
        )
    job = int("".join(filter(str.isdigit, environment.get("SLURM_JOB_ID", ""))) or 0)
    return Meeting(f"{task.first_host}:{FIRST_PORT + job % PORTS}", task.size, task.rank)


def _is_local(meeting: Meeting) -> bool:
    """Whether nobody outside of this machine is to come: then nobody can."""
    return meeting.address.rpartition(":")[0] == LOOPBACK


def _gather(meeting: Meeting, end: float) -> None:
    """Process 0: wait until every other one has knocked, then answer them all."""
    port = int(meeting.address.rpartition(":")[2])
    missing = set(range(1, meeting.size))
    with ExitStack() as stack:
        door = stack.enter_context(socket.socket())
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((LOOPBACK if _is_local(meeting) else "", port))
            door.listen(meeting.size)
        except OSError as error:
            raise LaunchError(
                f"process 0 cannot listen at {meeting.address} ({error.strerror}): is another job "
                "using this port? Choose another one."
            ) from error
        guests: list[socket.socket] = []
        while missing:
            door.settimeout(max(0.01, end - time.monotonic()))
            try:
                guest = stack.enter_context(door.accept()[0])
                guest.settimeout(2.0)
                index = guest.recv(16)
            except OSError:
                if time.monotonic() >= end:
                    raise LaunchError(
                        f"of {meeting.size} processes {ranks_text(sorted(missing))} did not come "
                        f"to {meeting.address} in time. Is every process started, and may nodes "
                        "open connections to each other?"
                    ) from None
                continue
            if index.isdigit():
                missing.discard(int(index))
                guests.append(guest)
        for guest in guests:
            guest.sendall(b"go")
        for guest in guests:  # they hang up first: the port is free again at once
            try:
                guest.recv(1)
            except OSError:
                pass


def _come(meeting: Meeting, end: float) -> None:
    """Another process: knock until process 0 answers."""
    host, _, port = meeting.address.rpartition(":")
    reason = "no answer"
    while (left := end - time.monotonic()) > 0:
        try:
            with socket.create_connection((host, int(port)), timeout=left) as knock:
                knock.sendall(str(meeting.index).encode())
                knock.settimeout(max(0.01, end - time.monotonic()))
                if knock.recv(2) == b"go":
                    return
                reason = "it closed the connection"
        except OSError as error:
            reason = error.strerror or "no answer"
        time.sleep(0.05)
    raise LaunchError(
        f"process {meeting.index} of {meeting.size} cannot reach process 0 at {meeting.address} "
        f"({reason}). Is process 0 started, and may nodes open connections to each other?"
    )

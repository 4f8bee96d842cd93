"""World: who runs this program with us, and what we do together.

    us = world()              # at first use it finds out how we were launched, and starts MPI
    us.rank, us.size, us.node, us.local_rank
    us.allgather(x); us.sum(x); us.shared(nbytes)

A process that was started alone is a world of one, without MPI. All collectives are called by all
ranks in the same order; who waits in one is seen by `watch`.
"""

import os
import socket
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from distdyn.errors import AgreementError, LaunchError, PlatformError
from distdyn.parallel.launch import sentry
from distdyn.parallel.launch.detect import Launch, detect, fake_node_size, misfit
from distdyn.parallel.launch.held import hold_neighbour
from distdyn.parallel.launch.leave import Leave
from distdyn.parallel.launch.team import Team, place_in
from distdyn.parallel.launch.watch import Watch

ALIGNMENT = 64  # bytes: a cache line


class World(Team):
    """The ranks of a job, and the nodes they are on.

    Args:
        comm: a duplicate of COMM_WORLD; None for a process by itself.
        fake_node: play nodes of so many ranks; None for the real ones.
    """

    def __init__(self, comm: Any = None, *, fake_node: int | None = None) -> None:
        rank, _ = place_in(comm)
        self.hostname = socket.gethostname()
        self.host_comm = _split(comm)  # ranks that really share memory, whatever a node is
        self.host_rank, self.host_size = place_in(self.host_comm)
        self.host = self.host_comm.bcast(rank) if comm else 0  # its first rank
        self.node_comm = self.host_comm
        if comm and fake_node:
            self.node_comm = self.host_comm.Split(self.host_rank // fake_node, self.host_rank)
        self.local_rank, self.local_size = place_in(self.node_comm)
        first = self.node_comm.bcast(rank) if comm else 0
        firsts = comm.allgather(first) if comm else [0]
        numbers = {first: node for node, first in enumerate(sorted(set(firsts)))}
        self.node_of = tuple(numbers[first] for first in firsts)
        self.node, self.nodes = self.node_of[rank], len(numbers)
        self._windows: list[Any] = []  # as long as we live: their memory is in use
        peers = self.host_comm.allgather(rank) if comm else [0]
        memory = _memory(self.host_comm, Watch.nbytes(len(peers)), self._windows)
        super().__init__(comm, Watch(rank, _abort(comm), memory, peers, self.hostname))
        self.leave = Leave(self.watch, comm.Dup() if comm else None)

    def __repr__(self) -> str:
        return f"rank {self.rank} of {self.size} on node {self.node} of {self.nodes}"

    # --- what the ranks of a node do together ----------------------------------------------------

    def node_barrier(self) -> None:
        """Wait for the ranks of our node; those of others need not come."""
        if self.local_size > 1:
            with self.watch.waiting("barrier of the node"):
                self.node_comm.Barrier()

    def shared(self, nbytes: int) -> np.ndarray:
        """`uint8[nbytes]`, zeroed: the same memory on all ranks of the node. Collective.

        It lives as long as the world; pages that nobody touches take no memory.
        """
        with self.watch.waiting("shared memory"):
            self._has_room(nbytes)
            return _memory(self.node_comm, nbytes, self._windows)

    def _has_room(self, nbytes: int) -> None:
        """Raise on all ranks if the memory file system is too small: MPI would die of it later."""
        if self.local_size == 1 or not os.path.isdir("/dev/shm"):
            return
        free = os.statvfs("/dev/shm")
        available = self.node_comm.bcast(free.f_bavail * free.f_frsize)
        if max(self.node_comm.allgather(nbytes)) > available:
            raise PlatformError(
                f"{nbytes / 2**20:.0f} MiB of memory shared by the ranks of a node were asked for, "
                f"/dev/shm has {available / 2**20:.0f} left. In a container give it more, e.g. "
                "docker run --shm-size=8g; else use fewer ranks per node and more --devices."
            )


@cache
def world() -> World:
    """The ranks that run this program. Collective at its first use.

    Raises:
        LaunchError: launcher and MPI library do not fit.
    """
    launch = detect(os.environ)
    if launch.size == 1:
        return World()
    comm = _start(launch)
    if comm.size == 1:
        return World()
    us = World(comm, fake_node=fake_node_size(os.environ))
    hold_neighbour(us.host_comm, os.environ)
    us.barrier()  # every rank's line is written when the first one looks at it
    sentry.post(us.watch)
    us.leave.install()
    return us


def _start(launch: Launch) -> Any:
    """Start MPI; its communicator, which is ours alone."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise LaunchError(
            f"several ranks were started ({launch.evidence}), but there is no MPI library that "
            f"mpi4py can load ({error}). Use pip install mpich, or the modules of your cluster."
        ) from error
    size = MPI.COMM_WORLD.size
    is_alone = launch.size is None and size == 1 and os.environ.get("PMIX_RANK", "0") != "0"
    if is_alone or launch.size not in (None, size):
        library = MPI.Get_library_version().split("\n")[0].strip(" \0,")
        library = " ".join(library.replace("\t", " ").split()[:4]).rstrip(",")
        raise misfit(launch, size, library, own_mpirun())
    return MPI.COMM_WORLD.Dup()


def own_mpirun() -> str | None:
    """The mpirun beside this Python: that of an MPI wheel in the same environment."""
    path = Path(sys.executable).with_name("mpirun")
    return str(path) if path.exists() else None


def check_same(us: World, values: Mapping[str, Any]) -> None:
    """Make sure that all ranks hold the same values under the same names. Collective.

    Raises:
        AgreementError: on all ranks, with the first name under which they differ.
    """
    held = us.allgather(dict(values))
    for name in dict.fromkeys(name for each in held for name in each):
        ranks: dict[str, list[int]] = {}
        for rank, each in enumerate(held):
            ranks.setdefault(repr(each[name]) if name in each else "nothing", []).append(rank)
        if len(ranks) > 1:
            found = ", ".join(f"{value} on {ranks_text(who)}" for value, who in ranks.items())
            raise AgreementError(
                f'the ranks of this job differ in "{name}": {found}. Start all of them with the '
                "same script, arguments, environment and version."
            )


def ranks_text(ranks: list[int]) -> str:
    """`rank 3`, `ranks 0-2, 5`; the ranks are sorted."""
    runs: list[list[int]] = []
    for rank in ranks:
        if runs and runs[-1][1] == rank - 1:
            runs[-1][1] = rank
        else:
            runs.append([rank, rank])
    text = ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in runs)
    return f"rank{'s' * (len(ranks) > 1)} {text}"


def _split(comm: Any) -> Any:
    if comm is None:
        return None
    from mpi4py import MPI

    return comm.Split_type(MPI.COMM_TYPE_SHARED, comm.rank)


def _abort(comm: Any) -> Callable[[int], Any] | None:
    """What ends all ranks. Of MPICH's communicators only this one tells the launcher."""
    if comm is None:
        return None
    from mpi4py import MPI

    return MPI.COMM_WORLD.Abort


def _memory(comm: Any, nbytes: int, windows: list[Any]) -> np.ndarray:
    """Zeroed bytes at a multiple of ALIGNMENT, the same on all ranks of `comm`. Collective."""
    room = nbytes + ALIGNMENT
    if comm is None or comm.size == 1:
        bytes = np.zeros(room, np.uint8)  # from calloc: lazily committed as well
    else:
        from mpi4py import MPI

        # One rank owns it all, so that it is one piece; the operating system gives zeros.
        window = MPI.Win.Allocate_shared(room if comm.rank == 0 else 0, 1, comm=comm)
        windows.append(window)
        memory: Any = window.Shared_query(0)[0]
        bytes = np.frombuffer(memory, np.uint8)
        comm.Barrier()
    # Every rank has its own address for it, but pages begin at multiples of far more than 64.
    begin = -bytes.ctypes.data % ALIGNMENT
    return bytes[begin : begin + nbytes]

"""Team: ranks that do something together: all of a job, or some of them.

    us = world()                         # the team of all
    mine = us.split(us.rank // 4)        # those that give the same number; collective
    mine.rank, mine.size
    mine.allgather(x); mine.sum(x)

All collectives are called by all ranks of a team in the same order; who waits in one is seen by
`watch`.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from distdyn.errors import DistDynError, LaunchError
from distdyn.ops.ranks import Line
from distdyn.parallel.launch.leave import mark_echo
from distdyn.parallel.launch.watch import Watch


class Team:
    """Some ranks, and their collectives.

    Args:
        comm: their communicator; None for a rank by itself.
        watch: that of the job.

    Attributes:
        rank: ours among them.
        size: how many they are.
    """

    def __init__(self, comm: Any, watch: Watch) -> None:
        self.comm, self.watch = comm, watch
        self.rank, self.size = place_in(comm)
        self._lines: dict[int, tuple[Line, np.ndarray]] = {}

    def split(self, number: int) -> "Team":
        """The ranks of this team that give the same number, in the same order. Collective."""
        if not self.comm:
            return self
        with self.watch.waiting("split"):
            return Team(self.comm.Split(number, self.rank), self.watch)

    def line(self, devices: int) -> Line:
        """The way on which programs of so many devices of each rank send.

        It is made once: the first call is collective.

        Raises:
            LaunchError: this MPI cannot be called from the threads of a program.
        """
        if devices in self._lines:
            return self._lines[devices][0]
        from mpi4py import MPI

        gather, swap = (_address(name) for name in ("MPI_Allgather", "MPI_Alltoall"))
        if gather is None or swap is None or MPI.Query_thread() < MPI.THREAD_MULTIPLE:
            raise LaunchError(
                "ranks cannot share the neurons of one network by this MPI library: programs call "
                "it from threads of their own (MPI_THREAD_MULTIPLE), which it does not allow, or "
                "its functions are not found. Set DISTDYN_COLLECTIVES=1, or use another library."
            )
        with self.watch.waiting("communicators"):
            comms = [self.comm.Dup() for _ in range(devices)]
        for comm in comms:
            comm.Set_errhandler(MPI.ERRORS_ARE_FATAL)  # machine code raises nothing
        handles = tuple(_handle(comm) for comm in comms)
        clocks = np.zeros((devices, 2), np.int64)
        line = Line(
            self.size, self.rank, gather, swap, _handle(MPI.BYTE), handles, clocks.ctypes.data
        )
        self._lines[devices] = line, clocks  # the memory lives as long as the team
        return line

    def exchanged(self) -> tuple[float, int]:
        """The seconds that a device of this rank has spent in programs' exchanges; how many.

        The most of its devices. Waiting for the others is part of it.
        """
        clocks = [of for _, of in self._lines.values()] or [np.zeros((1, 2), np.int64)]
        most = np.max([of.max(axis=0) for of in clocks], axis=0)
        return float(most[0]) / 1e9, int(most[1])

    def allgather(self, value: Any) -> list[Any]:
        """The values of all ranks, by rank. Collective."""
        return self._do("allgather", value, lambda: [value])

    def gather(self, value: Any) -> list[Any] | None:
        """The values of all ranks on rank 0, None elsewhere. Collective."""
        return self._do("gather", value, lambda: [value])

    def bcast(self, value: Any) -> Any:
        """The value of rank 0. Collective."""
        return self._do("bcast", value, lambda: value)

    def sum(self, value: Any) -> Any:
        """The sum over ranks of a number or, elementwise, of an array. Collective."""
        return self._reduce("sum", value)

    def max(self, value: Any) -> Any:
        """The largest over ranks, as `sum`. Collective."""
        return self._reduce("max", value)

    def min(self, value: Any) -> Any:
        """The smallest over ranks, as `sum`. Collective."""
        return self._reduce("min", value)

    def barrier(self) -> None:
        """Wait for all ranks. Collective."""
        if self.comm:
            with self.watch.waiting("barrier"):
                self.comm.Barrier()

    def _do(self, name: str, value: Any, alone: Callable[[], Any]) -> Any:
        if not self.comm:
            return alone()
        with self.watch.waiting(name):
            return getattr(self.comm, name)(value)

    def _reduce(self, name: str, value: Any) -> Any:
        if not self.comm:
            return value.copy() if isinstance(value, np.ndarray) else value
        from mpi4py import MPI

        with self.watch.waiting(name):
            if not isinstance(value, np.ndarray):
                # mpi4py's own `allreduce` holds Python's lock while it waits: no heartbeat.
                fold = {"sum": sum, "max": max, "min": min}[name]
                return fold(self.comm.allgather(value))
            operation = {"sum": MPI.SUM, "max": MPI.MAX, "min": MPI.MIN}[name]
            result = np.empty_like(value, order="C")
            self.comm.Allreduce(np.ascontiguousarray(value), result, op=operation)
            return result

    def agree(self, error: BaseException | None) -> None:
        """Raise on every rank if one of them brings an error. Collective.

        The ranks that bring one raise their own; the others one of the type and message of the
        lowest rank that does.
        """
        words = None if error is None else (_public(type(error)), str(error))
        found = [(rank, each) for rank, each in enumerate(self.allgather(words)) if each]
        if error is not None:
            raise error
        if found:
            rank, (kind, message) = found[0]
            raise _echo(kind, message, rank)


def place_in(comm: Any) -> tuple[int, int]:
    """Our rank in a communicator, and its size; of None those of a rank by itself."""
    return (comm.rank, comm.size) if comm else (0, 1)


def _address(name: str) -> int | None:
    """Where a function of the MPI library is; None: there is none of this name."""
    from mpi4py import MPI

    library = ctypes.CDLL(MPI.__file__)  # and all that it is linked to
    function = getattr(library, name, None)
    return None if function is None else ctypes.cast(function, ctypes.c_void_p).value


def _handle(of: Any) -> int:
    """The C handle of one of mpi4py's objects, as a number."""
    from mpi4py import MPI

    kind = ctypes.c_int32 if MPI._sizeof(of) == 4 else ctypes.c_int64
    return kind.from_address(MPI._addressof(of)).value


def _public(kind: type[BaseException]) -> type[BaseException]:
    """The class itself if the other ranks can name it too."""
    return kind if issubclass(kind, DistDynError) or kind.__module__ == "builtins" else DistDynError


def _echo(kind: type[BaseException], message: str, rank: int) -> BaseException:
    try:
        error = kind(message)
    except TypeError:  # a class that is made of more than a message
        error = DistDynError(message)
    return mark_echo(error, rank)

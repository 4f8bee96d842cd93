"""Lists of spikes between ranks of different nodes: MPI messages of any length, none dropped.

Once per chunk every rank sends each of its neighbours a list of int32 and receives one from each.
How long a list is stands in its first message, behind whose `HEADER` there is room for `capacity`
values and which is sent only as long as it is filled. What does not fit follows in a second one,
for which the reader makes room when it has read the header; both then grow that line.

For a line from S to R, in exchange k:

    R posts first(k), S posts first(k) and rest(k)  precede  R, S wait for any message
    first(k) arrives                                precedes R posts rest(k)
    first messages of k are complete                precedes R, S wait for any rest
    R posts first(k)                                precedes S ends k, if R sends nothing to S

No circle of waiting can close: what a first message waits for is posted before all waiting, what a
rest waits for after first messages only. By the last line nobody floods a slow reader.
"""

import struct
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from distdyn.errors import ExchangeError, ParameterError
from distdyn.parallel.exchange.waiting import OnWait, ranks_text, wait

# Exchange, values of the list, values in this message, whether the list is refused, flags.
HEADER = struct.Struct("=qqq?7xq")
HEAD = HEADER.size // 4  # in int32
FIRST, REST, BITS = 1, 2, 3  # tags
MOST = 2**31 - 1  # values; what one MPI message can count
PIECE = 2**30  # bytes of one message of bits
INT32 = np.dtype(np.int32)
NOTHING = np.zeros(0, np.int32)


class Growth(NamedTuple):
    """A line that was too short in an exchange, and what it was made."""

    exchange: int
    source: int  # rank
    target: int  # rank
    old: int  # capacity
    new: int


class _Line:
    """One direction between us and a neighbour."""

    def __init__(self, source: int, target: int, capacity: int, post: Any, n_buffers: int):
        self.source, self.target = source, target
        self.post = post  # how its first message is sent or received
        self.total = 0  # values of its list in this exchange
        self.is_refused = False  # the list is too long to be sent
        self.count = 0  # values that went, in all exchanges
        self.make_room(capacity, n_buffers)

    def make_room(self, capacity: int, n_buffers: int) -> None:
        # Kept from one exchange to the next: to allocate 64 KB anew costs as much as to send them.
        self.capacity = capacity
        self.buffers = [np.zeros(HEAD + capacity, np.int32) for _ in range(n_buffers)]
        self.message = self.buffers[0]  # the first message of this exchange


class Messages:
    """Lists of int32 between neighbouring ranks, once per chunk.

    `swap` is collective over the neighbours only; the k-th calls of all ranks belong together.
    `start` and `finish` are its two halves, between which one may compute. One that has raised an
    error is of no further use.

    Args:
        comm: communicator of mpi4py; None where there is only one rank.
        send_to: ranks that get a list from us.
        receive_from: ranks that send us one: those that have us in their `send_to`.
        capacity: values for which the first message has room; the same on all ranks.
        most: longest list allowed, a longer one is an error on both sides; the same on all ranks.
        timeout: how long to wait for a neighbour (s).
        on_wait: called now and then while waiting, with the seconds waited; may raise.

    Attributes:
        exchanges: how many are complete.
        flags: the largest of the flags that came with the last exchange.
        seconds: spent in `finish` (waiting and copying).
        growth: the lines that were too short, in order.
    """

    def __init__(
        self,
        comm: Any,
        send_to: Sequence[int],
        receive_from: Sequence[int],
        *,
        capacity: int = 1024,
        most: int | None = None,
        timeout: float = 60.0,
        on_wait: OnWait | None = None,
    ):
        self.most = MOST if most is None else min(int(most), MOST)
        if not 1 <= capacity <= self.most:
            raise ParameterError(
                f"messages: capacity {capacity} is not between 1 and most = {self.most}."
            )
        self.rank = _check_peers(comm, send_to, "send_to")
        _check_peers(comm, receive_from, "receive_from")
        self._comm, self.timeout, self._on_wait = comm, timeout, on_wait
        self._incoming = {
            int(r): _Line(int(r), self.rank, capacity, comm.Irecv, 2) for r in receive_from
        }
        # A rank that also hears from its reader is never more than one exchange ahead of it. One
        # that does not waits until it is read, or its messages would fill the reader's memory.
        self._outgoing = {
            int(r): _Line(
                self.rank, int(r), capacity, comm.Isend if r in self._incoming else comm.Issend, 1
            )
            for r in send_to
        }
        self._is_started = False
        self._requests: list[Any] = []  # first messages: those to us, then ours
        self._rests: dict[int, Any] = {}  # what did not fit into ours
        self.exchanges = 0
        self.flags = 0
        self.seconds = 0.0
        self.growth: list[Growth] = []

    @property
    def spikes_sent(self) -> int:
        """Values that went out, in all exchanges."""
        return sum(line.count for line in self._outgoing.values())

    @property
    def spikes_received(self) -> int:
        """Values that came in, in all exchanges."""
        return sum(line.count for line in self._incoming.values())

    def swap(self, outgoing: Mapping[int, np.ndarray], flags: int = 0) -> dict[int, np.ndarray]:
        """Send a list to each neighbour and receive theirs. Collective over the neighbours.

        Args:
            outgoing: lists of int32 by rank; a rank that is left out gets an empty one.
            flags: a number; each rank sees the largest of its neighbours' in its `flags`.

        Returns:
            The lists from all ranks of `receive_from`, in that order. They may lie in our buffers:
            the next exchange leaves them alone, the `start` of the one after overwrites them.

        Raises:
            ExchangeError: a neighbour did not answer in time or is at another exchange, or a list
                is longer than `most`.
        """
        self.start(outgoing, flags)
        return self.finish()

    def start(self, outgoing: Mapping[int, np.ndarray], flags: int = 0) -> None:
        """Post an exchange, see `swap`. The arrays may be changed as soon as this returns."""
        if self._is_started:
            raise ExchangeError(
                f"exchange {self.exchanges}: started, but not finished. Call finish before start."
            )
        self._check_outgoing(outgoing)
        self._is_started = True
        self._requests = []
        for peer, line in self._incoming.items():
            line.message = line.buffers[self.exchanges % 2]
            self._requests.append(line.post(line.message, peer, FIRST))
        for peer, line in self._outgoing.items():
            self._requests.append(self._send(line, outgoing.get(peer, NOTHING), flags))

    def finish(self) -> dict[int, np.ndarray]:
        """Wait for the exchange that was started, and return what came, see `swap`."""
        if not self._is_started:
            raise ExchangeError(f"exchange {self.exchanges}: not started. Call start first.")
        begin = time.perf_counter()
        self._wait(self._requests, [*self._incoming], [*self._outgoing])
        lists, rests = {}, {}
        self.flags = 0
        for peer, line in self._incoming.items():
            lists[peer], rest = self._read(line)
            if len(rest):
                rests[peer] = self._comm.Irecv(rest, peer, REST)
        if rests or self._rests:
            self._wait([*rests.values(), *self._rests.values()], [*rests], [*self._rests])
        self._close()
        self.seconds += time.perf_counter() - begin
        return lists

    def _check_outgoing(self, outgoing: Mapping[int, np.ndarray]) -> None:
        if not outgoing.keys() <= self._outgoing.keys():
            raise ParameterError(
                f"exchange {self.exchanges}: lists for ranks {sorted(outgoing)}, but rank"
                f" {self.rank} sends to {[*self._outgoing]} only. Name every reader in send_to."
            )
        for peer, values in outgoing.items():
            if values.dtype != INT32 or values.ndim != 1:
                raise ParameterError(
                    f"exchange {self.exchanges}: the list for rank {peer} has dtype {values.dtype}"
                    f" and shape {values.shape}. Give one axis of int32."
                )

    def _send(self, line: _Line, values: np.ndarray, flags: int) -> Any:
        """Post the messages of one list; returns the request of the first."""
        line.total = total = len(values)
        line.is_refused = total > self.most
        here = 0 if line.is_refused else min(total, line.capacity)
        message = line.message[: HEAD + here]
        HEADER.pack_into(message.data, 0, self.exchanges, total, here, line.is_refused, flags)
        message[HEAD:] = values[:here]
        if here < total and not line.is_refused:
            self._rests[line.target] = self._comm.Isend(values[here:].copy(), line.target, REST)
        return line.post(message, line.target, FIRST)

    def _read(self, line: _Line) -> tuple[np.ndarray, np.ndarray]:
        """The list that a first message announces, and the part of it that is still to come."""
        exchange, line.total, here, line.is_refused, flags = HEADER.unpack_from(line.message.data)
        if exchange != self.exchanges:
            raise ExchangeError(
                f"exchange {self.exchanges} of rank {self.rank}: rank {line.source} is at its"
                f" exchange {exchange}. All ranks must exchange equally often: start them with the"
                " same arguments."
            )
        self.flags = max(self.flags, flags)
        values = line.message[HEAD : HEAD + here]
        if here == line.total or line.is_refused:
            return values, NOTHING
        whole = np.empty(line.total, np.int32)
        whole[:here] = values
        return whole, whole[here:]

    def _wait(self, requests: list, receiving: list[int], sending: list[int]) -> None:
        late = wait(requests, self.timeout, self._on_wait)
        if not late:
            return
        n = len(receiving)
        silent = [receiving[i] for i in late if i < n]
        deaf = [sending[i - n] for i in late if i >= n]
        found = [f"nothing came from {ranks_text(silent)}"] if silent else []
        found += [f"what we sent was not taken by {ranks_text(deaf)}"] if deaf else []
        raise ExchangeError(
            f"exchange {self.exchanges}: rank {self.rank} waited {self.timeout:g} s, but"
            f" {' and '.join(found)}. Look at the output of {ranks_text(sorted({*silent, *deaf}))};"
            " if they are only slow, allow more time (timeout, --watchdog)."
        )

    def _close(self) -> None:
        """Count what went, make room where there was too little, refuse what was too long."""
        refused = []
        for line in (*self._outgoing.values(), *self._incoming.values()):
            if line.is_refused:
                refused.append(f"{line.total} values from rank {line.source} to {line.target}")
                continue
            line.count += line.total
            if line.total > line.capacity:
                new = min(max(line.total, line.capacity * 3 // 2), self.most)
                self.growth.append(
                    Growth(self.exchanges, line.source, line.target, line.capacity, new)
                )
                line.make_room(new, len(line.buffers))
        if refused:
            raise ExchangeError(
                f"exchange {self.exchanges}: {', '.join(refused)}, but most = {self.most} in one"
                " exchange. Nothing was cut off: the run ends. Allow more, or exchange more often."
            )
        self._is_started = False
        self._rests = {}
        self.exchanges += 1


def who_needs(
    comm: Any,
    needs: Mapping[int, np.ndarray],
    *,
    timeout: float = 600.0,
    on_wait: OnWait | None = None,
    piece: int = PIECE,
) -> dict[int, np.ndarray]:
    """Tell every rank which of its cells reach us, and learn who needs ours. Collective.

    Args:
        comm: communicator of mpi4py; None where there is only one rank.
        needs: for a rank, one bool per cell that it owns. Ranks of which nothing is needed may be
            left out or be all False.
        timeout: how long to wait for the others (s): the fastest waits for the slowest build.
        on_wait: as in `Messages`.
        piece: longest message (bytes).

    Returns:
        For every rank that needs cells of ours, ascending, one bool per cell of ours.

    Raises:
        ExchangeError: a rank did not answer in time.
    """
    _check_peers(comm, list(needs), "needs")
    for peer, need in needs.items():
        if need.dtype != np.bool_ or need.ndim != 1:
            raise ParameterError(
                f"who_needs: the array for rank {peer} has dtype {need.dtype} and shape"
                f" {need.shape}. Give one bool per cell."
            )
    if comm is None:
        return {}
    wanted = {int(peer): need for peer, need in sorted(needs.items()) if need.any()}
    ours, theirs = np.zeros((2, comm.Get_size()), np.int64)
    ours[list(wanted)] = [len(need) for need in wanted.values()]
    if wait([comm.Ialltoall(ours, theirs)], timeout, on_wait):
        raise ExchangeError(
            f"who_needs: rank {comm.Get_rank()} waited {timeout:g} s, but not every rank came. Look"
            " at the output of the others; if they are only slow to build, allow more time."
        )
    asked = {int(r): np.empty(-(-int(theirs[r]) // 8), np.uint8) for r in theirs.nonzero()[0]}
    asking = {r: np.packbits(need) for r, need in wanted.items()}
    posts = [(comm.Irecv, r, part) for r, bits in asked.items() for part in _parts(bits, piece)]
    posts += [(comm.Isend, r, part) for r, bits in asking.items() for part in _parts(bits, piece)]
    late = wait([post(part, r, BITS) for post, r, part in posts], timeout, on_wait)
    if late:
        raise ExchangeError(
            f"who_needs: rank {comm.Get_rank()} waited {timeout:g} s for"
            f" {ranks_text(sorted({posts[i][1] for i in late}))}. Look at their output."
        )
    return {r: np.unpackbits(bits, count=int(theirs[r])).view(bool) for r, bits in asked.items()}


def _parts(bits: np.ndarray, piece: int) -> list[np.ndarray]:
    return [bits[i : i + piece] for i in range(0, len(bits), piece)]


def _check_peers(comm: Any, peers: Sequence[int], what: str) -> int:
    """Our rank, once the peers are known to be other ranks, each named once."""
    rank, size = (comm.Get_rank(), comm.Get_size()) if comm is not None else (0, 1)
    if len({*peers, rank}) <= len(peers) or not all(0 <= peer < size for peer in peers):
        raise ParameterError(
            f"messages: {what} = {list(peers)} on rank {rank} of {size}. Name each rank at most"
            f" once, from 0 to {size - 1}, and not {rank} itself."
        )
    return rank

"""Mailboxes: memory in which the parts of a node leave their spikes for each other.

Every part has a box with two buffers. At every step it appends its spikes to one of them; at an
exchange it closes that buffer by raising its epoch, goes on with the other, and reads the buffers
that the others have closed in the same epoch:

    part p:   append, append, ..., close: epoch[p] := e        (release)
              wait until epoch[q] >= e for all q, read the buffers e mod 2    (acquire)

A part closes epoch e + 2, which overwrites the buffer of e, only after all others have closed
e + 1, and so have read e. A buffer has room for every cell at every step between two exchanges: it
cannot overflow, and pages that are never written cost nothing. The memory is that of one process,
or a window that the ranks of a node share. Spikes from other nodes are put into boxes by the host.

Words are int64; a buffer holds, for every group of cells, the counts of each step and the list of
cells, both int32. Who appends counts what went in, who reads what came out: by group, from the
beginning on, each in words of its own.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import platform
import time
from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

LINE = 8  # words in a cache line
_MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 1)
# Looks before a waiting thread offers its core to others. Where there is a core for every part that
# is long: who gives its core away to another program may get it back milliseconds later.
SPINS_SHARED, SPINS_OWN = 200, 50_000

# Words of the head.
BOXES, STRIDE, GROUPS, STEPS, BUFFER, FIRST, SPINS, TAKEN = range(8)
ABORT, LAYOUT = LINE, 2 * LINE
# Words of a box, before its buffers. What others read, and what only the owner does, lie apart.
EPOCH, CLOSED, STOP, START, CLOCK, FILL = 0, LINE, LINE + 2, LINE + 4, 2 * LINE, 3 * LINE
# Nanoseconds that the owner has spent, and the time at which its last step ended.
UPDATED, DELIVERED, WAITED, ENDED = CLOCK, CLOCK + 1, CLOCK + 2, CLOCK + 3
# The steps in the open buffer; the words after it: the spikes of each group in it, then those of
# each group in all buffers since the beginning.
POSTED = FILL


def round_up(words: int) -> int:
    """The next whole number of cache lines."""
    return -(-words // LINE) * LINE


class Layout:
    """Where things lie in the memory of some boxes.

    Args:
        parts: the part that owns each box.
        cells: per group, the most cells that a part has.
        steps: the most steps between two exchanges.
        has_cores: whether there is a core for every thread that waits.
        readers: how many read the boxes; None: the owners of the boxes, each as the number of its
            own.
    """

    def __init__(
        self,
        parts: Sequence[int],
        cells: Sequence[int],
        steps: int,
        *,
        has_cores: bool = False,
        readers: int | None = None,
    ) -> None:
        self.parts, self.steps = tuple(parts), steps
        self.readers = len(self.parts) if readers is None else readers
        self.spins = SPINS_OWN if has_cores else SPINS_SHARED
        n = len(cells)
        self.counts, self.lists, at = [], [], 0
        for size in cells:
            self.counts.append(at)
            self.lists.append(at + round_up(-(-steps // 2)))
            at = self.lists[-1] + round_up(-(-size * steps // 2))
        self.buffer = at
        self.taken = round_up(LAYOUT + 2 * n + len(self.parts))
        self.head = self.taken + self.readers * round_up(n)
        self.box_head = round_up(POSTED + 1 + 2 * n)
        self.stride = self.box_head + 2 * self.buffer
        self.words = self.head + self.stride * len(self.parts)

    def write(self, memory: np.ndarray) -> None:
        """Write the head into zeroed memory, int64[words]."""
        n = len(self.counts)
        memory[[BOXES, STRIDE, GROUPS, STEPS, BUFFER, FIRST, SPINS, TAKEN]] = (
            len(self.parts), self.stride, n, self.steps, self.buffer, self.head, self.spins,
            self.taken,
        )  # fmt: skip
        memory[LAYOUT : LAYOUT + n] = self.counts
        memory[LAYOUT + n : LAYOUT + 2 * n] = self.lists
        memory[LAYOUT + 2 * n : LAYOUT + 2 * n + len(self.parts)] = self.parts

    def fill(
        self, memory: np.ndarray, box: int, group: int, first: int, count: np.ndarray,
        cells: np.ndarray,
    ) -> None:  # fmt: skip
        """Put the spikes of one group into the first buffer of a box, from the step `first` on."""
        place, half = self.head + box * self.stride, memory.view(np.int32)
        memory[place + CLOSED], memory[place + START] = len(count), first
        at = 2 * (place + self.box_head + self.counts[group])
        half[at : at + len(count)] = count
        at = 2 * (place + self.box_head + self.lists[group])
        half[at : at + len(cells)] = cells

    def clear(self, memory: np.ndarray) -> None:
        """Empty the first buffer of all boxes."""
        memory[self.head + CLOSED :: self.stride][: len(self.parts)] = 0

    def clocks(self, memory: np.ndarray, box: int) -> np.ndarray:
        """A view of what the owner of a box has spent on update, delivery, waiting, and ENDED."""
        place = self.head + box * self.stride + CLOCK
        return memory[place : place + 4]

    def put_in(self, memory: np.ndarray, box: int) -> np.ndarray:
        """A view of how many spikes of each group the owner of a box has put in."""
        n = len(self.counts)
        place = self.head + box * self.stride + POSTED + 1 + n
        return memory[place : place + n]

    def taken_out(self, memory: np.ndarray, reader: int) -> np.ndarray:
        """A view of how many spikes of each group one reader has taken from the boxes."""
        n = len(self.counts)
        place = self.taken + reader * round_up(n)
        return memory[place : place + n]

    def epochs(self, memory: np.ndarray) -> np.ndarray:
        """A view of the epochs of all boxes."""
        return memory[self.head + EPOCH :: self.stride][: len(self.parts)]


# --- in machine code -----------------------------------------------------------------------------


@intrinsic
def words_at(context, address):
    """The memory at an address, as a pointer to int64."""

    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())

    return types.CPointer(types.int64)(types.int64), generate


@intrinsic
def _half_words(context, pointer):
    """The same memory as a pointer to int32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32).as_pointer())

    return types.CPointer(types.int32)(pointer), generate


@intrinsic
def _acquire(context, pointer, index):
    """Load a word that another thread stores with `_release`."""

    def generate(context, builder, signature, arguments):
        return builder.load_atomic(builder.gep(arguments[0], [arguments[1]]), "acquire", 8)

    return types.int64(pointer, index), generate


@intrinsic
def _release(context, pointer, index, value):
    """Store a word after everything that this thread stored before."""

    def generate(context, builder, signature, arguments):
        pointer, index, value = arguments
        builder.store_atomic(value, builder.gep(pointer, [index]), "release", 8)
        return context.get_dummy_value()

    return types.void(pointer, index, value), generate


_PAUSE = {
    "x86_64": ("llvm.x86.sse2.pause", []),
    "AMD64": ("llvm.x86.sse2.pause", []),
    "aarch64": ("llvm.aarch64.hint", [1]),
    "arm64": ("llvm.aarch64.hint", [1]),
}.get(platform.machine())


@intrinsic
def _pause(context):
    """Say to the core that this is a loop that waits."""

    def generate(context, builder, signature, arguments):
        if _PAUSE:
            name, values = _PAUSE
            word = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [word] * len(values))
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            builder.call(function, [word(value) for value in values])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def _offer_core(context):
    """Let another thread run."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def further(context, pointer, index):
    """The pointer so many elements further on."""

    def generate(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, index), generate


@intrinsic
def now(context):
    """The time in ns, of a clock that nobody sets."""

    def generate(context, builder, signature, arguments):
        word = ir.IntType(64)
        spec = cgutils.alloca_once(builder, ir.ArrayType(word, 2))
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), spec.type])
        function = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        builder.call(function, [ir.IntType(32)(_MONOTONIC), spec])
        seconds, rest = (
            builder.load(cgutils.gep_inbounds(builder, spec, 0, index)) for index in (0, 1)
        )
        return builder.add(builder.mul(seconds, word(10**9)), rest)

    return types.int64(), generate


@njit
def box_at(board, box):
    """The first word of a box."""
    return board[FIRST] + box * board[STRIDE]


@njit
def halves(board):
    """The memory as int32."""
    return _half_words(board)


@njit
def _buffer_at(board, box, parity):
    """The first word of one of the two buffers of a box."""
    head = (POSTED + 1 + 2 * board[GROUPS] + LINE - 1) // LINE * LINE
    return box_at(board, box) + head + parity * board[BUFFER]


@njit
def counts_at(board, box, group, parity):
    """Where the counts of a group begin in a box's buffer, in int32."""
    return 2 * (_buffer_at(board, box, parity) + board[LAYOUT + group])


@njit
def list_at(board, box, group, parity):
    """Where the list of a group begins in a box's buffer, in int32."""
    return 2 * (_buffer_at(board, box, parity) + board[LAYOUT + board[GROUPS] + group])


@njit
def part_of(board, box):
    """The part that owns a box."""
    return board[LAYOUT + 2 * board[GROUPS] + box]


@njit
def await_all(board, epoch):
    """Wait until every box has reached the epoch; False if the run is aborted."""
    for box in range(board[BOXES]):
        place, spins = box_at(board, box) + EPOCH, 0
        while _acquire(board, place) < epoch:
            spins += 1
            _pause()
            if spins > board[SPINS]:
                if _acquire(board, ABORT) != 0:
                    return False
                _offer_core()
    return True


@njit
def append(board, box, group, events, cursor, count):
    """Append a step's spikes of one group to the open buffer."""
    place = box_at(board, box)
    parity = (board[place + EPOCH] + 1) & 1
    step, fill = board[place + POSTED], board[place + POSTED + 1 + group]
    half = halves(board)
    half[counts_at(board, box, group, parity) + step] = count
    start = list_at(board, box, group, parity) + fill
    for index in range(count):
        half[start + index] = events[cursor + index]
    board[place + POSTED + 1 + group] = fill + count
    board[place + POSTED + 1 + board[GROUPS] + group] += count


@njit
def take(board, reader, group, count):
    """Count the spikes of a group that one reader has taken."""
    words = (board[GROUPS] + LINE - 1) // LINE * LINE
    board[board[TAKEN] + reader * words + group] += count


@njit
def close(board, box, stamp, stop):
    """Close the open buffer, whose last step is `stamp`; returns the new epoch."""
    place = box_at(board, box)
    epoch = board[place + EPOCH] + 1
    parity, steps = epoch & 1, board[place + POSTED]
    board[place + CLOSED + parity] = steps
    board[place + START + parity] = stamp - steps + 1
    board[place + STOP + parity] = stop
    for word in range(board[GROUPS] + 1):
        board[place + POSTED + word] = 0
    _release(board, place + EPOCH, epoch)
    return epoch


@njit
def count_step(board, box):
    """One more step is in the open buffer."""
    board[box_at(board, box) + POSTED] += 1


@njit
def any_full(board, epoch):
    """Whether a part has said, in this epoch, that its lists might not hold another interval."""
    stop = 0
    for box in range(board[BOXES]):
        stop |= board[box_at(board, box) + STOP + (epoch & 1)]
    return stop

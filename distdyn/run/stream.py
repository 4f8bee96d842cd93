"""The rows of several sources side by side, in blocks that follow each other in time.

    for parts in together([rows of E, rows of I], block):
        ...                     # the next steps of both, whole: all rows of a step come at once

Memory is bounded by the block, however long the recording is. The sources may lie on several ranks:
then all ranks call it, and agree on the step up to which each block goes.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from distdyn.errors import RunDirectoryError
from distdyn.run.rows import Rows

END = 2**63 - 1  # a step after all others
BLOCK = 1 << 18  # rows of each source that are held at once
TOTAL = 1 << 20  # rows of all sources that are held at once, about


def together(
    sources: Sequence[Rows],
    block: int | None = None,
    *,
    least: Callable[[int], int] = lambda step: step,
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """The rows (step, content) of each source, block after block; at least one block comes.

    Args:
        sources: rows in the order of their steps.
        block: how many rows of each source are held at once, about; more where one step has more.
        least: the smallest step that any rank offers: `world.min` where the sources of other ranks
            go along.
    """
    block = block or max(1024, min(BLOCK, TOTAL // max(1, len(sources))))
    cursors = [_Cursor(source, block) for source in sources]
    while True:
        until = least(min((cursor.complete() for cursor in cursors), default=END))
        yield [cursor.take(until) for cursor in cursors]
        if until == END:
            return


class _Cursor:
    """Reads one source from its beginning to its end, and keeps what was not taken yet."""

    def __init__(self, rows: Rows, block: int) -> None:
        self.rows, self.block = rows, block
        self.step, self.content = rows.read(0, 0)
        self.at = 0  # rows that were read

    def complete(self) -> int:
        """The step up to which all rows are held, and at least one if there are any left."""
        while self.at < self.rows.count and (
            len(self.step) <= self.block // 2 or self.step[0] == self.step[-1]
        ):
            last = min(self.at + self.block, self.rows.count)
            step, content = self.rows.read(self.at, last)
            if (np.diff(step, prepend=self.step[-1:]) < 0).any():
                raise RunDirectoryError(
                    f"the rows of a recording are out of order near step {step[0]}. It is damaged."
                )
            self.step = np.concatenate([self.step, step])
            self.content = np.concatenate([self.content, content])
            self.at = last
        return END if self.at == self.rows.count else int(self.step[-1]) - 1

    def take(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows with steps up to this one; they are not held any more."""
        n = int(np.searchsorted(self.step, until, side="right"))
        taken = self.step[:n], self.content[:n]
        self.step, self.content = self.step[n:], self.content[n:]
        return taken

"""What is said while training goes on: a line an epoch, or a bar on a terminal; by one rank."""

import sys
from typing import Any

from distdyn.train.history import History


class Report:
    """Says on stderr how far training is.

    Args:
        mode: of `run.progress.MODES`.
        total: the number of epochs at the end.
        rank, ranks: of this process.
    """

    def __init__(self, mode: str, total: int, rank: int, ranks: int) -> None:
        if rank > 0:
            mode = "off"
        elif mode == "auto":
            mode = "bar" if sys.stderr.isatty() and ranks == 1 else "lines"
        self.mode, self.total, self.bar = mode, total, None

    def epoch(self, history: History) -> None:
        """An epoch is over."""
        if self.mode == "lines":
            print(f"{history.line(-1)} (of {self.total})", file=sys.stderr, flush=True)
        elif self.mode == "bar":
            bar = self._bar(history.epoch[-1] - 1)
            bar.set_postfix_str(history.line(-1).partition(", ")[2])
            bar.update(1)
            if history.epoch[-1] == self.total:
                bar.close()

    def _bar(self, first: int) -> Any:
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(total=self.total, initial=first, unit="epoch", file=sys.stderr)
        return self.bar

"""Progress: a bar on a terminal, full lines in a log, and compile time announced.

Nothing is written before a run has taken a few seconds, but for a compilation that takes long.
"""

import sys
import time
from typing import Any

from distdyn.errors import ParameterError

MODES = ("auto", "bar", "lines", "off")
QUIET = 2.0  # seconds before the first sign of life
BETWEEN = 10.0  # seconds between two lines


def check_mode(mode: Any) -> str:
    """The mode, if there is such a one."""
    if mode not in MODES:
        raise ParameterError(f"progress = {mode!r} is unknown. Use one of {', '.join(MODES)}.")
    return mode


class Progress:
    """Reports how far a run of `total` ms is, on stderr."""

    def __init__(self, mode: str, total: float) -> None:
        self.total = total
        if mode == "auto":
            mode = "bar" if sys.stderr.isatty() else "lines"
        self.mode = mode
        self.began = self.spoke = time.monotonic()
        self.bar: Any = None

    def compiled(self, seconds: float) -> None:
        """Say how long compilation took, if anyone will have noticed."""
        if self.mode != "off" and seconds > QUIET:
            print(f"compiled the step in {seconds:.1f} s", file=sys.stderr, flush=True)

    def at(self, done: float) -> None:
        """The run has reached so many ms."""
        now = time.monotonic()
        if self.mode == "off" or now - self.began < QUIET:
            return
        if self.mode == "bar":
            self._bar().update(done - self._bar().n)
        elif now - self.spoke >= BETWEEN:
            self.spoke = now
            factor = (now - self.began) / (done * 1e-3) if done else float("inf")
            print(
                f"{done:.0f} of {self.total:.0f} ms, real-time factor {factor:.2f}, "
                f"{(self.total - done) * 1e-3 * factor:.0f} s to go",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        """The run is over."""
        if self.bar is not None:
            self.bar.close()

    def _bar(self) -> Any:
        if self.bar is None:
            from tqdm import tqdm

            self.bar = tqdm(total=self.total, unit="ms", unit_scale=True, file=sys.stderr)
        return self.bar

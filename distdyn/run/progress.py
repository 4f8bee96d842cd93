"""Progress: a bar on a terminal, full lines in a log, and compile time announced.

Nothing is written before a run has taken a few seconds, but for a compilation that takes long. Of
several ranks the first one speaks, and in lines: a launcher passes bars on in one piece at the end,
whatever it says about a terminal.
"""

import sys
import time
from typing import Any

from distdyn.errors import ParameterError

MODES = ("auto", "bar", "lines", "off")
QUIET = 2.0  # seconds before the first sign of life
BETWEEN = 10.0  # seconds between two lines in the first minute; later more, up to SPARSE times
SPARSE = 6.0


def check_mode(mode: Any) -> str:
    """The mode, if there is such a one."""
    if mode not in MODES:
        raise ParameterError(f"progress = {mode!r} is unknown. Use one of {', '.join(MODES)}.")
    return mode


class Progress:
    """Reports how far a run of `total` ms is, on stderr.

    Args:
        mode: one of MODES.
        total: ms, or so many of another unit.
        rank: of this process.
        is_launched: whether mpirun or srun started it.
        unit: of the total.
    """

    def __init__(
        self,
        mode: str,
        total: float,
        *,
        rank: int = 0,
        is_launched: bool = False,
        unit: str = "ms",
    ) -> None:
        self.total, self.unit = total, unit
        if mode != "off" and is_launched:
            mode = "lines" if rank == 0 else "off"
        if mode == "auto":
            mode = "bar" if sys.stderr.isatty() else "lines"
        self.mode = mode
        self.began = self.spoke = time.monotonic()
        self.bar: Any = None

    def compiled(self, seconds: float) -> None:
        """Say how long compilation took, if anyone will have noticed."""
        if self.mode != "off" and seconds > QUIET:
            print(f"compiled the step in {seconds:.1f} s", file=sys.stderr, flush=True)
        self.began = self.spoke = time.monotonic()

    def at(self, done: float) -> None:
        """The run has reached so many ms, or what the unit is."""
        now = time.monotonic()
        if self.mode == "off" or now - self.began < QUIET:
            return
        if self.mode == "bar":
            self._bar().update(done - self._bar().n)
        elif now - self.spoke >= BETWEEN * min(SPARSE, max(1.0, (now - self.began) / 60.0)):
            self.spoke = now
            each = (now - self.began) / done if done else float("inf")
            speed = f"real-time factor {each * 1e3:.2f}, " if self.unit == "ms" else ""
            print(
                f"{done:.0f} of {self.total:.0f} {self.unit}, {speed}"
                f"{(self.total - done) * each:.0f} s to go",
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

            self.bar = tqdm(total=self.total, unit=self.unit, unit_scale=True, file=sys.stderr)
        return self.bar

"""The result of a sweep: one table, in memory and in a file.

    table["rate"]           a column: a parameter or a measure
    table.on_grid("rate")   the same with an axis for each parameter of the grid
    table.status            "done", "waiting", or why a point has failed
    table.save("s.h5"); Sweep.load("s.h5")

While several ranks or jobs work on `s.h5`, each writes a file of its own beside it,
`s.part-rank-0001.h5`; to read `s.h5` is to read all of them.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Real

from distdyn.analysis.sweep.grid import Points
from distdyn.errors import AnalysisError, NameLookupError, RunDirectoryError, suggestion

if TYPE_CHECKING:
    from distdyn.run.columns import Table

WAITING, DONE, FAILED = range(3)  # states of a row; FAILED + k: failed, for reason k
MORE = "failed, for one of too many different reasons to keep"


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """What was measured at each point of a sweep.

    Attributes:
        points: the parameters of each point.
        values: by name, a number for each point; NaN where there is none.
        reasons: by point why it has failed.
        is_known: of each point whether it was computed: it is done, or has failed.
        about: what was swept and how.
    """

    points: Points
    values: Mapping[str, Float64[np.ndarray, "n"]]
    reasons: Mapping[int, str]
    is_known: np.ndarray
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, name: str) -> Real[np.ndarray, "n"]:
        """A parameter, or a measure, at each point."""
        found = {**self.points.columns, **self.values}
        if name not in found:
            raise NameLookupError(f'there is no column "{name}". {suggestion(name, found)}')
        return found[name]

    def __iter__(self) -> Iterator[str]:
        """The names of the columns, parameters first."""
        return iter([*self.points.columns, *self.values])

    @property
    def status(self) -> list[str]:
        """Of each point "done", "waiting", or why it has failed."""
        known = np.where(self.is_known, "done", "waiting").tolist()
        return [self.reasons.get(k, word) for k, word in enumerate(known)]

    @property
    def is_complete(self) -> bool:
        """Whether every point was computed."""
        return bool(self.is_known.all())

    @property
    def sha256(self) -> str:
        """Equal if parameters, values and failures are the same, to the last bit."""
        digest = hashlib.sha256(repr(self.status).encode())
        for name in self:
            digest.update(name.encode() + self[name].tobytes())
        return digest.hexdigest()

    def on_grid(self, name: str) -> Real[np.ndarray, "..."]:
        """A column with an axis for each parameter, in the order of the grid."""
        return self[name].reshape(self.points.shape)

    def save(self, path: Any) -> None:
        """Write the table to an HDF5 file, in the place of one that may be there.

        Raises:
            RunDirectoryError: it cannot be written.
        """
        from distdyn.run import columns

        columns.write(Path(path), self.as_table())

    @classmethod
    def load(cls, path: Any) -> "Sweep":
        """Read a table, with what ranks and jobs that are still at it have written.

        Raises:
            RunDirectoryError: there is none, or it is damaged.
            AnalysisError: files beside it are of another sweep.
        """
        found = read(Path(path))
        if found is None:
            raise RunDirectoryError(f'cannot read "{path}": there is no such file.')
        return found

    def plot(self, ax: Any = None, measure: str | None = None) -> Any:
        """A measure over the one or two parameters that vary, by default the first; the figure."""
        from distdyn.plot.sweeps import sweep

        return sweep(self, ax, measure)

    def __repr__(self) -> str:
        n_failed = len(self.reasons)
        lines = [f"Sweep of {len(self)} points: {int(self.is_known.sum()) - n_failed} done"]
        lines[0] += f", {n_failed} failed" if n_failed else ""
        lines[0] += "" if self.is_complete else f", {int((~self.is_known).sum())} waiting"
        width = [max(12, len(name)) for name in self]
        lines.append("  ".join(f"{name:>{w}}" for name, w in zip(self, width, strict=True)))
        n = len(self)
        shown = range(n) if n <= 12 else [*range(6), None, *range(n - 5, n)]
        status = self.status
        for k in shown:
            if k is None:
                lines.append("...")
                continue
            row = [f"{self[name][k]:>{w}.6g}" for name, w in zip(self, width, strict=True)]
            word = "" if status[k] == "done" else f"  {status[k]:.60}"
            lines.append("  ".join(row) + word)
        return "\n".join(lines)

    # --- as a file holds it ----------------------------------------------------------------------

    def as_table(self) -> "Table":
        """What a file holds of it."""
        from distdyn.run.columns import Table

        state, notes = coded(self.reasons, [], len(self))
        state[self.is_known & (state == WAITING)] = DONE
        groups = {"points": dict(self.points.columns), "values": dict(self.values)}
        return Table({**self.about, "shape": list(self.points.shape)}, groups, state, notes)

    @classmethod
    def of_table(cls, table: "Table") -> "Sweep":
        """From what a file holds."""
        about = dict(table.about)
        points = Points(table.columns["points"], tuple(about.pop("shape")))
        state = table.state
        texts = dict(enumerate(table.notes))
        reasons = {
            int(k): texts.get(int(state[k]) - FAILED, MORE) for k in np.flatnonzero(state >= FAILED)
        }
        return cls(points, table.columns.get("values", {}), reasons, state != WAITING, about)

    def joined(self, other: "Sweep") -> "Sweep":
        """With the points that another one knows, of the same sweep."""
        check_same(self.about, other.about, "a file beside it")
        names = [*self.values, *(name for name in other.values if name not in self.values)]
        take = other.is_known & ~self.is_known
        nothing = np.full(len(self), np.nan)
        values = {
            name: np.where(take, other.values.get(name, nothing), self.values.get(name, nothing))
            for name in names
        }
        reasons = {k: text for k, text in other.reasons.items() if take[k]} | dict(self.reasons)
        reasons = dict(sorted(reasons.items()))
        return Sweep(self.points, values, reasons, self.is_known | other.is_known, self.about)


def coded(reasons: Mapping[int, str], notes: list[str], n: int) -> tuple[np.ndarray, list[str]]:
    """The states of failed rows, and the texts that they point to: those of `notes`, and more."""
    from distdyn.run.columns import NOTES

    state, notes = np.zeros(n, np.int32), list(notes)
    for k, reason in reasons.items():
        if reason not in notes and len(notes) >= NOTES - 1:
            reason = MORE
        if reason not in notes:
            notes.append(reason)
        state[k] = FAILED + notes.index(reason)
    return state, notes


def check_same(asked: Mapping[str, Any], found: Mapping[str, Any], where: str) -> None:
    """Raise an AnalysisError unless two sweeps are the same."""
    for name in dict.fromkeys([*asked, *found]):
        if asked.get(name) != found.get(name):
            raise AnalysisError(
                f"{where} holds another sweep: its {name} is {found.get(name)!r:.120}, that of "
                f"this one {asked.get(name)!r:.120}. Use another file, or overwrite=True "
                "(--overwrite) to begin anew."
            )


def shortened(reason: str) -> str:
    """As a file can hold it."""
    from distdyn.run.columns import WIDTH

    line = " ".join(reason.split())
    whole = line.encode()
    return line if len(whole) < WIDTH else whole[: WIDTH - 4].decode(errors="ignore") + "..."


# --- files --------------------------------------------------------------------------------------


def part_of(path: Path, who: str) -> Path:
    """The file of one rank or job: `s.h5` -> `s.part-rank-0001.h5`."""
    return path.with_name(f"{path.name.removesuffix('.h5')}.part-{who}.h5")


def parts(path: Path) -> list[Path]:
    """The files of ranks and jobs beside a file."""
    if not path.parent.is_dir():
        return []
    pattern = re.compile(re.escape(path.name.removesuffix(".h5")) + r"\.part-[a-z0-9-]+\.h5")
    return sorted(each for each in path.parent.iterdir() if pattern.fullmatch(each.name))


def read(path: Path) -> Sweep | None:
    """What a file and those beside it hold together; None if there is none."""
    from distdyn.run import columns

    found: Sweep | None = None
    for each in [*parts(path), path]:  # those beside it go when it is there
        if not each.is_file():
            continue
        try:
            one = Sweep.of_table(columns.read(each))
        except RunDirectoryError:
            if each == path or each.is_file():
                raise
            continue
        found = one if found is None else found.joined(one)
    return found

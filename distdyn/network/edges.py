"""Edges: pairs that are given, as two lists, as a matrix or in a file.

A matrix and a file may bring weights and delays of the edges; a projection takes these in place of
its own. What they hold is whole on every rank: 16 bytes an edge, and 8 for each of its values.
"""

import zlib
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from distdyn.errors import RuleError
from distdyn.network.ends import Ends
from distdyn.network.rule import AbstractPairRule, Key, Listing, Part
from distdyn.units import real, shown
from partition import archive

COLUMNS = ("pre", "post", "weight", "delay")


@dataclass(frozen=True, eq=False, repr=False)
class Edges(AbstractPairRule):
    """The pairs (pre[i], post[i]): indices in the pre end and in the post end.

        dd.Edges(pre, post)
        dd.Edges.from_matrix(A)
        dd.Edges.from_file("edges.csv")

    Args:
        pre: the index of each edge's source.
        post: that of its target.
        weight: a number for each edge, if the edges bring their weights: a projection that has
            them is not given others.
        delay: the same, in ms.
        shape: how many neurons the ends must have; None: as many as hold the indices.
    """

    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray | None = None
    delay: np.ndarray | None = None
    shape: tuple[int, int] | None = None
    autapses: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = False
    is_uniform: ClassVar[bool] = False

    def __post_init__(self):
        pre, post = _indices(self.pre, "pre"), _indices(self.post, "post")
        if len(pre) != len(post):
            raise RuleError(
                f"Edges: pre has {len(pre)} indices, post {len(post)}. Give one of each per edge."
            )
        weight, delay = (_brought(self, name, len(pre)) for name in ("weight", "delay"))
        vars(self).update(pre=pre, post=post, weight=weight, delay=delay)

    @staticmethod
    def from_matrix(matrix: Any) -> "Edges":
        """The edges of a matrix [pre, post]: its entries that are not zero, which are the weights.

        Args:
            matrix: two-dimensional, of NumPy or scipy.sparse. Of a sparse one every stored entry is
                an edge, also a zero, and one that is stored twice is two. One of truth values says
                who is connected and brings no weights: those are the projection's, as in
                `Edges.from_matrix(A != 0)`. Edges are in the order of rows, then of columns; those
                of a sparse matrix as it stores them.

        Raises:
            RuleError: it is no matrix of real numbers or truth values.
        """
        what = "Edges.from_matrix"
        is_sparse = getattr(matrix, "tocoo", None) is not None
        found: Any = matrix if is_sparse else np.asarray(matrix)
        if found.ndim != 2 or found.dtype.kind not in "biuf":
            raise RuleError(
                f"{what}: the matrix has shape {found.shape} and type {found.dtype}. Give real "
                "numbers or truth values of shape (pre, post)."
            )
        if is_sparse:
            stored = found.tocoo()
            pre, post, weight = stored.row, stored.col, stored.data
        else:
            pre, post = np.nonzero(found)
            weight = found[pre, post]
        is_pattern = found.dtype.kind == "b"
        if is_pattern:
            pre, post = pre[weight], post[weight]
        n_pre, n_post = map(int, found.shape)
        return Edges(pre, post, None if is_pattern else weight, shape=(n_pre, n_post))

    @staticmethod
    def from_file(path: str | PathLike) -> "Edges":
        """The edges in a file, read whole by every rank.

        Args:
            path: a table `.csv` whose first line names its columns, `pre,post`, and if it has them
                `weight` and `delay`, in any order; or `.npz`: the same names as arrays, or a matrix
                that `scipy.sparse.save_npz` wrote (see `from_matrix`).

        Raises:
            RuleError: there is no such file, or it holds something else.
        """
        path, what = Path(path), f"Edges.from_file({str(path)!r})"
        read = {".csv": _read_csv, ".npz": _read_npz}.get(path.suffix)
        if read is None:
            raise RuleError(f"{what}: the format {path.suffix!r} is unknown. Use .csv or .npz.")
        try:
            return read(path, what)
        except (OSError, ValueError, KeyError, EOFError, zlib.error) as error:
            if isinstance(error, RuleError):  # which is a ValueError
                raise
            cure = "Give a table of pre, post, weight, delay, or a matrix of scipy.sparse."
            raise RuleError(f"{what}: it cannot be read: {error}. {cure}") from error

    def bare(self) -> "Edges":
        """The same pairs without values."""
        return replace(self, weight=None, delay=None)

    def __repr__(self) -> str:
        return f"Edges(<{len(self.pre)} pairs>)"

    def check(self, ends: Ends, where: str) -> None:
        if self.shape not in (None, (ends.n_pre, ends.n_post)):
            raise RuleError(
                f"{where}: Edges: the matrix has shape {self.shape}, but joins {ends.n_pre} pre to "
                f"{ends.n_post} post neurons. Use one of shape {(ends.n_pre, ends.n_post)}."
            )
        for name, index, n in (("pre", self.pre, ends.n_pre), ("post", self.post, ends.n_post)):
            wrong = np.flatnonzero((index < 0) | (index >= n))
            if wrong.size:
                raise RuleError(
                    f"{where}: Edges: {name}[{wrong[0]}] = {index[wrong[0]]} is not an index into "
                    f"the {n} neurons of that end. Use 0 <= index < {n}."
                )

    def expected(self, ends: Ends) -> float:
        return float(len(self.pre))

    def bound(self, ends: Ends, part: Part | None = None) -> int:
        return len(self.pre)

    def in_degree(self, ends: Ends) -> tuple[float, float]:
        return float(np.bincount(self.post).max()) if len(self.post) else 0.0, 0.0

    def items(self, ends: Ends, blocks: np.ndarray | None) -> np.ndarray:
        if blocks is None:
            return np.arange(len(self.post))
        block = np.searchsorted(ends.block_start(), self.post, side="right") - 1
        return np.flatnonzero(np.isin(block, blocks))

    def targets(self, items: np.ndarray) -> np.ndarray:
        return self.post[items]

    def prepared(self, ends: Ends, key: Key) -> None:
        """Nothing."""

    def width(self, listing: Listing) -> int:
        return 1

    def sources(self, listing: Listing, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.arange(len(items) + 1), self.pre[items]


def _read_csv(path: Path, what: str) -> Edges:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise OSError("it is no file")
    with path.open() as file:
        names = [name.strip() for name in file.readline().split(",")]
        _check_columns(names, what)
        kinds = [(name, "i8" if name in ("pre", "post") else "f8") for name in names]
        table = np.loadtxt(file, delimiter=",", dtype=kinds, ndmin=1)
    return _of_columns({name: table[name] for name in names})


def _of_columns(columns: dict[str, np.ndarray]) -> Edges:
    return Edges(columns["pre"], columns["post"], columns.get("weight"), columns.get("delay"))


def _read_npz(path: Path, what: str) -> Edges:
    archive.check(path)
    with np.load(path, allow_pickle=False) as file:
        if "format" not in file:
            _check_columns(list(file), what)
            return _of_columns({name: file[name] for name in file})
    from scipy.sparse import load_npz  # here: it would double the time of `import distdyn`

    return Edges.from_matrix(load_npz(path))


def _check_columns(names: list[str], what: str) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or not {"pre", "post"} <= set(names) or len(names) > len(set(names)):
        raise RuleError(
            f"{what}: the columns are {', '.join(names)[:200]}. Name pre and post, and if need be "
            "weight and delay, once each."
        )


def _indices(x: Any, name: str) -> np.ndarray:
    array = np.asarray(x)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise RuleError(
            f"Edges: {name} = {shown(array)} is not a list of indices. Give a one-dimensional "
            "array of integers."
        )
    return np.array(array, np.int64)


def _brought(edges: Edges, name: str, n: int) -> np.ndarray | None:
    """The values that edges bring; what they may be is the projection's to check."""
    value = getattr(edges, name)
    if value is None:
        return None
    array = np.atleast_1d(real(value, f"Edges: {name}", error=RuleError))
    if array.shape != (n,):
        raise RuleError(
            f"Edges: {name} is an array of shape {array.shape}, but there are {n} edges. Give one "
            "number per edge."
        )
    return array

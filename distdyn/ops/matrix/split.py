"""A matrix whose rows or columns are dealt to the devices along an axis of a mesh.

    S = A.split(mesh, "neuron", by="columns")        each device: its post neurons
    x @ S      x is whole, y is split over "neuron"; nothing is sent
    S @ z      z is split over "neuron", y is a sum over devices

    S = A.split(mesh, "neuron", by="rows")           each device: its pre neurons
    x @ S      x is split, y is a sum over devices
    S @ z      z is whole, y is split; nothing is sent

A device holds its piece and computes with nothing else: rows of a few synapses each are read where
a spike is, on each device those of its own. Derivatives go the same ways backwards. Within a
`shard_map` of one's own, `S.specs()` says how S enters it, and `S.local()` is the piece there.
"""

from collections.abc import Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from distdyn.errors import ParameterError
from distdyn.ops.matrix.matrix import By, Matrix, Transposed
from distdyn.units import shown


class Split(Matrix):
    """The pieces of a matrix, one on each device along an axis of a mesh; `A.split` makes it.

    Where the rows (or columns) do not divide by the devices, the last piece is filled up, and a
    split vector is cut to size, for which it is sent about: have them divide where that counts.

    Attributes:
        shape: (pre, post) of the whole.
        pieces: a piece, whose arrays have an axis of devices in front where pieces differ.
        is_stacked: for each array whether they do.
        mesh: the mesh of devices.
        axis: the axis along which the pieces are.
        by: what was dealt: "rows" or "columns".
        trials: the axis of the mesh along which trials are split, if any.
    """

    shape: tuple[int, int] = eqx.field(static=True)
    pieces: Matrix
    is_stacked: tuple[bool, ...] = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)
    axis: str = eqx.field(static=True)
    by: By = eqx.field(static=True)
    trials: str | None = eqx.field(static=True)

    @property
    def dtype(self) -> Any:
        return self.pieces.dtype

    @property
    def T(self) -> Matrix:
        return Transposed(self)

    def vm(self, m: Any, x: Any) -> jax.Array:
        return _product(self, m, x, "vm")

    def mv(self, m: Any, z: Any) -> jax.Array:
        return _product(self, m, z, "mv")

    def todense(self) -> jax.Array:
        return _dense(self)

    def specs(self) -> "Split":
        """How it is split: the `in_specs` of a `shard_map` for it."""
        specs = [P(self.axis) if stacked else P() for stacked in self.is_stacked]
        return jax.tree.unflatten(jax.tree.structure(self), specs)

    def local(self) -> Matrix:
        """The piece of this device, within a `shard_map`."""
        leaves, structure = jax.tree.flatten(self.pieces)
        here = [
            jnp.squeeze(leaf, 0) if stacked else leaf
            for leaf, stacked in zip(leaves, self.is_stacked, strict=True)
        ]
        return jax.tree.unflatten(structure, here)

    def cut(self, n: int, by: By) -> Sequence[Matrix]:
        raise ParameterError("Split: the matrix is split already. Split the one it was made of.")


def split(matrix: Matrix, mesh: Mesh, axis: str, by: By, trials: str | None) -> Split:
    """`Matrix.split`, where arguments and errors are."""
    if by not in ("rows", "columns"):
        raise ParameterError(f'split: by = {shown(by)}. Give "rows" or "columns".')
    for name in (axis, trials):
        if name is not None and name not in mesh.axis_names:
            raise ParameterError(
                f"split: the mesh has no axis {shown(name)}. Give one of {mesh.axis_names}."
            )
    if axis == trials:
        raise ParameterError(f"split: {shown(axis)} is given for neurons and for trials. Give two.")
    if any(kind != AxisType.Auto for kind in mesh.axis_types):
        raise ParameterError(
            f"split: the axes of the mesh are {mesh.axis_types}. Make it with "
            f"axis_types=(jax.sharding.AxisType.Auto,) * {len(mesh.axis_names)}."
        )
    pieces = matrix.cut(mesh.shape[axis], by)
    return _placed(matrix.shape, pieces, slice(None), mesh, axis, by, trials)


def split_columns(matrix: Matrix, mesh: Mesh, axis: str, n: int, own: slice) -> Split:
    """Of n equal pieces of the columns the own ones, where others are not on this mesh."""
    pieces = matrix.cut(n, "columns")
    n_own = len(pieces[own])
    shape = matrix.shape if n_own == n else (matrix.shape[0], n_own * pieces[0].shape[1])
    return _placed(shape, pieces, own, mesh, axis, "columns", None)


def _placed(
    shape: tuple[int, int], pieces: Sequence[Matrix], own: slice, mesh: Mesh, axis: str, by: By,
    trials: str | None,
) -> Split:  # fmt: skip
    structure = jax.tree.structure(pieces[0])
    columns = list(zip(*map(jax.tree.leaves, pieces), strict=True))
    is_stacked = tuple(any(leaf is not leaves[0] for leaf in leaves) for leaves in columns)
    arrays = [
        _stacked(leaves[own], mesh, axis) if stacked else _whole(leaves[0], mesh)
        for leaves, stacked in zip(columns, is_stacked, strict=True)
    ]
    whole = jax.tree.unflatten(structure, arrays)
    return Split(shape, whole, is_stacked, mesh, axis, by, trials)


def _stacked(leaves: Sequence[Any], mesh: Mesh, axis: str) -> jax.Array:
    """The arrays of all pieces as one, each on its device."""
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        return jnp.stack(leaves)

    def of_device(index: Any) -> np.ndarray:
        return np.stack([np.asarray(leaf) for leaf in leaves[index[0]]])

    shape = (len(leaves), *leaves[0].shape)
    with jax.enable_x64(True):  # 64-bit bounds of rows stay what they are
        return jax.make_array_from_callback(shape, NamedSharding(mesh, P(axis)), of_device)


def _whole(leaf: Any, mesh: Mesh) -> Any:
    if isinstance(leaf, Tracer):
        return leaf
    with jax.enable_x64(True):
        return jax.device_put(leaf, NamedSharding(mesh, P()))


@eqx.filter_jit
def _product(of: Split, m: Any, x: Any, product: Literal["vm", "mv"]) -> jax.Array:
    # Of x @ A the rows are what comes in, of A @ z the columns.
    is_split_in = (product == "vm") == (of.by == "rows")
    n_out = of.shape[1 if product == "vm" else 0]
    n_trials, n = len(x), of.mesh.shape[of.axis]
    trials = None if n_trials == 1 else of.trials  # one vector is wanted by all
    split, whole = P(trials, of.axis), P(trials)
    if trials is not None and n_trials % of.mesh.shape[trials]:
        raise ParameterError(
            f"Split: {n_trials} trials over {of.mesh.shape[trials]} devices along "
            f'"{trials}". Give a number that they divide.'
        )
    if 0 in (*of.shape, n_trials):  # XLA's partitioner stumbles over arrays of no size
        return jnp.zeros((n_trials, n_out), of.dtype)
    # A mask belongs to rows: to what comes in of x @ A, to what goes out of A @ z.
    is_split_mask = of.by == "rows"
    masks = () if m is None else (_filled(m, n) if is_split_mask else m,)

    def here(of: Split, x: Any, *masks: Any) -> Any:
        y = getattr(of.local(), product)(masks[0] if masks else None, x)
        return jax.lax.psum(y, of.axis) if is_split_in else y

    y = jax.shard_map(
        here,
        mesh=of.mesh,
        in_specs=(
            of.specs(),
            split if is_split_in else whole,
            *(split if is_split_mask else whole for _ in masks),
        ),
        out_specs=whole if is_split_in else split,
        check_vma=True,
    )(of, _filled(x, n) if is_split_in else x, *masks)
    return y if y.shape[1] == n_out else y[:, :n_out]


@eqx.filter_jit
def _dense(of: Split) -> jax.Array:
    if 0 in of.shape:
        return jnp.zeros(of.shape, of.dtype)
    spec = P(of.axis) if of.by == "rows" else P(None, of.axis)
    dense = jax.shard_map(
        lambda of: of.local().todense(),
        mesh=of.mesh,
        in_specs=(of.specs(),),
        out_specs=spec,
        check_vma=True,
    )
    m, n = of.shape
    return dense(of)[:m, :n]


def _filled(x: jax.Array, n: int) -> jax.Array:
    """The vectors, of a length that n divides."""
    missing = -x.shape[1] % n
    return jnp.pad(x, ((0, 0), (0, missing))) if missing else x

"""What training needs to go on, as arrays that do not depend on the mesh, and back on a mesh.

parameters/<path>      by neuron or by synapse
optimizer/<k>          the k-th array of its state; one that is like a parameter, in its order
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from distdyn.errors import TrainError
from distdyn.train.layout import is_key
from distdyn.train.unrolled import Unrolled


class Learned(NamedTuple):
    """What an update changes: the parameters by path, and the state of the optimizer."""

    parameters: dict[str, Any]
    optimizer: Any


def like(optimizer: optax.GradientTransformation, learned: Learned) -> list[str | None]:
    """Of each array of the optimizer's state the parameter that it is like, or None."""
    marked = optax.tree_utils.tree_map_params(
        optimizer,
        lambda _, path: (path,),
        learned.optimizer,
        {path: path for path in learned.parameters},
        transform_non_params=lambda _: (None,),
    )
    return [of for (of,) in jax.tree.leaves(marked, is_leaf=_is_mark)]


def to_arrays(
    net: Unrolled, optimizer: optax.GradientTransformation, learned: Learned
) -> dict[str, np.ndarray]:
    """The arrays, by name."""
    found = {f"parameters/{path}": net.canonical(path, x) for path, x in learned.parameters.items()}
    leaves = jax.tree.leaves(learned.optimizer)
    for k, (leaf, of) in enumerate(zip(leaves, like(optimizer, learned), strict=True)):
        found[f"optimizer/{k}"] = (
            net.layout.fetched(leaf) if of is None else net.canonical(of, leaf)
        )
    return found


def to_mesh(
    net: Unrolled,
    optimizer: optax.GradientTransformation,
    learned: Learned,
    arrays: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    *,
    source: str,
) -> Learned:
    """The inverse of `to_arrays`.

    Args:
        net: on whose mesh.
        optimizer: whose state it is.
        learned: what is to be replaced.
        arrays: those of `to_arrays`; others are not looked at.
        expected: those of `learned`, which say what there must be.
        source: the file that they are from, for errors.

    Raises:
        TrainError: they are of other parameters or of another optimizer.
    """
    given = {
        name: x for name, x in arrays.items() if name.startswith(("parameters/", "optimizer/"))
    }
    for name in sorted({*expected, *given}):
        found, wanted = (np.shape(x[name]) if name in x else None for x in (given, expected))
        if found != wanted:
            raise TrainError(
                f'"{source}": {name} has shape {found}, this trainer\'s {wanted}. Use the '
                "network, `where` and the optimizer that it was saved with."
            )
    parameters = {path: net.laid(path, given[f"parameters/{path}"]) for path in learned.parameters}
    with jax.enable_x64(True):
        leaves, structure = jax.tree.flatten(learned.optimizer)
        new = [
            net.layout.place(_kind(leaf, given[f"optimizer/{k}"]))
            if of is None
            else net.laid(of, given[f"optimizer/{k}"])
            for k, (leaf, of) in enumerate(zip(leaves, like(optimizer, learned), strict=True))
        ]
        return Learned(parameters, jax.tree.unflatten(structure, new))


def _kind(old: Any, array: np.ndarray) -> Any:
    """An array of the same kind as it was."""
    if is_key(old):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(old))
    return array.astype(old.dtype)


def _is_mark(x: Any) -> bool:
    return type(x) is tuple and len(x) == 1 and (x[0] is None or isinstance(x[0], str))

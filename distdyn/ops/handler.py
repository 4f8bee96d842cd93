"""From what XLA calls to a body written in Numba: buffers become arrays.

A kernel takes a pointer and a shape for every buffer, as `ffi` describes, arguments first.
`handler` writes the code between them and the arrays of a body; some bodies take them as they come.
"""

# Numba compiles what its intrinsics are called with, and is typed loosely:
# pyright: reportPrivateImportUsage=false, reportCallIssue=false, reportAttributeAccessIssue=false

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import carray, cfunc, types

from distdyn.ops.cache import cached


def compiled(body: Any, kinds: Sequence[Any]) -> Any:
    """A body with buffers of these types, each with its shape, as a Numba C function."""
    shape = types.CPointer(types.int64)
    kinds = [getattr(types, kind) if isinstance(kind, str) else kind for kind in kinds]
    buffers = [p for kind in kinds for p in (types.CPointer(kind), shape)]
    signature = types.void(*buffers, types.int64, types.int64, shape)
    return cached(cfunc, signature)(body)


class Buffer(NamedTuple):
    """What XLA hands over.

    Attributes:
        dtype: of its elements.
        axes: how many it has; 0: one number, given as an array of one.
    """

    dtype: str
    axes: int = 0


Buffers = Sequence[tuple[str, Buffer | tuple[Buffer, ...]]]  # by label, "" for what nobody reads


def handler(name: str, body: Any, buffers: Buffers, given: Sequence[Any]) -> Any:
    """A Numba C function that makes arrays of its buffers and gives them to a compiled function.

    Args:
        name: under which its code is kept; no other body may have it.
        body: takes what is given, then the number of the member and of the members of the team.
            Inlined, it counts no references, for then it is seen that nobody owns the arrays.
        buffers: arguments, then results, in the order of the call; several under one label become
            a tuple of arrays.
        given: labels, or tuples of them, in the order in which the body takes them.
    """
    flat, arrays = [], {}
    for label, group in buffers:
        some = [group] if isinstance(group, Buffer) else group
        views = [_view(len(flat) + k, of.axes) for k, of in enumerate(some)]
        flat += some
        arrays[label] = views[0] if isinstance(group, Buffer) else f"({', '.join(views)},)"
    parameters = ", ".join(f"p{k}, s{k}" for k in range(len(flat)))
    mark = hashlib.sha256(repr((buffers, given)).encode()).hexdigest()[:16]
    source = f"""
def {name}_{mark}({parameters}, member, members, tally):
    body({", ".join(_joined(of, arrays) for of in given)}, unsigned(member), unsigned(members))
"""
    space: dict[str, Any] = {
        "__name__": __name__,
        "carray": carray,
        "unsigned": np.uint64,
        "body": body,
    }
    exec(compile(source, __file__, "exec"), space)
    return compiled(space[f"{name}_{mark}"], [of.dtype for of in flat])


def _view(k: int, axes: int) -> str:
    shape = "".join(f"s{k}[{axis}], " for axis in range(axes)) or "1, "
    return f"carray(p{k}, ({shape}))"


def _joined(given: Any, arrays: dict[str, str]) -> str:
    if isinstance(given, str):
        return arrays[given]
    return f"({', '.join(_joined(of, arrays) for of in given)},)"

"""What one cell computes: a flat list of instructions on scalars."""

from typing import Any, NamedTuple

import numpy as np


class Unsupported(Exception):
    """A traced function has no vector code; the text says because of what."""


class Constant(NamedTuple):
    """A value known when the code is made."""

    value: np.ndarray


class Instruction(NamedTuple):
    """One primitive applied to scalars of one cell; values are numbered."""

    primitive: str
    params: dict[str, Any]
    inputs: tuple[int | Constant, ...]
    output: int
    input_dtypes: tuple[str, ...]
    dtype: str


class Program(NamedTuple):
    """A traced function as a flat list of instructions."""

    inputs: tuple[int, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int | Constant, ...]

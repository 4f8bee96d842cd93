"""Fewer and cheaper instructions for the same formula, with the roundings of XLA's own code.

    x / c       -> x (1 / c)           where c is the same in many cells, and x is not
    x y + z     -> multiply_add        rounded once; where nothing else uses the product
    x y - z     -> multiply_subtract
    z - x y     -> subtract_product

What becomes of a quotient or a sum is decided here, on the list of instructions, and not by the
compiler: it is the same in every lane, in the remainder of a range, and on every device.
"""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false

from collections import Counter
from collections.abc import Iterable

import numpy as np
from llvmlite import ir

from distdyn.ops.lanes.emission import EMITTERS, Emission
from distdyn.ops.lanes.program import Constant, Instruction, Program

FLOATS = ("float32", "float64")


def with_reciprocals(program: Program, per_cell: Iterable[int]) -> Program:
    """The program, with multiplications for divisions of a cell's value by one of many cells.

    Args:
        program: a flat one.
        per_cell: its inputs that differ from cell to cell.
    """
    varies, instructions = set(per_cell), []
    inverse: dict[int, int] = {}  # the reciprocal of each divisor
    following = 1 + max((*program.inputs, *(of.output for of in program.instructions)), default=0)
    for instruction in program.instructions:
        varying = [not isinstance(x, Constant) and x in varies for x in instruction.inputs]
        if any(varying):
            varies.add(instruction.output)
        if instruction.primitive == "div" and instruction.dtype in FLOATS and varying[0]:
            x, by = instruction.inputs
            if isinstance(by, Constant):
                with np.errstate(divide="ignore"):
                    inverted = Constant(1 / np.asarray(by.value, instruction.dtype))
                instruction = instruction._replace(primitive="mul", inputs=(x, inverted))
            elif not varying[1]:
                if by not in inverse:
                    inverse[by] = following
                    one = Constant(np.ones((), instruction.dtype))
                    instructions.append(instruction._replace(inputs=(one, by), output=following))
                    following += 1
                instruction = instruction._replace(primitive="mul", inputs=(x, inverse[by]))
        instructions.append(instruction)
    return program._replace(instructions=tuple(instructions))


def fused(program: Program) -> Program:
    """The program, where a product that one sum or difference alone uses is part of it.

    Of two products the first is taken, and the second is rounded by itself.
    """
    uses = Counter(
        value
        for values in (program.outputs, *(of.inputs for of in program.instructions))
        for value in values
        if not isinstance(value, Constant)
    )
    products = {
        of.output: of
        for of in program.instructions
        if of.primitive == "mul" and of.dtype in FLOATS and uses[of.output] == 1
    }
    instructions, taken = [], set()
    for instruction in program.instructions:
        names = _SUMS.get(instruction.primitive, ())
        for place, (name, value) in enumerate(zip(names, instruction.inputs, strict=False)):
            if not isinstance(value, Constant) and value in products:
                taken.add(value)
                instruction = _with_product(instruction, name, products[value], 1 - place)
                break
        instructions.append(instruction)
    kept = tuple(of for of in instructions if of.output not in taken)
    return program._replace(instructions=kept)


_SUMS = {  # what a sum becomes if its first operand is the product, or its second
    "add": ("multiply_add", "multiply_add"),
    "add_any": ("multiply_add", "multiply_add"),
    "sub": ("multiply_subtract", "subtract_product"),
}


def _with_product(sum: Instruction, name: str, product: Instruction, other: int) -> Instruction:
    return sum._replace(
        primitive=name,
        inputs=(*product.inputs, sum.inputs[other]),
        input_dtypes=(*product.input_dtypes, sum.input_dtypes[other]),
    )


def _multiply_add(e: Emission, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    return e.multiply_add(x, y, z)


def _multiply_subtract(e: Emission, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    return e.multiply_add(x, y, e.builder.fneg(z))


def _subtract_product(e: Emission, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    return e.multiply_add(e.builder.fneg(x), y, z)


EMITTERS |= {
    "multiply_add": _multiply_add,
    "multiply_subtract": _multiply_subtract,
    "subtract_product": _subtract_product,
}

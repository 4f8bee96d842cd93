"""Emitting the instructions of a program in a number of lanes.

    environment = Environment(builder, module, width=8)
    environment.define(0, value)              # the inputs of a program, by number
    environment.run(instruction)              # by the emitter of its primitive

What emits a primitive is in the table EMITTERS, what reads and writes memories in RINGS.
"""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportAssignmentType=false

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llvmlite import ir

from distdyn.ops import ffi
from distdyn.ops.lanes.program import Constant, Instruction, Program, Unsupported

I32 = ir.IntType(32)
FLOAT32, FLOAT64 = ir.FloatType(), ir.DoubleType()
MEMORY = {
    "float32": FLOAT32,
    "float64": FLOAT64,
    "bool": ir.IntType(8),
    **{f"{sign}int{bits}": ir.IntType(bits) for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
TYPES = MEMORY | {"bool": ir.IntType(1)}
EMITTERS: dict[str, Callable[..., ir.Value]] = {}  # of operands, given as values
RINGS: dict[str, Callable[..., Any]] = {}  # of operands, given by their numbers


def vector(element: ir.Type, width: int) -> ir.Type:
    """The type of this many lanes; one lane is a plain scalar."""
    return ir.VectorType(element, width) if width > 1 else element


def fill(type: ir.Type, value: Any) -> ir.Constant:
    """A constant in every lane."""
    if isinstance(type, ir.VectorType):
        return ir.Constant(type, [fill(type.element, value)] * type.count)
    if isinstance(type, ir.IntType):
        return ir.Constant(type, int(value) & ((1 << type.width) - 1))
    return ir.Constant(type, float(value))


class Ring(NamedTuple):
    """The memory of each lane: `slots` numbers, one lane's after the other's."""

    pointer: ir.Value
    slots: int
    cell: ir.Value  # of the first lane


class Environment:
    """The values of a program at one loop level, and how to emit instructions there."""

    def __init__(self, builder: ir.IRBuilder, module: ir.Module, width: int = 1, outer=None):
        self.builder, self.module, self.width, self.outer = builder, module, width, outer
        self.values: dict[int, ir.Value] = {}

    def child(self, width: int) -> "Environment":
        """An environment of an inner loop; values from here are broadcast to its lanes."""
        return Environment(self.builder, self.module, width, self)

    def define(self, number: int, value: ir.Value) -> None:
        self.values[number] = value

    def read(self, number: int | Constant, dtype: str) -> ir.Value:
        """A value in as many lanes as this environment has."""
        type = vector(TYPES[dtype], self.width)
        if isinstance(number, Constant):
            return fill(type, number.value)
        if number in self.values:
            return self.values[number]
        if self.outer is None:
            raise KeyError(number)
        value = self.outer.read(number, dtype)
        if self.width > self.outer.width:
            value = self.splat(value)
        self.values[number] = value
        return value

    def splat(self, value: ir.Value) -> ir.Value:
        type = ir.VectorType(value.type, self.width)
        single = self.builder.insert_element(ir.Constant(type, ir.Undefined), value, I32(0))
        zeros = ir.Constant(ir.VectorType(I32, self.width), None)
        return self.builder.shuffle_vector(single, ir.Constant(type, ir.Undefined), zeros)

    def run(self, instruction: Instruction) -> None:
        """Emit one instruction and keep its value."""
        if instruction.primitive in RINGS:
            emit = RINGS[instruction.primitive]
            self.values[instruction.output] = emit(Emission(self, instruction), *instruction.inputs)
            return
        inputs = [
            self.read(number, dtype)
            for number, dtype in zip(instruction.inputs, instruction.input_dtypes, strict=True)
        ]
        emit = EMITTERS[instruction.primitive]
        self.values[instruction.output] = emit(Emission(self, instruction), *inputs)


class Emission(NamedTuple):
    """One instruction being emitted: types at hand, and shorthands for intrinsics."""

    environment: Environment
    instruction: Instruction

    @property
    def builder(self) -> ir.IRBuilder:
        return self.environment.builder

    @property
    def dtype(self) -> str:
        """The dtype of the first operand, on which the meaning of an instruction depends."""
        return self.instruction.input_dtypes[0]

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def is_signed(self) -> bool:
        return self.dtype.startswith("int")

    def demand_float(self) -> None:
        """Raise Unsupported if the first operand is no floating number."""
        if not self.is_float:
            raise Unsupported(f"{self.instruction.primitive} of {self.dtype}")

    def type(self, dtype: str) -> ir.Type:
        return vector(TYPES[dtype], self.environment.width)

    def constant(self, value: Any, dtype: str | None = None) -> ir.Constant:
        return fill(self.type(dtype or self.dtype), value)

    def branch(self, program: Program, values: Sequence[ir.Value]) -> ir.Value:
        """Emit a program of one result, here, with these values as its inputs."""
        outer = self.environment
        inner = Environment(outer.builder, outer.module, outer.width)
        for number, value in zip(program.inputs, values, strict=True):
            inner.define(number, value)
        for instruction in program.instructions:
            inner.run(instruction)
        return inner.read(program.outputs[0], self.instruction.dtype)

    def is_all(self, mask: ir.Value) -> ir.Value:
        """Whether a mask is set in every lane."""
        width = self.environment.width
        bits = ir.IntType(width)
        mask = self.builder.bitcast(mask, bits) if width > 1 else mask
        return self.builder.icmp_unsigned("==", mask, bits(-1))

    def intrinsic(self, name: str, *values: ir.Value, result: ir.Type | None = None) -> ir.Value:
        """Call an LLVM intrinsic whose overloads are the result's and operands' types as needed."""
        result = result or values[0].type
        overloads = [result] if result is values[0].type else [result, values[0].type]
        full = ".".join(["llvm", name, *map(_mangled, overloads)])
        return self.builder.call(self.declared(full, result, [v.type for v in values]), values)

    def multiply_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """The sum x y + z, rounded once where the processor can do that."""
        if ffi.fuses():
            return self.intrinsic("fma", x, y, z)
        return self.builder.fadd(self.builder.fmul(x, y), z)

    def declared(self, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
        module = self.environment.module
        if name in module.globals:
            return module.globals[name]
        return ir.Function(module, ir.FunctionType(result, arguments), name)

    def library(self, name: str, *values: ir.Value) -> ir.Value:
        """Call the C library's function in each lane."""
        builder, width = self.builder, self.environment.width
        scalar = TYPES[self.dtype]
        symbol = name + ("f" if self.dtype == "float32" else "")
        function = self.declared(symbol, scalar, [scalar] * len(values))
        if width == 1:
            return builder.call(function, values)
        result = ir.Constant(values[0].type, ir.Undefined)
        for lane in range(width):
            one = builder.call(function, [builder.extract_element(v, I32(lane)) for v in values])
            result = builder.insert_element(result, one, I32(lane))
        return result


def _mangled(type: ir.Type) -> str:
    if isinstance(type, ir.VectorType):
        return f"v{type.count}{_mangled(type.element)}"
    return (
        f"i{type.width}" if isinstance(type, ir.IntType) else {FLOAT32: "f32", FLOAT64: "f64"}[type]
    )

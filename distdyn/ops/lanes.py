"""JAX primitives as LLVM vector instructions: what one cell computes, for several cells at once.

A traced function becomes a flat list of `Instruction`s (calls inlined); an `Environment` emits them
for a number of lanes. exp, expm1, tanh and logistic have code of their own, with errors of at most
3 ulp; what else needs a mathematical library calls the C one, lane by lane. No instruction carries
a fast-math flag: nothing is reassociated or contracted.
"""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportAssignmentType=false

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir

from distdyn._jax import Literal
from distdyn.ops import memory

FLOAT32, FLOAT64 = ir.FloatType(), ir.DoubleType()
MEMORY = {
    "float32": FLOAT32,
    "float64": FLOAT64,
    "bool": ir.IntType(8),
    **{f"{sign}int{bits}": ir.IntType(bits) for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
TYPES = MEMORY | {"bool": ir.IntType(1)}
CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint")
OF_RINGS = {memory.READ: 2, memory.WRITE: 3, memory.SUM: 3}  # how many operands


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


def flatten(closed: Any) -> Program:
    """The jaxpr of a function of scalars, with every call inlined."""
    instructions: list[Instruction] = []
    counter = iter(range(1 << 31))

    def walk(jaxpr: Any, consts: list, arguments: list) -> list:
        known = dict(zip(jaxpr.constvars, consts, strict=True))
        known |= dict(zip(jaxpr.invars, arguments, strict=True))

        def value(atom: Any) -> int | Constant:
            return Constant(np.asarray(atom.val)) if isinstance(atom, Literal) else known[atom]

        for equation in jaxpr.eqns:
            name, params = equation.primitive.name, equation.params
            inputs = [value(atom) for atom in equation.invars]
            is_of_ring = name in CALLS and OF_RINGS.get(params.get("name")) == len(inputs)
            inner = None if is_of_ring else _inner(name, params)
            if inner is not None:
                consts = [Constant(np.asarray(c)) for c in inner.consts]
                known |= dict(zip(equation.outvars, walk(inner.jaxpr, consts, inputs), strict=True))
                continue
            for atom in (*equation.invars, *equation.outvars):
                if atom.aval.shape != () and not is_of_ring:
                    raise Unsupported(f"{name} of shape {atom.aval.shape}")
            name = params["name"] if is_of_ring else name
            if len(equation.outvars) != 1:
                raise Unsupported(f"{name} with {len(equation.outvars)} results")
            if name in COPIES:
                known[equation.outvars[0]] = inputs[0]
                continue
            if name == "cond":
                params = {"branches": tuple(flatten(branch) for branch in params["branches"])}
            if name not in EMITTERS and not is_of_ring:
                raise Unsupported(name)
            output = next(counter)
            known[equation.outvars[0]] = output
            instructions.append(
                Instruction(
                    name,
                    {} if is_of_ring else dict(params),
                    tuple(inputs),
                    output,
                    tuple(str(atom.aval.dtype) for atom in equation.invars),
                    str(equation.outvars[0].aval.dtype),
                )
            )
        return [value(atom) for atom in jaxpr.outvars]

    arguments = [next(counter) for _ in closed.jaxpr.invars]
    consts = [Constant(np.asarray(c)) for c in closed.consts]
    outputs = walk(closed.jaxpr, consts, arguments)
    return _once(Program(tuple(arguments), tuple(instructions), tuple(outputs)))


def _once(program: Program) -> Program:
    """The same with nothing computed twice, and nothing that is not used.

    Derivatives by `jvp` evaluate their function again for each direction. LLVM does not see that
    two exponential functions are one: there are branches in them.
    """
    first: dict[Any, int] = {}
    same: dict[int, int] = {}
    kept = []

    def renamed(values: Sequence[int | Constant]) -> tuple[int | Constant, ...]:
        return tuple(v if isinstance(v, Constant) else same.get(v, v) for v in values)

    for instruction in program.instructions:
        instruction = instruction._replace(inputs=renamed(instruction.inputs))
        what = tuple(
            (v.value.dtype.str, v.value.tobytes()) if isinstance(v, Constant) else v
            for v in instruction.inputs
        )
        if instruction.primitive == "cond":  # its branches are not compared
            what = (*what, instruction.output)
        else:
            what = (*what, repr(sorted(instruction.params.items())))
        key = instruction.primitive, instruction.input_dtypes, instruction.dtype, what
        if key in first:
            same[instruction.output] = first[key]
        else:
            first[key] = instruction.output
            kept.append(instruction)
    outputs = renamed(program.outputs)
    used = {v for v in outputs if not isinstance(v, Constant)}
    instructions = []
    for instruction in reversed(kept):
        if instruction.output in used:
            used.update(v for v in instruction.inputs if not isinstance(v, Constant))
            instructions.append(instruction)
    return Program(program.inputs, tuple(reversed(instructions)), outputs)


COPIES = ("copy", "copy_p", "broadcast_in_dim", "reshape", "squeeze", "stop_gradient", "pvary")


def _inner(name: str, params: dict[str, Any]) -> Any:
    """The closed jaxpr of a call, or None for a primitive proper."""
    if name in CALLS:
        inner = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
        return inner if hasattr(inner, "consts") else _Closed(inner, [])
    if name in ("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"):
        inner = params.get("call_jaxpr") or params["fun_jaxpr"]
        return inner if hasattr(inner, "consts") else _Closed(inner, [])
    return None


class _Closed(NamedTuple):
    jaxpr: Any
    consts: list


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


I32 = ir.IntType(32)


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


# --- arithmetic ----------------------------------------------------------------------------------


def _binary(floating: str, integer: str) -> Callable:
    def emit(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
        return getattr(e.builder, floating if e.is_float else integer)(x, y)

    return emit


def _floating(e: Emission) -> None:
    if not e.is_float:
        raise Unsupported(f"{e.instruction.primitive} of {e.dtype}")


def _divide(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
    _floating(e)  # integers: LLVM leaves division by zero undefined
    return e.builder.fdiv(x, y)


def _remainder(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
    divisor = e.instruction.inputs[1]
    if not e.is_float and isinstance(divisor, Constant) and divisor.value > 0:
        return (e.builder.srem if e.is_signed else e.builder.urem)(x, y)
    _floating(e)  # integers: LLVM leaves the remainder by zero undefined
    return e.library("fmod", x, y)


def _negate(e: Emission, x: ir.Value) -> ir.Value:
    return e.builder.fneg(x) if e.is_float else e.builder.neg(x)


def _absolute(e: Emission, x: ir.Value) -> ir.Value:
    if e.is_float:
        return e.intrinsic("fabs", x)
    return e.builder.select(e.builder.icmp_signed("<", x, e.constant(0)), e.builder.neg(x), x)


def _sign(e: Emission, x: ir.Value) -> ir.Value:
    _floating(e)
    one = e.intrinsic("copysign", e.constant(1.0), x)
    is_other = e.builder.fcmp_unordered("==", x, e.constant(0.0))  # 0, -0 and NaN stay
    return e.builder.select(is_other, x, one)


def _extreme(intrinsic: str, comparison: str) -> Callable:
    def emit(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
        if e.is_float:
            return e.intrinsic(intrinsic, x, y)  # NaN propagates, as in XLA
        return e.builder.select(_compare_integers(e, comparison, x, y), x, y)

    return emit


def _clamp(e: Emission, low: ir.Value, x: ir.Value, high: ir.Value) -> ir.Value:
    return EMITTERS["min"](e, EMITTERS["max"](e, x, low), high)


def _integer_power(e: Emission, x: ir.Value) -> ir.Value:
    _floating(e)
    exponent, power, square = e.instruction.params["y"], None, x
    for bit in reversed(bin(abs(exponent))[2:]):
        if bit == "1":
            power = square if power is None else e.builder.fmul(power, square)
        square = e.builder.fmul(square, square)
    power = e.constant(1.0) if power is None else power
    return e.builder.fdiv(e.constant(1.0), power) if exponent < 0 else power


def _square(e: Emission, x: ir.Value) -> ir.Value:
    return e.builder.fmul(x, x) if e.is_float else e.builder.mul(x, x)


def _rounded(e: Emission, x: ir.Value) -> ir.Value:
    to_even = int(e.instruction.params["rounding_method"]) == 1
    return e.intrinsic("roundeven" if to_even else "round", x)


def _rsqrt(e: Emission, x: ir.Value) -> ir.Value:
    return e.builder.fdiv(e.constant(1.0), e.intrinsic("sqrt", x))


# --- comparison, logic, bits ---------------------------------------------------------------------


def _compare_integers(e: Emission, operator: str, x: ir.Value, y: ir.Value) -> ir.Value:
    return (e.builder.icmp_signed if e.is_signed else e.builder.icmp_unsigned)(operator, x, y)


def _compare(operator: str) -> Callable:
    def emit(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
        if not e.is_float:
            return _compare_integers(e, operator, x, y)
        ordered = e.builder.fcmp_unordered if operator == "!=" else e.builder.fcmp_ordered
        return ordered(operator, x, y)

    return emit


def _select(e: Emission, which: ir.Value, *cases: ir.Value) -> ir.Value:
    if e.dtype != "bool" or len(cases) != 2:
        raise Unsupported(f"select_n of {len(cases)} cases by {e.dtype}")
    return e.builder.select(which, cases[1], cases[0])


def _cond(e: Emission, which: ir.Value, *operands: ir.Value) -> ir.Value:
    """The first branch in every lane, the second where one of the lanes takes it."""
    if len(e.instruction.params["branches"]) != 2:
        raise Unsupported("cond of more than two branches")
    builder, width = e.builder, e.environment.width
    usual, special = e.instruction.params["branches"]
    is_special = builder.icmp_unsigned("!=", which, e.constant(0))
    mask = builder.bitcast(is_special, ir.IntType(width)) if width > 1 else is_special
    is_any = builder.icmp_unsigned("!=", mask, ir.IntType(width)(0))
    value = e.branch(usual, operands)
    before = builder.block
    with builder.if_then(is_any, likely=False):
        other = builder.select(is_special, e.branch(special, operands), value)
        inside = builder.block
    result = builder.phi(value.type)
    result.add_incoming(value, before)
    result.add_incoming(other, inside)
    return result


def _shift(method: str) -> Callable:
    def emit(e: Emission, x: ir.Value, by: ir.Value) -> ir.Value:
        bits = np.dtype(e.dtype).itemsize * 8
        arithmetic = method == "ashr"
        limit = e.constant(bits - 1)
        beyond = e.builder.icmp_unsigned(">", by, limit)  # LLVM leaves that undefined
        shifted = getattr(e.builder, method)(x, e.builder.select(beyond, limit, by))
        return shifted if arithmetic else e.builder.select(beyond, e.constant(0), shifted)

    return emit


def _convert(e: Emission, x: ir.Value) -> ir.Value:
    source, target = e.dtype, e.instruction.dtype
    builder, type = e.builder, e.type(target)
    if source == target:
        return x
    from_float, to_float = source.startswith("float"), target.startswith("float")
    if target == "bool":
        return EMITTERS["ne"](e, x, e.constant(0))
    if from_float and to_float:
        return (builder.fpext if target == "float64" else builder.fptrunc)(x, type)
    if from_float:
        name = "fptosi.sat" if target.startswith("int") else "fptoui.sat"
        return e.intrinsic(name, x, result=type)
    is_signed = e.is_signed
    if to_float:
        return (builder.sitofp if is_signed else builder.uitofp)(x, type)
    width = np.dtype(target).itemsize - (0 if source == "bool" else np.dtype(source).itemsize)
    if width == 0:
        return x
    return (
        builder.trunc(x, type)
        if width < 0
        else (builder.sext if is_signed else builder.zext)(x, type)
    )


def _bitcast(e: Emission, x: ir.Value) -> ir.Value:
    return e.builder.bitcast(x, e.type(e.instruction.dtype))


def _is_finite(e: Emission, x: ir.Value) -> ir.Value:
    return e.builder.fcmp_ordered("!=", e.intrinsic("fabs", x), e.constant(math.inf))


# --- exponentials --------------------------------------------------------------------------------


class _Exponential(NamedTuple):
    """x = k ln 2 + r with |r| <= ln 2 / 2; expm1(r) by its Taylor sum of this degree."""

    degree: int
    low: float
    high: float
    ln2_high: float
    ln2_low: float
    bits: str
    bias: int
    mantissa: int


# ln 2 split so that k * ln2_high is exact (Cody and Waite 1980)
EXPONENTIAL = {
    "float32": _Exponential(8, -104.0, 89.0, 0.693359375, -2.12194440e-4, "int32", 127, 23),
    "float64": _Exponential(
        14, -746.0, 710.0, 6.93147180369123816490e-01, 1.90821492927058770002e-10, "int64", 1023, 52
    ),
}
SMALL = 0.34  # below ln 2 / 2, so that k = 0
USUAL = 40.0  # 2^58: far from where 2^k overflows, and below 2^60


def _reduced(e: Emission, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """k, a whole number, and expm1(r)."""
    form, b = EXPONENTIAL[e.dtype], e.builder
    k = e.intrinsic("roundeven", b.fmul(x, e.constant(1 / math.log(2))))
    r = b.fsub(x, b.fmul(k, e.constant(form.ln2_high)))
    r = b.fsub(r, b.fmul(k, e.constant(form.ln2_low)))
    return b.fptosi(k, e.type(form.bits)), _taylor(e, r)


def _taylor(e: Emission, r: ir.Value) -> ir.Value:
    """expm1(r)."""
    form, b = EXPONENTIAL[e.dtype], e.builder
    tail = e.constant(1 / math.factorial(form.degree))
    for order in range(form.degree - 1, 1, -1):
        tail = b.fadd(b.fmul(tail, r), e.constant(1 / math.factorial(order)))
    return b.fadd(b.fmul(b.fmul(tail, r), r), r)


def _power(e: Emission, k: ir.Value) -> ir.Value:
    """2^k, for k from 1 - bias to bias."""
    form, b = EXPONENTIAL[e.dtype], e.builder
    biased = b.add(k, e.constant(form.bias, form.bits))
    shifted = b.shl(biased, e.constant(form.mantissa, form.bits))
    return b.bitcast(shifted, e.type(e.dtype))


def _reduced_any(e: Emission, x: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """expm1(r), and two powers of two whose product is 2^k."""
    form, b = EXPONENTIAL[e.dtype], e.builder
    x = e.intrinsic("minnum", e.intrinsic("maxnum", x, e.constant(form.low)), e.constant(form.high))
    k, p = _reduced(e, x)
    half = b.ashr(k, e.constant(1, form.bits))
    return p, _power(e, half), _power(e, b.sub(k, half))


def _choose(e: Emission, is_usual: ir.Value, usual: Callable, other: Callable) -> ir.Value:
    """`usual` where every lane of the mask is set, else `other`, which holds for any."""
    b = e.builder
    with b.if_else(e.is_all(is_usual), likely=True) as (then, otherwise):
        with then:
            value, inside = usual(), b.block
        with otherwise:
            other_value, outside = other(), b.block
    result = b.phi(value.type)
    result.add_incoming(value, inside)
    result.add_incoming(other_value, outside)
    return result


def _is_below(e: Emission, x: ir.Value, bound: float) -> ir.Value:
    return e.builder.fcmp_ordered("<=", e.intrinsic("fabs", x), e.constant(bound))


def _usual(e: Emission, x: ir.Value, usual: Callable, other: Callable) -> ir.Value:
    """Where all lanes are in the range in which 2^k is a normal number, and not NaN, `usual`."""
    _floating(e)
    return _choose(e, _is_below(e, x, USUAL), lambda: usual(e, x), lambda: other(e, x))


def _exp(e: Emission, x: ir.Value) -> ir.Value:
    return _usual(e, x, _exp_usual, _exp_any)


def _exp_usual(e: Emission, x: ir.Value) -> ir.Value:
    k, p = _reduced(e, x)
    return e.builder.fmul(e.builder.fadd(p, e.constant(1.0)), _power(e, k))


def _exp_any(e: Emission, x: ir.Value) -> ir.Value:
    p, first, second = _reduced_any(e, x)
    b = e.builder
    value = b.fmul(b.fmul(b.fadd(p, e.constant(1.0)), first), second)
    return b.select(b.fcmp_unordered("uno", x, x), x, value)


def _expm1(e: Emission, x: ir.Value) -> ir.Value:
    _floating(e)

    def small() -> ir.Value:
        zero = e.constant(0.0)  # added as it is for any k: no result is -0
        return e.builder.fadd(_taylor(e, e.builder.fadd(x, zero)), zero)

    def other() -> ir.Value:
        return _usual(e, x, _expm1_usual, _expm1_any)

    return _choose(e, _is_below(e, x, SMALL), small, other)


def _expm1_usual(e: Emission, x: ir.Value) -> ir.Value:
    k, p = _reduced(e, x)
    b, scale = e.builder, _power(e, k)
    return b.fadd(b.fmul(p, scale), b.fsub(scale, e.constant(1.0)))


def _expm1_any(e: Emission, x: ir.Value) -> ir.Value:
    p, first, second = _reduced_any(e, x)
    b = e.builder
    scale = b.fmul(first, second)
    value = b.fadd(b.fmul(p, scale), b.fsub(scale, e.constant(1.0)))
    large = b.fmul(b.fmul(b.fadd(p, e.constant(1.0)), first), second)  # the scale may overflow
    value = b.select(b.fcmp_ordered(">", scale, e.constant(2.0**60)), large, value)
    return b.select(b.fcmp_unordered("uno", x, x), x, value)


def _exp2(e: Emission, x: ir.Value) -> ir.Value:
    return e.library("exp2", x)


def _logistic(e: Emission, x: ir.Value) -> ir.Value:
    one = e.constant(1.0)
    return e.builder.fdiv(one, e.builder.fadd(one, _exp(e, e.builder.fneg(x))))


def _tanh(e: Emission, x: ir.Value) -> ir.Value:
    b = e.builder
    size = e.intrinsic("fabs", x)
    twice = _expm1(e, b.fadd(size, size))
    ratio = b.fdiv(twice, b.fadd(twice, e.constant(2.0)))
    is_large = b.fcmp_ordered(">", size, e.constant(20.0))
    return e.intrinsic("copysign", b.select(is_large, e.constant(1.0), ratio), x)


def _library(name: str) -> Callable:
    def emit(e: Emission, *values: ir.Value) -> ir.Value:
        _floating(e)
        return e.library(name, *values)

    return emit


def _intrinsic(name: str) -> Callable:
    def emit(e: Emission, *values: ir.Value) -> ir.Value:
        _floating(e)
        return e.intrinsic(name, *values)

    return emit


def _logic(method: str) -> Callable:
    def emit(e: Emission, *values: ir.Value) -> ir.Value:
        return getattr(e.builder, method)(*values)

    return emit


# --- rings ---------------------------------------------------------------------------------------


def _ring_of(e: Emission, number: int | Constant) -> Ring:
    ring = e.environment.values.get(number) if isinstance(number, int) else None
    if not isinstance(ring, Ring):
        raise Unsupported(f"{e.instruction.primitive} of what is not a cell's memory as it is now")
    return ring


def _element(e: Emission, ring: Ring, lane: int, slot: ir.Value) -> ir.Value:
    """The address of a lane's slot, int64."""
    b, I64 = e.builder, ir.IntType(64)
    cell = b.add(ring.cell, I64(lane))
    place = b.add(b.mul(cell, I64(ring.slots)), slot)
    return b.gep(ring.pointer, [place], source_etype=TYPES[e.dtype])


def _lane(e: Emission, value: ir.Value, lane: int) -> ir.Value:
    return e.builder.extract_element(value, I32(lane)) if e.environment.width > 1 else value


def _gathered(e: Emission, values: list[ir.Value]) -> ir.Value:
    """One value per lane as a vector."""
    if len(values) == 1:
        return values[0]
    result = ir.Constant(ir.VectorType(values[0].type, len(values)), ir.Undefined)
    for lane, value in enumerate(values):
        result = e.builder.insert_element(result, value, I32(lane))
    return result


def _ring_read(e: Emission, ring: Any, slot: Any) -> ir.Value:
    of, slots = _ring_of(e, ring), e.environment.read(slot, "int32")
    size, values = np.dtype(e.dtype).itemsize, []
    for lane in range(e.environment.width):
        place = _element(e, of, lane, e.builder.sext(_lane(e, slots, lane), ir.IntType(64)))
        values.append(e.builder.load(place, align=size, typ=TYPES[e.dtype]))
    return _gathered(e, values)


def _ring_write(e: Emission, ring: Any, slot: Any, value: Any) -> Ring:
    of, slots = _ring_of(e, ring), e.environment.read(slot, "int32")
    values, size = e.environment.read(value, e.dtype), np.dtype(e.dtype).itemsize
    for lane in range(e.environment.width):
        place = _element(e, of, lane, e.builder.sext(_lane(e, slots, lane), ir.IntType(64)))
        e.builder.store(_lane(e, values, lane), place, align=size)
    del e.environment.values[ring]  # the ring before is not there any more
    return of


def _ring_weighted(e: Emission, ring: Any, weights: Any, newest: Any) -> ir.Value:
    """One slot after the other, so that a lane sums in the order in which the others do."""
    of, b, I64 = _ring_of(e, ring), e.builder, ir.IntType(64)
    if not isinstance(weights, Constant):
        raise Unsupported("ring_sum with weights that are not known when the code is made")
    size, type = np.dtype(e.dtype).itemsize, TYPES[e.dtype]
    table = _table(e, weights.value)
    first = b.sub(I64(of.slots - 1), b.sext(_lane(e, e.environment.read(newest, "int32"), 0), I64))
    before = b.block
    body, after = b.append_basic_block("slot"), b.append_basic_block("summed")
    b.branch(body)
    b.position_at_end(body)
    slot, total = b.phi(I64), b.phi(e.type(e.dtype))
    slot.add_incoming(I64(0), before)
    total.add_incoming(e.constant(0.0), before)
    place = b.gep(table, [b.add(first, slot)], source_etype=type)
    weight = b.load(place, align=size, typ=type)
    values = [
        b.load(_element(e, of, lane, slot), align=size, typ=type)
        for lane in range(e.environment.width)
    ]
    if len(values) > 1:
        weight = e.environment.splat(weight)
    sum_ = b.fadd(total, b.fmul(weight, _gathered(e, values)))
    following = b.add(slot, I64(1))
    slot.add_incoming(following, b.block)
    total.add_incoming(sum_, b.block)
    b.cbranch(b.icmp_unsigned("<", following, I64(of.slots)), body, after)
    b.position_at_end(after)
    return sum_


def _table(e: Emission, values: np.ndarray) -> ir.Value:
    """The address of these numbers, which are kept with the code."""
    module, type = e.environment.module, ir.ArrayType(TYPES[e.dtype], len(values))
    table = ir.GlobalVariable(module, type, module.get_unique_name("weights"))
    table.initializer = ir.Constant(type, [fill(TYPES[e.dtype], x) for x in values])
    table.global_constant, table.linkage = True, "internal"
    return table


RINGS: dict[str, Callable[..., Any]] = {
    memory.READ: _ring_read,
    memory.WRITE: _ring_write,
    memory.SUM: _ring_weighted,
}


EMITTERS: dict[str, Callable[..., ir.Value]] = {
    "add": _binary("fadd", "add"),
    "add_any": _binary("fadd", "add"),
    "sub": _binary("fsub", "sub"),
    "mul": _binary("fmul", "mul"),
    "div": _divide,
    "rem": _remainder,
    "neg": _negate,
    "abs": _absolute,
    "sign": _sign,
    "max": _extreme("maximum", ">"),
    "min": _extreme("minimum", "<"),
    "clamp": _clamp,
    "integer_pow": _integer_power,
    "square": _square,
    "pow": _library("pow"),
    "sqrt": _intrinsic("sqrt"),
    "rsqrt": _rsqrt,
    "cbrt": _library("cbrt"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "round": _rounded,
    "eq": _compare("=="),
    "ne": _compare("!="),
    "lt": _compare("<"),
    "le": _compare("<="),
    "gt": _compare(">"),
    "ge": _compare(">="),
    "select_n": _select,
    "cond": _cond,
    "and": _logic("and_"),
    "or": _logic("or_"),
    "xor": _logic("xor"),
    "not": _logic("not_"),
    "shift_left": _shift("shl"),
    "shift_right_logical": _shift("lshr"),
    "shift_right_arithmetic": _shift("ashr"),
    "convert_element_type": _convert,
    "bitcast_convert_type": _bitcast,
    "is_finite": _is_finite,
    "exp": _exp,
    "expm1": _expm1,
    "exp2": _exp2,
    "logistic": _logistic,
    "tanh": _tanh,
    **{name: _library(name) for name in ("log", "log1p", "sin", "cos", "tan", "sinh", "cosh")},
    **{name: _library(name) for name in ("asin", "acos", "atan", "atan2", "erf", "erfc", "lgamma")},
    "asinh": _library("asinh"),
    "acosh": _library("acosh"),
    "atanh": _library("atanh"),
}

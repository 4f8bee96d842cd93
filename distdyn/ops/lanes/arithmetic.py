"""Sums, products, powers, roundings, and functions of the C library."""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportAssignmentType=false

from collections.abc import Callable

from llvmlite import ir

from distdyn.ops.lanes.emission import EMITTERS, Emission
from distdyn.ops.lanes.logic import compare_integers
from distdyn.ops.lanes.program import Constant


def _binary(floating: str, integer: str) -> Callable:
    def emit(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
        return getattr(e.builder, floating if e.is_float else integer)(x, y)

    return emit


def _divide(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
    e.demand_float()  # integers: LLVM leaves division by zero undefined
    return e.builder.fdiv(x, y)


def _remainder(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
    divisor = e.instruction.inputs[1]
    if not e.is_float and isinstance(divisor, Constant) and divisor.value > 0:
        return (e.builder.srem if e.is_signed else e.builder.urem)(x, y)
    e.demand_float()  # integers: LLVM leaves the remainder by zero undefined
    return e.library("fmod", x, y)


def _negate(e: Emission, x: ir.Value) -> ir.Value:
    return e.builder.fneg(x) if e.is_float else e.builder.neg(x)


def _absolute(e: Emission, x: ir.Value) -> ir.Value:
    if e.is_float:
        return e.intrinsic("fabs", x)
    return e.builder.select(e.builder.icmp_signed("<", x, e.constant(0)), e.builder.neg(x), x)


def _sign(e: Emission, x: ir.Value) -> ir.Value:
    e.demand_float()
    one = e.intrinsic("copysign", e.constant(1.0), x)
    is_other = e.builder.fcmp_unordered("==", x, e.constant(0.0))  # 0, -0 and NaN stay
    return e.builder.select(is_other, x, one)


def _extreme(intrinsic: str, comparison: str) -> Callable:
    def emit(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
        if e.is_float:
            return e.intrinsic(intrinsic, x, y)  # NaN propagates, as in XLA
        return e.builder.select(compare_integers(e, comparison, x, y), x, y)

    return emit


def _clamp(e: Emission, low: ir.Value, x: ir.Value, high: ir.Value) -> ir.Value:
    return EMITTERS["min"](e, EMITTERS["max"](e, x, low), high)


def _integer_power(e: Emission, x: ir.Value) -> ir.Value:
    e.demand_float()
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


def _library(name: str) -> Callable:
    def emit(e: Emission, *values: ir.Value) -> ir.Value:
        e.demand_float()
        return e.library(name, *values)

    return emit


def _intrinsic(name: str) -> Callable:
    def emit(e: Emission, *values: ir.Value) -> ir.Value:
        e.demand_float()
        return e.intrinsic(name, *values)

    return emit


LIBRARY = (
    *("pow", "cbrt", "exp2", "log", "log1p", "sin", "cos", "tan", "sinh", "cosh", "asin", "acos"),
    *("atan", "atan2", "erf", "erfc", "lgamma", "asinh", "acosh", "atanh"),
)
EMITTERS |= {
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
    "sqrt": _intrinsic("sqrt"),
    "rsqrt": _rsqrt,
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "round": _rounded,
    **{name: _library(name) for name in LIBRARY},
}

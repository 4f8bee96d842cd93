"""Comparisons, choices, bits, and conversions from type to type."""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportAssignmentType=false

import math
from collections.abc import Callable

import numpy as np
from llvmlite import ir

from distdyn.ops.lanes.emission import EMITTERS, Emission
from distdyn.ops.lanes.program import Unsupported


def compare_integers(e: Emission, operator: str, x: ir.Value, y: ir.Value) -> ir.Value:
    """Signed or not, as the operands are."""
    return (e.builder.icmp_signed if e.is_signed else e.builder.icmp_unsigned)(operator, x, y)


def _compare(operator: str) -> Callable:
    def emit(e: Emission, x: ir.Value, y: ir.Value) -> ir.Value:
        if not e.is_float:
            return compare_integers(e, operator, x, y)
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


def _logic(method: str) -> Callable:
    def emit(e: Emission, *values: ir.Value) -> ir.Value:
        return getattr(e.builder, method)(*values)

    return emit


EMITTERS |= {
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
}

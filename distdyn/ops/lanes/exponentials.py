"""exp, expm1, exprel, tanh and logistic, with errors of at most 3 ulp.

    exp(x) = 2^k (1 + expm1(r)),    x = k ln 2 + r,    |r| <= ln 2 / 2
    exprel(x) = expm1(x) / x, near 0 by its own series

Source: Cody & Waite (1980), Software Manual for the Elementary Functions, for the reduction.
"""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportAssignmentType=false

import math
from collections.abc import Callable
from typing import NamedTuple

from llvmlite import ir

from distdyn.ops.lanes.emission import EMITTERS, Emission


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
NEAR = 1.0  # to which exprel is summed as a series
SERIES = {"float32": 12, "float64": 19}  # how many terms; the next one is below the rounding
USUAL = 40.0  # 2^58: far from where 2^k overflows, and below 2^60


def _reduced(e: Emission, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """k, a whole number, and expm1(r)."""
    form, b = EXPONENTIAL[e.dtype], e.builder
    k = e.intrinsic("roundeven", b.fmul(x, e.constant(1 / math.log(2))))
    r = b.fsub(x, b.fmul(k, e.constant(form.ln2_high)))  # the product is exact
    r = e.multiply_add(k, e.constant(-form.ln2_low), r)
    return b.fptosi(k, e.type(form.bits)), _taylor(e, r)


def _taylor(e: Emission, r: ir.Value) -> ir.Value:
    """expm1(r)."""
    form, b = EXPONENTIAL[e.dtype], e.builder
    tail = e.constant(1 / math.factorial(form.degree))
    for order in range(form.degree - 1, 1, -1):
        tail = e.multiply_add(tail, r, e.constant(1 / math.factorial(order)))
    return e.multiply_add(b.fmul(tail, r), r, r)


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
    e.demand_float()
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
    e.demand_float()

    def small() -> ir.Value:
        zero = e.constant(0.0)  # added as it is for any k: no result is -0
        return e.builder.fadd(_taylor(e, e.builder.fadd(x, zero)), zero)

    def other() -> ir.Value:
        return _usual(e, x, _expm1_usual, _expm1_any)

    return _choose(e, _is_below(e, x, SMALL), small, other)


def _expm1_usual(e: Emission, x: ir.Value) -> ir.Value:
    k, p = _reduced(e, x)
    b, scale = e.builder, _power(e, k)
    return e.multiply_add(p, scale, b.fsub(scale, e.constant(1.0)))


def _expm1_any(e: Emission, x: ir.Value) -> ir.Value:
    p, first, second = _reduced_any(e, x)
    b = e.builder
    scale = b.fmul(first, second)
    value = e.multiply_add(p, scale, b.fsub(scale, e.constant(1.0)))
    large = b.fmul(b.fmul(b.fadd(p, e.constant(1.0)), first), second)  # the scale may overflow
    value = b.select(b.fcmp_ordered(">", scale, e.constant(2.0**60)), large, value)
    return b.select(b.fcmp_unordered("uno", x, x), x, value)


def _exprel(e: Emission, x: ir.Value) -> ir.Value:
    e.demand_float()

    def other() -> ir.Value:
        ratio = e.builder.fdiv(_usual(e, x, _expm1_usual, _expm1_any), x)
        return e.builder.select(is_near, _series(e, x), ratio)

    is_near = _is_below(e, x, NEAR)
    return _choose(e, is_near, lambda: _series(e, x), other)


def _series(e: Emission, x: ir.Value) -> ir.Value:
    """exprel(x) near 0: the sum of x^k / (k + 1)!, even and odd powers side by side."""
    square = e.builder.fmul(x, x)
    sums = []
    for parity in (0, 1):
        *rest, last = range(parity, SERIES[e.dtype], 2)
        sum_ = e.constant(1 / math.factorial(last + 1))
        for power in reversed(rest):
            sum_ = e.multiply_add(sum_, square, e.constant(1 / math.factorial(power + 1)))
        sums.append(sum_)
    even, odd = sums
    return e.multiply_add(odd, x, even)


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


EMITTERS |= {
    "exp": _exp, "expm1": _expm1, "distdyn_exprel": _exprel, "logistic": _logistic, "tanh": _tanh,
}  # fmt: skip

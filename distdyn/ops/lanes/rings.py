"""Memories of cells: read, written and summed lane by lane."""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportAssignmentType=false

from typing import Any

import numpy as np
from llvmlite import ir

from distdyn.ops import memory
from distdyn.ops.lanes.emission import I32, RINGS, TYPES, Emission, Ring, fill
from distdyn.ops.lanes.program import Constant, Unsupported


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


RINGS |= {memory.READ: _ring_read, memory.WRITE: _ring_write, memory.SUM: _ring_weighted}

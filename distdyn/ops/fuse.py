"""One pass over memory: compile a function of one cell into a loop over all cells.

The function is written in jax.numpy for a single cell; every value in it is a scalar. Tracing gives
its jaxpr, and each equation belongs to the slowest loop that its operands allow: once per call
(time, random keys), once per segment (constants of one population), or once per cell. Emitting that
as LLVM vector code gives what XLA on CPU does not: all outputs in a single loop, state updated in
place, the ring slot read and cleared, and the cells that spike appended to a list.

A lane of the vector code does what the scalar code of the remainder does, operation by operation:
which products are rounded is decided before (`lanes.fused`), not by the compiler. So a cell's
result does not depend on where in the array it stands.
"""

# llvmlite is not typed:
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportAssignmentType=false

import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from llvmlite import ir

from distdyn.ops import ffi, lanes
from distdyn.ops.update import CellFunction, Signature

LANES = 16  # one AVX-512 register of float32, two AVX2 ones
FIRST = 4  # buffers before the operands: team, bounds, step, cursor

LEVELS = {"call": 0, "segment": 1, "cell": 2}
MANY = 24  # instructions ahead of the state that are worth doing for several vectors at once
ABREAST = 4  # so many


@functools.lru_cache(256)
def compile_cell(function: CellFunction, signature: Signature) -> str:
    """Compile `function(operands, state, arrivals) -> (new state, spike)`; the operator's name.

    Raises:
        lanes.Unsupported: the function uses a primitive or shape that has no vector code.
    """
    scalars = [
        [jax.ShapeDtypeStruct((), operand.dtype) for operand in signature.operands],
        [jax.ShapeDtypeStruct((n,) if n else (), dtype) for dtype, n in signature.leaves],
        [jax.ShapeDtypeStruct((), dtype) for dtype in signature.rings],
    ]
    closed = jax.make_jaxpr(lambda *a: _flat(function, signature, *a))(*scalars)
    assembly = _Loop(signature).emit(_cheaper(lanes.flatten(closed), signature))
    name = "distdyn_cells_" + hashlib.sha256(assembly.encode()).hexdigest()[:24]
    code = ffi.compile_module(assembly)
    n_state = len(signature.state) + len(signature.rings) + (1 if signature.spikes else 0)
    n_args = 4 + len(signature.operands) + n_state
    return ffi.register(name, code.address("kernel"), n_args, n_state + 1, code.address("join"))


def _flat(function: CellFunction, signature: Signature, operands, state, arrivals) -> list[Any]:
    new, spike = function(list(operands), list(state), list(arrivals))
    out = [jnp.asarray(x).astype(d) for x, d in zip(new, signature.state, strict=True)]
    return [*out, jnp.asarray(spike, bool)] if signature.spikes else out


def _cheaper(program: lanes.Program, signature: Signature) -> lanes.Program:
    """The program with multiplications for divisions, and sums of products in one instruction."""
    of_many = {
        k for k, of in zip(program.inputs, signature.operands, strict=False) if of.per != "cell"
    }
    return lanes.fused(lanes.with_reciprocals(program, set(program.inputs) - of_many))


class _Loop:
    """Emits the kernel: per call, per segment, then sixteen cells at a time and the remainder.

    Buffers, each with its shape: the team int64[2], segment bounds int64[p+1], the step int64[],
    event cursor int64[], operands, state, rings, events int32[capacity]; results alias state, rings
    and events, and the last one is the number of events, int32[].

    The cells are shared out in consecutive ranges. Each share lists its events from cursor + its
    first cell on, where there is room for all its cells, and tallies them; `join` then moves the
    lists together, so that the events are in ascending order however many shares there are.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.module = ir.Module("cells")
        self.module.triple = ffi.llvm.get_process_triple()

    def emit(self, program: lanes.Program) -> str:
        signature = self.signature
        n_inout = len(signature.state) + len(signature.rings) + (1 if signature.spikes else 0)
        n_buffers = FIRST + len(signature.operands) + 2 * n_inout + 1
        buffers = [ffi.POINTER] * (2 * n_buffers)
        kind = ir.FunctionType(ir.VoidType(), [*buffers, ffi.INT64, ffi.INT64, ffi.POINTER])
        kernel = ir.Function(self.module, kind, "kernel")
        self.builder = builder = ir.IRBuilder(kernel.append_basic_block("entry"))
        *pointers, member, members, tally = kernel.args
        data, dims = pointers[0::2], pointers[1::2]
        _, bounds, step, cursor = data[:FIRST]
        operands = data[FIRST : FIRST + len(signature.operands)]
        # results alias arguments: read and write through the result's pointer only
        inout = data[n_buffers - 1 - n_inout : n_buffers - 1]
        state, rings = inout[: len(signature.state)], inout[len(signature.state) :]
        self.events = inout[-1]
        n_segments = builder.sub(self.load(dims[1], ffi.INT64(0), "int64"), ffi.INT64(1))
        n_cells = self.load(bounds, n_segments, "int64")
        low = self.boundary(n_cells, member, members)
        high = self.boundary(n_cells, builder.add(member, ffi.INT64(1)), members)
        due = builder.add(self.load(step, ffi.INT64(0), "int64"), ffi.INT64(1))
        rows = []
        ring_dims = dims[n_buffers - 1 - n_inout + len(state) :]
        for index, dtype in enumerate(signature.rings):
            slots = self.load(ring_dims[index], ffi.INT64(0), "int64")
            slot = builder.urem(due, slots)
            length = self.load(ring_dims[index], ffi.INT64(1), "int64")  # may be padded
            rows.append(self.address(rings[index], builder.mul(slot, length), dtype))
        first = self.load(cursor, ffi.INT64(0), "int64") if signature.spikes else ffi.INT64(0)
        first = builder.add(first, low)
        self.position = builder.alloca(ffi.INT64)
        builder.store(first, self.position)
        self.remaining = builder.alloca(ffi.INT32)

        environment = lanes.Environment(builder, self.module)
        per_call, per_segment, ahead, per_cell = _by_level(program, signature)
        described = list(zip(program.inputs, signature.operands, operands, strict=False))
        for number, operand, pointer in described:
            if operand.per == "call":
                environment.define(number, self.load(pointer, ffi.INT64(0), operand.dtype))
        for instruction in per_call:
            environment.run(instruction)

        with self.loop(ffi.INT64(0), n_segments, 1) as segment:
            start = self.load(bounds, segment, "int64")
            stop = self.load(bounds, builder.add(segment, ffi.INT64(1)), "int64")
            start, stop = self.extreme(">", start, low), self.extreme("<", stop, high)
            with builder.if_then(builder.icmp_signed("<", start, stop)):
                inner = environment.child(width=1)
                for number, operand, pointer in described:
                    if operand.per == "segment":
                        inner.define(number, self.load(pointer, segment, operand.dtype))
                for instruction in per_segment:
                    inner.run(instruction)
                begin, rest = start, (program, [*ahead, *per_cell], operands, state, rows)
                if len(ahead) >= MANY:
                    end = self.last_whole(begin, stop, ABREAST * LANES)
                    with self.loop(begin, end, ABREAST * LANES) as cell:
                        known = self.run_ahead(inner, program, ahead, operands, cell)
                        for number, values in enumerate(known):
                            lane = inner.child(LANES)
                            lane.values |= values
                            place = builder.add(cell, ffi.INT64(number * LANES))
                            self.body(lane, program, per_cell, operands, state, rows, place)
                    begin = end
                for width in (LANES, 1):
                    end = self.last_whole(begin, stop, width)
                    with self.loop(begin, end, width) as cell:
                        self.body(inner.child(width), *rest, cell)
                    begin = end
        total = builder.sub(builder.load(self.position), first)
        builder.store(total, self.address(tally, member, "int64"))
        builder.ret_void()
        self.emit_join(buffers)
        return str(self.module)

    def last_whole(self, begin: ir.Value, stop: ir.Value, width: int) -> ir.Value:
        """The end of as many whole vectors as there are between two cells."""
        builder = self.builder
        length = builder.and_(builder.sub(stop, begin), ffi.INT64(-width))
        return builder.add(begin, length)

    def run_ahead(self, outer, program, instructions, operands, cell) -> list[dict[int, ir.Value]]:
        """What does not depend on the state, for several vectors of cells; the values for each.

        That is random numbers, above all: long chains of operations that wait for each other, so
        that a few side by side take little longer than one.
        """
        abreast = outer.child(ABREAST * LANES)
        for number, operand, pointer in zip(
            program.inputs, self.signature.operands, operands, strict=False
        ):
            if operand.per == "cell":
                abreast.define(number, self.load(pointer, cell, operand.dtype, ABREAST * LANES))
        for instruction in instructions:
            abreast.run(instruction)
        vectors = []
        for first in range(0, ABREAST * LANES, LANES):
            places = ir.Constant(
                ir.VectorType(ffi.INT32, LANES), [ffi.INT32(first + k) for k in range(LANES)]
            )
            values = {}
            for number in (instruction.output for instruction in instructions):
                value = abreast.values[number]
                nothing = ir.Constant(value.type, ir.Undefined)
                values[number] = self.builder.shuffle_vector(value, nothing, places)
            vectors.append(values)
        return vectors

    def emit_join(self, buffers: list[ir.Type]) -> None:
        """The function that moves the shares' lists of events together and writes their number."""
        kind = ir.FunctionType(ir.VoidType(), [*buffers, ffi.INT64, ffi.POINTER])
        join = ir.Function(self.module, kind, "join")
        self.builder = builder = ir.IRBuilder(join.append_basic_block("entry"))
        *pointers, members, tally = join.args
        data, dims = pointers[0::2], pointers[1::2]
        total = builder.alloca(ffi.INT64)
        builder.store(ffi.INT64(0), total)
        if self.signature.spikes:
            n_segments = builder.sub(self.load(dims[1], ffi.INT64(0), "int64"), ffi.INT64(1))
            n_cells = self.load(data[1], n_segments, "int64")
            list_ = self.address(data[-2], self.load(data[3], ffi.INT64(0), "int64"), "int32")
            types = [ffi.POINTER, ffi.POINTER, ffi.INT64]
            move = self.module.declare_intrinsic("llvm.memmove", types)
            with self.loop(ffi.INT64(0), members, 1) as member:
                count = self.load(tally, member, "int64")
                before = builder.load(total)
                source = self.boundary(n_cells, member, members)
                with builder.if_then(builder.icmp_signed("!=", source, before)):
                    places = (self.address(list_, x, "int32") for x in (before, source))
                    size = builder.mul(count, ffi.INT64(4))
                    builder.call(move, [*places, size, ir.IntType(1)(0)])
                builder.store(builder.add(before, count), total)
        builder.store(builder.trunc(builder.load(total), ffi.INT32), data[-1])
        builder.ret_void()

    def boundary(self, n_cells: ir.Value, member: ir.Value, members: ir.Value) -> ir.Value:
        """The first cell of a member's share: a multiple of 64, so that no cache line is shared."""
        builder = self.builder
        even = builder.udiv(builder.mul(n_cells, member), members)
        is_last = builder.icmp_unsigned("==", member, members)
        return builder.select(is_last, n_cells, builder.and_(even, ffi.INT64(-64)))

    def extreme(self, comparison: str, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.builder.select(self.builder.icmp_signed(comparison, x, y), x, y)

    def body(self, environment, program, instructions, operands, state, rows, cell) -> None:
        """The cells from `cell` on, as many as the environment has lanes."""
        signature, width = self.signature, environment.width
        pointers = [
            (pointer, operand.dtype, 0, operand.per == "cell")
            for pointer, operand in zip(operands, signature.operands, strict=True)
        ]
        pointers += [(p, *leaf, True) for p, leaf in zip(state, signature.leaves, strict=True)]
        pointers += [(p, d, 0, True) for p, d in zip(rows, signature.rings, strict=True)]
        for number, (pointer, dtype, slots, is_per_cell) in zip(
            program.inputs, pointers, strict=True
        ):
            if slots:
                environment.define(number, lanes.Ring(pointer, slots, cell))
            elif is_per_cell:
                environment.define(number, self.load(pointer, cell, dtype, width))
        for pointer, dtype in zip(rows, signature.rings, strict=True):
            zero = lanes.fill(lanes.vector(lanes.MEMORY[dtype], width), 0)
            self.store(zero, pointer, cell, dtype)
        for instruction in instructions:
            environment.run(instruction)
        for number, pointer, (dtype, slots) in zip(
            program.outputs, state, signature.leaves, strict=False
        ):
            value = environment.read(number, dtype)
            if not slots:
                self.store(value, pointer, cell, dtype)
            elif not isinstance(value, lanes.Ring) or value.pointer is not pointer:
                raise lanes.Unsupported("a memory that becomes another one")
        if signature.spikes:
            self.append_events(environment.read(program.outputs[-1], "bool"), cell, width)

    def append_events(self, spike: ir.Value, cell: ir.Value, width: int) -> None:
        """Append the index of every lane that spikes, in ascending order."""
        builder = self.builder
        bits = ir.IntType(width)
        mask = builder.bitcast(spike, bits) if width > 1 else spike
        with builder.if_then(builder.icmp_unsigned("!=", mask, bits(0)), likely=False):
            builder.store(builder.zext(mask, ffi.INT32), self.remaining)
            again = builder.append_basic_block("spike")
            done = builder.append_basic_block("listed")
            builder.branch(again)
            builder.position_at_end(again)
            word = builder.load(self.remaining)
            lane = builder.zext(builder.cttz(word, ir.IntType(1)(1)), ffi.INT64)
            position = builder.load(self.position)
            index = builder.trunc(builder.add(cell, lane), ffi.INT32)
            builder.store(index, self.address(self.events, position, "int32"), align=4)
            builder.store(builder.add(position, ffi.INT64(1)), self.position)
            word = builder.and_(word, builder.sub(word, ffi.INT32(1)))
            builder.store(word, self.remaining)
            builder.cbranch(builder.icmp_unsigned("!=", word, ffi.INT32(0)), again, done)
            builder.position_at_end(done)

    def loop(self, begin: ir.Value, end: ir.Value, step: int) -> "_Counting":
        return _Counting(self.builder, begin, end, step)

    def address(self, pointer: ir.Value, index: ir.Value, dtype: str) -> ir.Value:
        return self.builder.gep(pointer, [index], source_etype=lanes.MEMORY[dtype])

    def load(self, pointer, index, dtype: str, width: int = 1) -> ir.Value:
        place = self.address(pointer, index, dtype)
        memory = lanes.vector(lanes.MEMORY[dtype], width)
        value = self.builder.load(place, align=np.dtype(dtype).itemsize, typ=memory)
        return self.builder.icmp_unsigned("!=", value, memory(None)) if dtype == "bool" else value

    def store(self, value: ir.Value, pointer, index, dtype: str) -> None:
        if dtype == "bool":
            width = getattr(value.type, "count", 1)
            value = self.builder.zext(value, lanes.vector(lanes.MEMORY[dtype], width))
        place = self.address(pointer, index, dtype)
        self.builder.store(value, place, align=np.dtype(dtype).itemsize)


class _Counting:
    """`for (i = begin; i < end; i += step)` as a context manager that yields i."""

    def __init__(self, builder: ir.IRBuilder, begin: ir.Value, end: ir.Value, step: int) -> None:
        self.builder, self.begin, self.end, self.step = builder, begin, end, step

    def __enter__(self) -> ir.Value:
        builder = self.builder
        before = builder.block
        self.test = builder.append_basic_block("test")
        body = builder.append_basic_block("body")
        self.after = builder.append_basic_block("after")
        builder.branch(self.test)
        builder.position_at_end(self.test)
        self.index = builder.phi(ffi.INT64)
        self.index.add_incoming(self.begin, before)
        builder.cbranch(builder.icmp_signed("<", self.index, self.end), body, self.after)
        builder.position_at_end(body)
        return self.index

    def __exit__(self, *_: object) -> None:
        following = self.builder.add(self.index, ffi.INT64(self.step))
        self.index.add_incoming(following, self.builder.block)
        self.builder.branch(self.test)
        self.builder.position_at_end(self.after)


def _by_level(program: lanes.Program, signature: Signature) -> tuple[list[lanes.Instruction], ...]:
    """The instructions by the slowest loop in which each can run: per call, per segment, per cell.

    Those of a cell that do not depend on its state or arrivals come apart, before the others.
    """
    per_input = [LEVELS[operand.per] for operand in signature.operands]
    per_input += [3] * (len(program.inputs) - len(per_input))
    level_of = dict(zip(program.inputs, per_input, strict=True))
    levels: tuple[list, ...] = ([], [], [], [])
    for instruction in program.instructions:
        level = max(
            (level_of[n] for n in instruction.inputs if not isinstance(n, lanes.Constant)),
            default=0,
        )
        level_of[instruction.output] = level
        levels[level].append(instruction)
    return levels

"""Learning: a table whose weights follow the spikes of both ends, changed when a source spikes.

    a spike of i, stamped s, at its synapse with j and delay d:
        for each spike of j stamped p, last(i) - d < p <= s - d, ascending:
            w = potentiate(w, x of i at p + d, y of j just before p)
        w = depress(w, x of i just before s, y of j just before s - d)
        ring[(s + d) mod slots, j] += rint(w scale)

A synapse is looked at when its source spikes, and not when its target does, so there is no index of
the synapses of a target. What has to be known of the targets is their history: the stamps of the
last spikes, and the traces just before each. It has room for some; when a target needs more, all
synapses of the table catch up with the potentiation that is due, which changes no bit of what they
would have become, and older spikes are forgotten.

Where plasticity is short-term, weights stay as they are: a state of the source gives an amplitude a
to each of its spikes, which brings rint(w scale a) to every target.

Everything is local to a part, which owns the targets: their spikes, and the weights.

Source: Morrison, Aertsen & Diesmann (2007), Neural Comput. 19, 1437, for the lazy update.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, Int64

from distdyn.ops.chain import now
from distdyn.ops.rows import Rows, aligned_zeros

FINE = 1024  # steps of which each has a decay of its own; of longer times the product of two
LEAST_HISTORY = 32  # spikes, a power of two
NEVER = -(1 << 62)
SWEPT, STATUS = 0, 1  # words of `book`


class Learned(NamedTuple):
    """What changes of a table; T is the precision of the run.

    Attributes:
        weight: T[capacity], of each synapse, in its unit.
        last: int64[segments]; the stamp of the last spike of the source.
        pre: T[segments, n_pre]; its traces just after, or its state.
        stamp: int64[n_post, history]; of the last spikes of each target, spike n at n mod history.
        post: T[n_post, history, n_traces]; its traces just before each.
        count: int64[n_post]; spikes of each target so far.
        book: int64[2]; the stamp up to which all synapses have caught up; 1 if a weight has grown
            beyond the bound of the ring.
    """

    weight: Any
    last: Any
    pre: Any
    stamp: Any
    post: Any
    count: Any
    book: Any


class Law(NamedTuple):
    """What a table learns by.

    Attributes:
        code: int64[3]; the addresses of `potentiate` and `depress`, or of `spike`; others are 0.
        decay: T[traces, 2, 1024]; exp(-k dt / tau) and exp(-1024 k dt / tau), of the traces of the
            source, then of the target.
        form: int64[5]; traces of the source, of the target; which of them jump to 1, bit by bit;
            the longest delay in steps; how many spikes of a target are kept. A spike is delivered
            before its delay is over, so this is also the age of the oldest one that may still be.
        limits: T[3]; the ring's units per unit of weight, the largest |w|, dt.
        first: T[n_pre]; what `pre` begins with.
    """

    code: Any
    decay: Any
    form: Any
    limits: Any
    first: Any


def begin(rows: Rows, weight: np.ndarray, n_post: int, law: Law) -> Learned:
    """The state before the first spike.

    Args:
        rows: the synapses; not cut for a team.
        weight: of each.
        n_post: the length of a slot of the ring.
        law: what is learned by.
    """
    _, n_traces, _, _, history = map(int, law.form)
    dtype, segments = law.decay.dtype, len(rows.start) - 1
    last = aligned_zeros(segments, np.int64)
    last[:] = NEVER
    book = aligned_zeros(2, np.int64)
    book[SWEPT] = NEVER
    return Learned(
        weight=np.asarray(weight, dtype),
        last=last,
        pre=np.tile(law.first, (segments, 1)),
        stamp=np.full((n_post, history), NEVER, np.int64),
        post=np.zeros((n_post, history, n_traces), dtype),
        count=np.zeros(n_post, np.int64),
        book=book,
    )


def history_of(longest: int) -> int:
    """How many spikes of a target are kept, with a longest delay in steps: a power of two.

    A cell spikes once in a step at most: when all have caught up, what is still needed fits.
    """
    return max(LEAST_HISTORY, 1 << (2 * longest + 2).bit_length())


def long_term(
    rule: Any, dt: float, precision: str, scale: float, bound: float, longest: int
) -> Law:
    """A rule that changes weights, a `core.Plasticity`, with its code compiled for the kernels.

    Args:
        rule: what is learned by.
        dt: the time step, in ms.
        precision: of weights, traces and states.
        scale: the ring's units per unit of weight.
        bound: the largest |w|.
        longest: the longest delay, in steps.

    Raises:
        lanes.Unsupported: it uses a primitive or a shape that has no code.
    """
    pre, post = rule.pre(), rule.post()
    traces = *pre, *post
    steps = np.arange(FINE, dtype=np.float64)
    taus = np.array([trace.tau for trace in traces], np.float64)[:, None]
    fine, coarse = np.exp(-steps * dt / taus), np.exp(-steps * FINE * dt / taus)
    nearest = sum(1 << k for k, trace in enumerate(traces) if trace.nearest)
    rules = rule.potentiate, rule.depress
    code = [compile_rule(f, len(pre), len(post), precision) for f in rules]
    return Law(
        code=np.array([*code, 0], np.int64),
        decay=np.stack([fine, coarse], axis=1).astype(precision),
        form=np.array([len(pre), len(post), nearest, longest, history_of(longest)], np.int64),
        limits=np.array([scale, bound, dt], precision),
        first=np.zeros(len(pre), precision),
    )


def short_term(
    rule: Any, dt: float, precision: str, scale: float, bound: float, longest: int
) -> Law:
    """A rule that leaves weights as they are, a `core.ShortTerm`; as `long_term`."""
    first = np.array(rule.init(), precision)
    return Law(
        code=np.array([0, 0, compile_spike(rule.spike, len(first), precision)], np.int64),
        decay=np.zeros((1, 2, FINE), precision),
        form=np.array([len(first), 0, 0, longest, 0], np.int64),
        limits=np.array([scale, bound, dt], precision),
        first=first,
    )


def compile_rule(function: Any, n_pre: int, n_post: int, precision: str) -> int:
    """The address of machine code `T f(T w, T* x, T* y)` of a function of scalars.

    Raises:
        lanes.Unsupported: it uses a primitive or a shape that has no code.
    """

    def flat(w: Any, *traces: Any) -> list[Any]:
        return [function(w, traces[:n_pre], traces[n_pre:])]

    return _compiled(flat, (n_pre, n_post), precision)


def compile_spike(function: Any, n_state: int, precision: str) -> int:
    """The address of machine code `T f(T elapsed, T* state)`: the amplitude; the state in place.

    Raises:
        lanes.Unsupported: it uses a primitive or a shape that has no code.
    """

    def flat(elapsed: Any, *state: Any) -> list[Any]:
        new, amplitude = function(state, elapsed)
        return [amplitude, *new]

    return _compiled(flat, (n_state,), precision)


def _compiled(function: Any, lengths: tuple[int, ...], precision: str) -> int:
    """Machine code of a function of a number and of the numbers in some arrays.

    It returns the first result; the others are written to the first array.
    """
    from llvmlite import ir

    from distdyn.ops import ffi, lanes

    scalar = jax.ShapeDtypeStruct((), precision)

    def typed(*arguments: Any) -> list[Any]:
        return [jnp.asarray(x).astype(precision) for x in function(*arguments)]

    with jax.enable_x64(True):
        program = lanes.flatten(jax.make_jaxpr(typed)(*[scalar] * (1 + sum(lengths))))
    module, kind = ir.Module("rule"), lanes.TYPES[precision]
    module.triple = ffi.llvm.get_process_triple()
    signature = ir.FunctionType(kind, [kind, *[ffi.POINTER] * len(lengths)])
    rule = ir.Function(module, signature, "rule")
    builder = ir.IRBuilder(rule.append_basic_block("entry"))
    number, *pointers = rule.args

    def place(pointer: Any, k: int) -> Any:
        return builder.gep(pointer, [ffi.INT64(k)], source_etype=kind)

    values = [
        builder.load(place(pointer, k), typ=kind)
        for pointer, n in zip(pointers, lengths, strict=True)
        for k in range(n)
    ]
    environment = lanes.Environment(builder, module)
    for name, value in zip(program.inputs, (number, *values), strict=True):
        environment.define(name, value)
    for instruction in program.instructions:
        environment.run(instruction)
    result, *changed = (environment.read(output, precision) for output in program.outputs)
    for k, value in enumerate(changed):
        builder.store(value, place(pointers[0], k))
    builder.ret(result)
    return ffi.compile_module(str(module)).address("rule")


def remember(
    learned: Learned,
    law: Law,
    rows: Rows,
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    *,
    via: Any = now,
) -> Learned:
    """Enter the spikes of the targets at a step into their history.

    Args:
        learned: updated in place.
        law: what is learned by.
        rows: the synapses.
        events: our cells; those of this step stand at cursor : cursor + count.
        cursor: where this step's spikes begin.
        count: how many there are.
        stamp: the step with which the spikes are stamped.
        via: calls now, or as part of a `Chain`.
    """
    given = (events, cursor, count, stamp)
    return Learned(*_call("remember", given, rows, law, learned, (), via))


def learn(
    ring: Int[Array, "slot post"],
    learned: Learned,
    law: Law,
    rows: Rows,
    part: Int64[Array, ""],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    *,
    via: Any = now,
) -> tuple[Int[Array, "slot post"], Learned]:
    """Change the weights of the sources that have spiked, and deliver them; as `ops.deliver`."""
    given = (events, cursor, count, stamp, part)
    ring, *changed = _call("learn", given, rows, law, learned, (ring,), via)
    return ring, Learned(*changed)


def learn_all(
    ring: Int[Array, "slot post"],
    learned: Learned,
    law: Law,
    rows: Rows,
    part: Int64[Array, ""],
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    board: Int64[Array, "2"],
    group: int,
    token: Int64[Array, "2"],
    *,
    via: Any = now,
) -> tuple[Int[Array, "slot post"], Learned, Int64[Array, "2"]]:
    """`learn` from our own spikes; after an exchange, from those of all parts as well."""
    given = (board, jnp.int64(group), token, events, cursor, count, stamp, part)
    ring, *changed, token = _call("learn_all", given, rows, law, learned, (ring,), via)
    return ring, Learned(*changed), token


def learn_boxes(
    ring: Int[Array, "slot post"],
    learned: Learned,
    law: Law,
    rows: Rows,
    board: Int64[Array, "2"],
    group: int,
) -> tuple[Int[Array, "slot post"], Learned]:
    """`learn` from what the first buffer of every box of these mailboxes holds."""
    given = (board, jnp.int64(group))
    ring, *changed = _call("learn_boxes", given, rows, law, learned, (ring,), now)
    return ring, Learned(*changed)


def weights_at(
    learned: Learned, law: Law, rows: Rows, step: Int64[Array, ""]
) -> Float[Array, "capacity"]:
    """The weight of each synapse at a step, all that has reached it until then included.

    Nothing is changed: a synapse stays behind until its source spikes. What is due to it does not
    depend on who else has caught up.

    Args:
        learned: of which all spikes of sources up to the step have been delivered.
        law: what is learned by.
        rows: the synapses.
        step: the number of the step.
    """
    shape = jax.ShapeDtypeStruct(learned.weight.shape, learned.weight.dtype)
    arguments = (jnp.array([0, 1], jnp.int64), step, *rows, *law, *learned)
    return now(_named("weights_at", rows, learned, len(arguments), 1), shape, {}, *arguments)


def _call(
    name: str, given: tuple, rows: Rows, law: Law, learned: Learned, ring: tuple, via: Any
) -> list[Any]:
    """A team of one, what is given, the table, the law; then what is changed in place."""
    changed = (*ring, *learned)
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in changed]
    arguments = (jnp.array([0, 1], jnp.int64), *given, *rows, *law)
    aliases = {len(arguments) + k: k for k in range(len(changed))}
    if name == "learn_all":
        shapes.append(jax.ShapeDtypeStruct((2,), jnp.int64))  # the token
    target = _named(name, rows, learned, len(arguments) + len(changed), len(shapes))
    return list(via(target, shapes, aliases, *arguments, *changed))


def _named(name: str, rows: Rows, learned: Learned, n_args: int, n_results: int) -> str:
    varying = rows.unit, rows.offset, rows.weight, learned.weight
    return _target(name, *(str(x.dtype) for x in varying), n_args, n_results)


@functools.cache
def _target(
    name: str, ring: str, offset: str, weight: str, precision: str, n_args: int, n_results: int
) -> str:
    from distdyn.ops import ffi, learning_kernels

    kernel = learning_kernels.kernel(name, ring, offset, weight, precision)
    full = "_".join(("distdyn", name, ring, offset, weight, precision))
    return ffi.register(full, kernel.address, n_args, n_results)

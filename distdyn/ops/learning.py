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

Where a rule has a law for the time in between, a synapse is brought to the time of each spike that
reaches it before the spike changes it, from that of the last one: the times at which this happens
are those of its own spikes, of rewards, and no others, whoever catches up when.

Where a rule follows V, the traces of all targets are computed at every step and kept for as long as
a spike may still ask for them. A step at which there is an event is entered into the history as a
spike would be, with its amount as one more trace.

Where plasticity is short-term, weights stay as they are: a state of the source gives an amplitude a
to each of its spikes, which brings rint(w scale a) to every target.

Everything is local to a part, which owns the targets: their spikes, and the weights.

Source: Morrison, Aertsen & Diesmann (2007), Neural Comput. 19, 1437, for the lazy update.
"""

import functools
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32, Int64

from distdyn.ops.chain import now
from distdyn.ops.rows import Rows, aligned_zeros
from distdyn.units import to_steps

FINE = 1024  # steps of which each has a decay of its own; of longer times the product of two
LEAST_HISTORY = 32  # spikes, a power of two
LEAST_EVENTS = 256  # the same of events of V, of which a spike brings many
NEVER = -(1 << 62)
SWEPT, STATUS, REWARDED = 0, 1, 2  # words of `book`
POTENTIATE, DEPRESS, SPIKE, BETWEEN, EVENT = range(5)  # words of `code`
N_PRE, N_POST, NEAREST, LONGEST, HISTORY, KEPT, PEAK, LOW_PASS, LAGS = range(9)  # of `form`


class Learned(NamedTuple):
    """What changes of a table; T is the precision of the run.

    Attributes:
        weight: T[capacity], of each synapse, in its unit.
        more: T[capacity, n]; its further variables.
        when: int64[capacity]; the stamp to which it has been brought; empty if nothing happens in
            between.
        last: int64[segments]; the stamp of the last spike of the source.
        pre: T[segments, n_pre]; its traces just after, or its state.
        stamp: int64[n_post, history]; of the last spikes of each target, spike n at n mod history.
        post: T[n_post, history, n_traces]; its traces just before each.
        count: int64[n_post]; spikes of each target so far.
        recent: T[kept, n_post, n_traces]; where V is followed, the traces just before each of the
            last steps, step s at s mod kept.
        spiked: int64[n_post]; the same: the stamp of the last spike.
        reward: T[1]; just after the last one.
        book: int64[3]; the stamp up to which all synapses have caught up; 1 if a weight has grown
            beyond the bound of the ring; the stamp of the last reward.
    """

    weight: Any
    more: Any
    when: Any
    last: Any
    pre: Any
    stamp: Any
    post: Any
    count: Any
    recent: Any
    spiked: Any
    reward: Any
    book: Any


class Law(NamedTuple):
    """What a table learns by.

    Attributes:
        code: int64[5]; the addresses of `potentiate` and `depress`, or of `spike`; of `between` and
            `event`; others are 0.
        decay: T[traces, 2, 1024]; exp(-k dt / tau) and exp(-1024 k dt / tau), of the traces of the
            source, then of the target, then of reward.
        form: int64[8 + n_post]; traces of the source, of the target; which of them jump to 1, bit
            by bit; the longest delay in steps; how many spikes of a target are kept, and of how
            many steps its traces, 0 if V is not followed; the steps of a spike's peak; which traces
            of the target are of V; and for how many steps each of them lags behind. A spike is
            delivered before its delay is over, so the longest is also the age of the oldest one
            that may still be.
        limits: T[4]; the ring's units per unit of weight, the largest |w|, dt, V at the peak.
        first: T[n_pre]; what `pre` begins with.
        more: T[n]; the same of `more`.
    """

    code: Any
    decay: Any
    form: Any
    limits: Any
    first: Any
    more: Any


def begin(
    rows: Rows, weight: np.ndarray, n_post: int, law: Law, step: int = 0, V: Any = 0.0
) -> Learned:
    """The state before the first spike.

    Args:
        rows: the synapses; not cut for a team.
        weight: of each.
        n_post: the length of a slot of the ring.
        law: what is learned by.
        step: the number of steps before the first.
        V: of the targets, at which its traces begin.
    """
    n_traces, history, kept = (int(law.form[k]) for k in (N_POST, HISTORY, KEPT))
    dtype, segments = law.decay.dtype, len(rows.start) - 1
    weight = np.asarray(weight, dtype)
    last = aligned_zeros(segments, np.int64)
    last[:] = NEVER
    recent = np.zeros((kept, n_post if kept else 0, n_traces), dtype)
    is_of_V = (int(law.form[LOW_PASS]) >> np.arange(n_traces)) & 1 == 1
    recent[:, :, is_of_V] = np.broadcast_to(V, n_post)[None, :, None] if kept else 0
    width = n_traces + (law.code[EVENT] != 0)
    return Learned(
        weight=weight,
        more=np.tile(law.more, (len(weight), 1)),
        when=np.full(len(weight) if law.code[BETWEEN] else 0, step, np.int64),
        last=last,
        pre=np.tile(law.first, (segments, 1)),
        stamp=np.full((n_post, history), NEVER, np.int64),
        post=np.zeros((n_post, history, width), dtype),
        count=np.zeros(n_post, np.int64),
        recent=recent,
        spiked=np.full(n_post if kept else 0, NEVER, np.int64),
        reward=np.zeros(1, dtype),
        book=np.array([NEVER, 0, NEVER], np.int64),
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
    taus = [of.tau for of in (*pre, *post)] + ([rule.reward()] if rule.reward else [])
    steps = np.arange(FINE, dtype=np.float64)
    rates = 1.0 / np.array(taus, np.float64)[:, None]
    fine, coarse = np.exp(-steps * dt * rates), np.exp(-steps * FINE * dt * rates)
    nearest = sum(1 << k for k, of in enumerate((*pre, *post)) if getattr(of, "nearest", False))
    low_pass = sum(1 << k for k, of in enumerate(post) if _lag(of) is not None)
    lags = _lags(rule, dt)
    history, kept = rooms(rule, longest, dt)
    peak = to_steps(rule.t_peak, dt, f"t_peak of {type(rule).__name__}")
    form = [len(pre), len(post), nearest, longest, history, kept, peak, low_pass, *lags]
    return Law(
        code=np.array(_code_of(rule, len(pre), len(post), precision), np.int64),
        decay=np.stack([fine, coarse], axis=1).astype(precision),
        form=np.array(form, np.int64),
        limits=np.array([scale, bound, dt, rule.V_peak], precision),
        first=np.zeros(len(pre), precision),
        more=np.array(rule.synapse() if rule.synapse else (), precision),
    )


def rooms(rule: Any, longest: int, dt: float) -> tuple[int, int]:
    """How many spikes, or events, of a target are kept, and of how many steps its traces.

    Args:
        rule: what is learned by.
        longest: the longest delay, in steps.
        dt: the time step, in ms.
    """
    history = history_of(longest)
    if not rule.sees_voltage:
        return history, 0
    most = 2 * longest + 2 + max(_lags(rule, dt), default=0)
    return max(history, LEAST_EVENTS if rule.event else 0), 1 << most.bit_length()


def _lags(rule: Any, dt: float) -> list[int]:
    """By how many steps the traces of a target lag behind."""
    what = f"{type(rule).__name__}: delay of a trace of V"
    return [int(to_steps(_lag(of) or 0.0, dt, what)) for of in rule.post()]


def _lag(trace: Any) -> Any:
    """By how much a trace of V lags behind; None: it is a trace of spikes."""
    return getattr(trace, "delay", None)


def short_term(
    rule: Any, dt: float, precision: str, scale: float, bound: float, longest: int
) -> Law:
    """A rule that leaves weights as they are, a `core.ShortTerm`; as `long_term`."""
    first = np.array(rule.init(), precision)
    code = compile_spike(rule.spike, len(first), precision)
    return Law(
        code=np.array([0, 0, code, 0, 0], np.int64),
        decay=np.zeros((1, 2, FINE), precision),
        form=np.array([len(first), 0, 0, longest, 0, 0, 0, 0], np.int64),
        limits=np.array([scale, bound, dt, 0.0], precision),
        first=first,
        more=np.zeros(0, precision),
    )


def _code_of(rule: Any, n_pre: int, n_post: int, precision: str) -> list[int]:
    """The addresses of a rule's methods, each machine code `T f(T w, T* z, T* x, T* y, T* e)`.

    z are the further variables of the synapse, updated in place; x and y traces; e of `between`
    reward and time. V stands in the place of w where an event is looked for.
    """
    n = len(rule.synapse()) if rule.synapse else 0

    def compiled(function: Any, n_z: int, n_x: int, n_y: int, n_e: int = 0) -> int:
        return _compiled(function, (n_z, n_x, n_y, n_e), precision)

    def spike(method: Any) -> Any:
        return lambda w, z, x, y, _: _joined(method(_split(w, z), x, y))

    code = [0] * 5
    amount = int(rule.event is not None)
    code[POTENTIATE] = compiled(spike(rule.potentiate), n, n_pre, n_post + amount)
    code[DEPRESS] = compiled(spike(rule.depress), n, n_pre, n_post)
    if rule.between is not None:

        def between(w: Any, z: Any, x: Any, y: Any, e: Any) -> list[Any]:
            return _joined(rule.between(_split(w, z), x, y, *e))

        code[BETWEEN] = compiled(between, n, n_pre, n_post, 2)
    if rule.event is not None:
        code[EVENT] = compiled(lambda V, z, x, y, e: [rule.event(V, y)], 0, 0, n_post)
    return code


def _split(w: Any, z: tuple[Any, ...]) -> Any:
    """A synapse as its rule knows it: the weight, or the weight and its further variables."""
    return (w, *z) if z else w


def _joined(synapse: Any) -> list[Any]:
    return list(synapse) if isinstance(synapse, tuple | list) else [synapse]


def compile_spike(function: Any, n_state: int, precision: str) -> int:
    """The address of machine code `T f(T elapsed, T* state)`: the amplitude; the state in place.

    Raises:
        lanes.Unsupported: it uses a primitive or a shape that has no code.
    """

    def flat(elapsed: Any, state: Any) -> list[Any]:
        new, amplitude = function(state, elapsed)
        return [amplitude, *new]

    return _compiled(flat, (n_state,), precision)


def _compiled(function: Any, lengths: tuple[int, ...], precision: str) -> int:
    """Machine code of a function of a number and of some tuples of numbers, which are arrays.

    It returns the first result; the others are written to the first array.
    """
    from llvmlite import ir

    from distdyn.ops import ffi, lanes

    scalar = jax.ShapeDtypeStruct((), precision)

    ends = np.cumsum((0, *lengths)).tolist()

    def typed(number: Any, *values: Any) -> list[Any]:
        arrays = [values[a:b] for a, b in pairwise(ends)]
        return [jnp.asarray(x).astype(precision) for x in function(number, *arrays)]

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


def remember_voltage(
    learned: Learned,
    law: Law,
    rows: Rows,
    events: Int32[Array, "capacity"],
    cursor: Int64[Array, ""],
    count: Int32[Array, ""],
    stamp: Int64[Array, ""],
    bounds: Int64[Array, "populations"],
    V: Float[Array, "post"],
    *,
    via: Any = now,
) -> Learned:
    """As `remember`, where V of the targets is followed: their traces, and the events of a step.

    Args:
        learned: updated in place.
        law: what is learned by.
        rows: the synapses.
        events: our cells; those of this step stand at cursor : cursor + count.
        cursor: where this step's spikes begin.
        count: how many there are.
        stamp: the number of the step.
        bounds: of the populations in the group of the targets; the last is how many cells it has.
        V: of the targets at the end of the step.
        via: calls now, or as part of a `Chain`.
    """
    given = (events, cursor, count, stamp, bounds, V)
    return Learned(*_call("remember_voltage", given, rows, law, learned, (), via))


def catch_up(learned: Learned, law: Law, rows: Rows, step: Int64[Array, ""]) -> Learned:
    """Let all synapses have heard of the spikes of their targets that have reached them by a step.

    That changes no bit of what they will become, so that tables that have caught up to the same
    step are the same, whenever they did so before.

    Args:
        learned: updated in place; all spikes of sources up to the step have been delivered.
        law: what is learned by.
        rows: the synapses.
        step: the number of the step.
    """
    return Learned(*_call("catch_up", (step,), rows, law, learned, (), now))


def settle(
    learned: Learned, law: Law, rows: Rows, step: Int64[Array, ""], amount: Float[Array, ""]
) -> Learned:
    """Bring all synapses to a step, and add to the reward.

    Args:
        learned: updated in place; all spikes of sources up to the step have been delivered.
        law: what is learned by.
        rows: the synapses.
        step: the number of the step.
        amount: by which the reward jumps.
    """
    amount = amount.astype(learned.weight.dtype)
    return Learned(*_call("settle", (step, amount), rows, law, learned, (), now))


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
    ring, *changed = _call("own", given, rows, law, learned, (ring,), via)
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
    ring, *changed, token = _call("all", given, rows, law, learned, (ring,), via)
    return ring, Learned(*changed), token


def learn_boxes(
    ring: Int[Array, "slot post"],
    learned: Learned,
    law: Law,
    rows: Rows,
    board: Int64[Array, "2"],
    group: int,
    step: Int64[Array, ""],
) -> tuple[Int[Array, "slot post"], Learned]:
    """`learn` from what the first buffer of every box of these mailboxes holds, after `step`."""
    given = (board, jnp.int64(group), step)
    ring, *changed = _call("boxes", given, rows, law, learned, (ring,), now)
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
    if name == "all":
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
    full = "_".join(("distdyn_learning", name, ring, offset, weight, precision))
    return ffi.register(full, kernel.address, n_args, n_results)

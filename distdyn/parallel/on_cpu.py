"""The steps of a chunk on the road of CPUs: operators of machine code that follow each other.

Every step is one `Chain` of operators. Where a network has nothing else to do at a step - no input
that is a function of time, no trace, no model without machine code - the chain makes all steps of
the chunk in a single call, so that a step costs what its operators cost.

Every function takes the `Plan` and `Data` of a chunk. `distdyn.parallel.chunk` says what a step is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distdyn.ops import exchange, ledger
from distdyn.ops.arrive import arrive, arrive_all, arrive_boxes
from distdyn.ops.chain import Chain
from distdyn.ops.coupled import emit
from distdyn.ops.deliver import deliver
from distdyn.ops.learning import learn, learn_all, learn_boxes, remember, remember_voltage
from distdyn.ops.packed import Packed
from distdyn.ops.update import in_blocks, update, update_reference
from distdyn.parallel.operands import Values

NEVER = 1 << 62  # a limit that no list reaches


class Ledger(NamedTuple):
    """What the loop over steps counts, int64[] unless said otherwise; see `ops.ledger`."""

    step: Any
    stamp: Any  # step + 1
    done: Any
    full: Any  # whether a list is
    halt: Any  # why the chunk ends; 0 while it goes on
    cursors: tuple[Any, ...]
    counts: tuple[Any, ...]  # int32[steps]


class Cells(NamedTuple):
    """What the operators of a step change, per group if nothing else is said."""

    states: tuple[tuple[Any, ...], ...]
    rings: tuple[tuple[Any, ...], ...]
    events: tuple[Any, ...]
    learned: tuple[Any, ...]  # per table


class Sampled(NamedTuple):
    """What is sampled between two steps, per trace."""

    traces: tuple[Any, ...]
    rows: tuple[Any, ...]


class Step(NamedTuple):
    """The parts of a step that `chunk` makes."""

    operands: Callable[..., list]
    sample: Callable[..., tuple]
    will_fill_traces: Callable[..., Any]


def run(plan: Any, data: Any, carry: Any, progress: Any, most: Any, step: Step) -> tuple[Any, Any]:
    """Up to `most` steps."""
    last = carry.step + most
    book = Ledger(
        carry.step,
        carry.step + 1,
        done=jnp.int64(0),
        full=jnp.int64(0),
        halt=jnp.where(most > 0, ledger.GOES_ON, ledger.COMPLETE),
        cursors=tuple(x[0] for x in progress.cursors),
        counts=progress.counts,
    )
    cells = Cells(_tuples(carry.states), _tuples(carry.rings), carry.events, carry.learned)
    sampled = Sampled(carry.traces, progress.sampled)
    limits = [_limit(plan, data, carry, index) for index in range(len(plan.groups))]

    if _is_operators_only(plan, data):
        chain = Chain()
        given = cells, book
        later = _step(plan, data, given, last, most, limits, chain, step)
        found = chain.repeat(later[1].halt, jax.tree.leaves(given), jax.tree.leaves(later))
        cells, book = jax.tree.unflatten(jax.tree.structure(given), found)
    else:

        def one_step(loop: tuple[Cells, Ledger, Sampled]) -> tuple[Cells, Ledger, Sampled]:
            cells, book, sampled = loop
            stamp = book.stamp
            full = step.will_fill_traces(plan, sampled.traces, sampled.rows, stamp)
            book = book._replace(full=full.astype(jnp.int64))
            chain = Chain()
            later = _step(plan, data, (cells, book), last, most, limits, chain, step)
            found = chain.run(*jax.tree.leaves(later))
            cells, book = jax.tree.unflatten(jax.tree.structure((cells, book)), found)
            of = step.sample(plan, data, cells.states, sampled.traces, sampled.rows, stamp)
            return cells, book, Sampled(*of)

        def goes_on(loop: tuple[Cells, Ledger, Sampled]) -> Any:
            return loop[1].halt == ledger.GOES_ON

        cells, book, sampled = jax.lax.while_loop(goes_on, one_step, (cells, book, sampled))
    carry = carry._replace(
        step=book.step, states=tuple(map(list, cells.states)), rings=tuple(map(list, cells.rings)),
        events=cells.events, traces=sampled.traces, learned=cells.learned,
    )  # fmt: skip
    progress = progress._replace(
        done=book.done[None], stop=book.halt[None], cursors=tuple(x[None] for x in book.cursors),
        counts=book.counts, sampled=sampled.rows,
    )  # fmt: skip
    return carry, progress


def _tuples(lists: Any) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(of) for of in lists)


def _limit(plan: Any, data: Any, carry: Any, index: int) -> Any:
    """The cursor beyond which a list may not hold the steps until the next exchange."""
    if not plan.groups[index].is_listed:
        return jnp.int64(NEVER)
    group = plan.groups[index]
    most = plan.interval * data.groups[index].bounds[-1] * group.words
    return carry.events[index].shape[0] - most


def _is_operators_only(plan: Any, data: Any) -> bool:
    return not plan.traces and all(
        group.program is None
        or (group.target is not None and not any(isinstance(x, Values) for x in given.operands))
        for group, given in zip(plan.groups, data.groups, strict=True)
    )


def _step(
    plan: Any, data: Any, loop: tuple[Cells, Ledger], last: Any, most: Any, limits: list,
    chain: Chain, step: Step,
) -> tuple[Cells, Ledger]:  # fmt: skip
    """Add the calls of one step to the chain; what the next one begins with."""
    cells, book = loop
    cells, spikes = _update(plan, data, cells, book, chain, step)
    counts, cursors, full = list(book.counts), list(book.cursors), book.full
    for index, (list_, begin, count) in enumerate(spikes):
        keeps = jnp.int64(plan.groups[index].is_listed)
        at, cursors[index], counts[index], full = ledger.enter(
            count, keeps, limits[index], book.done, cursors[index], counts[index], full, via=chain
        )
        spikes[index] = list_, at if begin is None else begin, count
    rings, learned = [list(of) for of in cells.rings], list(cells.learned)
    _remember(plan, data, learned, cells.states, spikes, book.stamp, chain)
    if plan.exchange is None:
        _deliver_own(plan, data, rings, learned, spikes, book.stamp, chain)
        stop = full
    else:
        stop = _exchange(plan, data, rings, learned, spikes, book.stamp, last, full, chain)
    now, stamp, done, full, halt = ledger.advance(
        most, stop, book.step, book.stamp, book.done, full, book.halt, via=chain
    )
    book = Ledger(now, stamp, done, full, halt, tuple(cursors), tuple(counts))
    return cells._replace(rings=_tuples(rings), learned=tuple(learned)), book


def _update(
    plan: Any, data: Any, cells: Cells, book: Ledger, chain: Chain, step: Step
) -> tuple[Cells, list]:
    """All groups; per group the list that holds its spikes, where they begin, how many.

    They begin at the cursor, if it is not said where.
    """
    states, rings = list(cells.states), list(cells.rings)
    events: list[Any] = list(cells.events)
    spikes: list[tuple[Any, Any, Any]] = []
    for index, (group, given) in enumerate(zip(plan.groups, data.groups, strict=True)):
        if group.emitter is not None:
            of, leaf = group.emitter
            given_list: Any = events[index], book.cursors[index]
            list_, count = emit(
                states[of][leaf], given.factor, given.bounds, *given_list, via=chain
            )
            events[index] = list_
            spikes.append((list_, None, count))
            continue
        if group.program is None:
            steps, list_ = given.schedule
            spikes.append((list_, *ledger.scheduled(steps, book.stamp, via=chain)))
            continue
        operands = step.operands(plan, given, book.step)
        rest = given.bounds, book.step, book.cursors[index], operands
        rest = *rest, states[index], rings[index], events[index]
        if group.target is not None:
            result = update(group.target, group.signature, data.team, *rest, via=chain)
        else:
            program = in_blocks(group.program, given.bounds[-1])
            result = update_reference(program, group.signature, group.cells, *rest)
        new, rows, list_, count = result
        states[index], rings[index] = tuple(new), tuple(rows)
        events[index] = events[index] if list_ is None else list_
        spikes.append((events[index], None, count))
    return cells._replace(states=tuple(states), rings=tuple(rings), events=tuple(events)), spikes


def _remember(
    plan: Any, data: Any, learned: list, states: Any, spikes: list, stamp: Any, chain: Chain
) -> None:
    """Tell the tables that learn which of their targets have spiked, and their V if they ask."""
    for k, (table, rows, law) in enumerate(zip(plan.tables, data.tables, data.laws, strict=True)):
        if law is None:
            continue
        cells, begin, count = spikes[table.group]
        given = learned[k], law, rows, cells, begin, count, stamp
        if table.voltage is None:
            learned[k] = remember(*given, via=chain)
        else:
            bounds, V = data.groups[table.group].bounds, states[table.group][table.voltage]
            learned[k] = remember_voltage(*given, bounds, V, via=chain)


def _deliver_own(
    plan: Any, data: Any, rings: list, learned: list, spikes: list, stamp: Any, chain: Chain
) -> None:
    """Deliver our own spikes, which no other part of the node wants to know."""
    for k, (table, rows, law) in enumerate(zip(plan.tables, data.tables, data.laws, strict=True)):
        of, ring = rings[table.group], table.ring
        cells, begin, count = spikes[table.source]
        given = data.part[0], cells, begin, count, stamp
        if law is not None:
            of[ring], learned[k] = learn(of[ring], learned[k], law, rows, *given, via=chain)
        elif isinstance(rows, Packed):
            of[ring] = arrive(of[ring], data.flights[k], rows, *given, data.team, via=chain)
        else:
            of[ring] = deliver(of[ring], rows, *given, data.team, via=chain)


def _exchange(
    plan: Any,
    data: Any,
    rings: list,
    learned: list,
    spikes: list,
    stamp: Any,
    last: Any,
    full: Any,
    chain: Chain,
) -> Any:
    """Deliver our own spikes, and if an exchange is due, those of the other parts."""
    token = exchange.first_token()
    for group, (events, begin, count) in enumerate(spikes):
        token = exchange.append(data.board, group, events, begin, count, token, via=chain)
    token = exchange.close(data.board, stamp, last, full, token, via=chain)
    for k, (table, rows, law) in enumerate(zip(plan.tables, data.tables, data.laws, strict=True)):
        of, ring = rings[table.group], table.ring
        cells, begin, count = spikes[table.source]
        given = data.part[0], cells, begin, count, stamp, data.board, table.source
        if law is not None:
            of[ring], learned[k], token = learn_all(
                of[ring], learned[k], law, rows, *given, token, via=chain
            )
        elif isinstance(rows, Packed):
            lists = data.flights[k]
            of[ring], token = arrive_all(
                of[ring], lists, rows, *given, token=token, team=data.team, via=chain
            )
        else:
            of[ring], token = exchange.deliver_all(
                of[ring], rows, *given, token=token, team=data.team, via=chain
            )
    return exchange.settle(data.board, token, via=chain)


def deliver_inbox(plan: Any, data: Any, carry: Any) -> Any:
    """Add what has come from other nodes."""
    rings, learned = [list(of) for of in carry.rings], list(carry.learned)
    for k, (table, rows, law) in enumerate(zip(plan.tables, data.tables, data.laws, strict=True)):
        of, ring = rings[table.group], table.ring
        given: tuple[Any, Any, Any] = data.inbox, table.source, carry.step
        if law is not None:
            of[ring], learned[k] = learn_boxes(of[ring], learned[k], law, rows, *given)
        elif isinstance(rows, Packed):
            of[ring] = arrive_boxes(of[ring], data.flights[k], rows, *given, data.team)
        else:
            of[ring] = exchange.deliver_boxes(of[ring], rows, *given, data.team)
    return carry._replace(rings=tuple(rings), learned=tuple(learned))

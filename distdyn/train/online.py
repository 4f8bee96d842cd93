"""Derivatives that travel forwards with the network, in memory to which no step adds.

A weight w acts on the state h of its post cell. How far h depends on it, the eligibility vector e,
follows from h alone, step by step, and so does how far the cell's spikes z do:

    e(t) = dh(t)/dh(t-1) e(t-1) + dh(t)/da(t) x(t - d),      dz(t)/dw = dz(t)/dh(t-1) e(t-1) + ...

x is what the pre cell has sent, a what arrives at the cell, d the delay. What is left out is how
the cell acts on itself through others. An error reaches it from what is watched of it, and from
readouts: cells that are linear and alike, so that dz/dw, filtered as a readout filters spikes,
times the weight of the synapse to it says how far the readout depends on w.

    dE/dw = sum_t [ dE/dh(t) e(t) + sum_k dE/dy_k(t) w_k (filter * dz/dw)(t) ]

A rule that factors keeps of each synapse what its pre cell does and what its post cell does, and
not both: with a decay r, in memory that does not even grow with the synapses,

    e ~ x_ f_,    x_(t) = r x_(t-1) + x(t),    f_(t) = r dh(t)/dh(t-1) f_(t-1) + (1 - r) dh(t)/da(t)

What is watched is computed first, for a loss may be any function of it; then once more together
with the eligibilities, which meet what the loss says of each step.

Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun. 11, 3625;
factored: Wang, Dong, Ji, Jiang, Liu & Wu (2024), bioRxiv 2024.09.24.614728.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from distdyn.core.cell import Cell
from distdyn.core.flow import is_linear
from distdyn.errors import TrainError
from distdyn.ops.matrix.dense import Dense
from distdyn.random import stream_key
from distdyn.train.inputs import Given
from distdyn.train.layout import DATA, NEURON, varying
from distdyn.train.local import Cells, Held, Local
from distdyn.train.synapses import Synapses, Target
from distdyn.train.unrolled import Unrolled

Score = Callable[[Mapping[str, Any]], tuple[Any, Any]]  # from outputs to loss and accuracy


class Slopes(NamedTuple):
    """How far a group's new states and its spikes depend on what it had before.

    By float leaf of the state, or by ring: by float leaf, then the spike: [trial, cell].
    """

    state: list[list[Any]]
    due: list[list[Any]]


class Eligible(NamedTuple):
    """Eligibilities of the synapses of one projection, [trial, pre, cell] or [trial, synapse].

    Attributes:
        vector: by float leaf of the post cell's state.
        spike: the last ones of the spikes, [step, ...]: as many as the longest way to a readout.
        filtered: by way to a readout, by float leaf of its state.
        total: the derivative so far, without the axis of trials.
    """

    vector: list[Any]
    spike: Any
    filtered: list[list[Any]]
    total: Any


@dataclass(frozen=True)
class Way:
    """From the cells that learn to a readout: the projection, and which target of it."""

    synapses: int
    target: int


@dataclass(frozen=True)
class Learner:
    """A projection that learns."""

    path: str
    synapses: int
    target: Target
    ways: tuple[Way, ...]


def gradient(
    net: Unrolled,
    parameters: Mapping[str, Any],
    held: Held,
    given: Given,
    trial: Any,
    steps: int,
    score: Score,
    feedback: str = "symmetric",
    decay: float | None = None,
    *,
    is_instant: bool = False,
) -> tuple[tuple[Any, Any], dict[str, Any]]:
    """The loss and the accuracy, and the derivatives of the loss by path.

    Args:
        net: the network.
        parameters: by path.
        held: as in a call of the network, like the next three.
        given: what comes from outside.
        trial: whose random numbers each trial has.
        steps: how many.
        score: the loss and the accuracy, of what is watched.
        feedback: the weights by which errors reach cells: "symmetric", those to readouts; or
            "random".
        decay: r, if eligibilities are factored.
        is_instant: whether an error of a readout counts for the spikes alone that arrive with it.
    """
    who = learners(net)
    outputs = net(parameters, held, given, trial, steps=steps, chunk=None)
    scored, errors = jax.value_and_grad(score, has_aux=True)(outputs)
    wanted = {name: jnp.moveaxis(_filled(net, name, error), 1, 0) for name, error in errors.items()}
    held = net.with_parameters(held, parameters)
    made: Any = _Instant if is_instant else _Learning
    if decay is not None:
        made = functools.partial(_Factored, decay=decay)

    def steps_of(*x: Any) -> dict[str, Any]:
        held, given, trial, wanted = jax.tree.map(varying, x)
        return made(net, who, held, given, trial, wanted, feedback).derivatives(steps)

    found = jax.shard_map(
        steps_of,
        mesh=net.layout.mesh,
        in_specs=(
            net.specs(held),
            given.specs(),
            P(DATA),
            {name: P(None, DATA) for name in wanted},
        ),
        out_specs={learner.path: net.where[learner.path].spec for learner in who},
        check_vma=True,
    )(held, given, trial, wanted)
    return scored, found


def _filled(net: Unrolled, name: str, error: Any) -> Any:
    """With zeros for the cells that only fill up."""
    layout, (path, _, _) = net.layout, net.found[net.watch.index(name)]
    missing = layout.devices * layout.width(path) - layout.size[path]
    return jnp.pad(error, ((0, 0), (0, 0), (0, missing)))


# --- who learns ----------------------------------------------------------------------------------


def learners(net: Unrolled) -> list[Learner]:
    """What is trained, and how errors reach it.

    Raises:
        TrainError: something cannot be trained in this way.
    """
    if net.layers:
        raise TrainError(
            f'EProp: no eligibility passes layer "{net.layers[0].path}". Use BPTT, or projections.'
        )
    watched = {path for path, _, _ in net.found}
    found = []
    for path in net.where:
        index = next((k for k, s in enumerate(net.synapses) if path == f"{s.path}.weight"), None)
        s = None if index is None else net.synapses[index]
        if s is None or not s.is_each or len(s.targets) != 1 or len(s.targets[0]) != 1:
            raise TrainError(
                f'EProp: "{path}" cannot learn by it. Train weights that are one for each synapse '
                "(weight=dd.Normal(...)) of projections of spikes onto one population; or use BPTT."
            )
        (target,) = s.targets[0]
        leaves = [x.ndim for x in net.held.states[target.group]]
        if any(ndim > 1 for ndim in leaves):
            raise TrainError(
                f'EProp: the cells of "{target.path}" have a past of their own. Use BPTT.'
            )
        ways = tuple(_ways(net, target.path, watched))
        if target.path not in watched and not ways:
            raise TrainError(
                f'EProp: no error reaches "{target.path}", so that "{path}" cannot learn. Project '
                "from it to a population of LeakyIntegrator that the loss watches, or use BPTT."
            )
        assert index is not None
        found.append(Learner(path, index, target, ways))
    return found


def _ways(net: Unrolled, path: str, watched: set[str]) -> list[Way]:
    """From a population to readouts."""
    found = []
    for k, s in enumerate(net.synapses):
        if len(s.targets) != 1 or all(source.path != path for source in s.sources[0]):
            continue
        for index, target in enumerate(s.targets[0]):
            if target.path not in watched or _is_spiking(net, target):
                continue
            if not _is_readout(net, target):
                raise TrainError(
                    f'EProp: "{target.path}" is watched, and no error comes back from it over '
                    f'"{s.path}": a readout is linear, without conductances, has parameters of one '
                    "value and acts on nobody, as a LeakyIntegrator. Use one, or BPTT."
                )
            if s.delay is None:
                raise TrainError(
                    f'EProp: "{s.path}" has several delays. Give one to what leads to a readout, '
                    "or use BPTT."
                )
            found.append(Way(k, index))
    return found


def _cell(net: Unrolled, target: Target) -> Any:
    group = net.groups[target.group]
    return group.systems[group.segment[target.path]]


def _is_spiking(net: Unrolled, target: Target) -> bool:
    cell = _cell(net, target)
    return isinstance(cell, Cell) and cell.is_spiking


def _is_readout(net: Unrolled, target: Target) -> bool:
    """Whether cells that do not spike are linear and alike, and act on nobody."""
    cell = _cell(net, target)
    if not isinstance(cell, Cell) or not is_linear(cell.flow):
        return False
    is_source = any(x.path == target.path for s in net.synapses for of in s.sources for x in of)
    return not is_source and "cell" not in net.plans[target.group].per


# --- the steps -----------------------------------------------------------------------------------


class _Learning(Local):
    """The steps of what one device has, and the eligibilities of its synapses."""

    kept = 1.0  # of an eligibility in a step, besides what the cell forgets

    def __init__(
        self, net: Unrolled, learners: list[Learner], held: Held, given: Given, trial: Any,
        wanted: Mapping[str, Any], feedback: str,
    ) -> None:  # fmt: skip
        super().__init__(net, held, trial)
        self.learners, self.wanted, self.random = learners, wanted, feedback == "random"
        self.given = given
        self.slopes: dict[int, Slopes] = {}  # of the groups, of the step that is being traced
        self.lists = {x.path: self._list(x) for x in learners}
        self.feedback = {(x.path, way): self._feedback(x, way) for x in learners for way in x.ways}

    def _list(self, learner: Learner) -> tuple[Any, Any, Any] | None:
        """Of each synapse (pre, cell, delay); None: all are connected to all."""
        s, (matrix,) = self.net.synapses[learner.synapses], self.matrices[learner.synapses]
        if isinstance(matrix, Dense):
            return None
        rows: Any = matrix
        width, column = self.net.layout.width(learner.target.path), rows.indices
        delay = column // width + 1 if s.delay is None else jnp.full_like(column, s.delay)
        return rows.rows(), column % width, delay

    def derivatives(self, steps: int) -> dict[str, Any]:
        """The sum over all steps, by path, as parameters lie on the mesh."""
        start = self.begin(), self._nothing_sent(), [self._nothing(x) for x in self.learners]
        start = jax.tree.map(varying, start)
        (_, _, found), _ = jax.lax.scan(self._both, start, (self.given, self.wanted), steps)
        totals = {}
        for learner, of in zip(self.learners, found, strict=True):
            is_one = self.net.where[learner.path].spec == P()  # there is one device along NEURON
            total = jax.lax.psum(of.total, (DATA, NEURON) if is_one else DATA)
            totals[learner.path] = total if is_one else total[None]
        return totals

    def _nothing_sent(self) -> dict[int, Any]:
        """What the pre ends have sent, [step, trial, pre], as long as the longest delay."""
        return {
            x.synapses: jnp.zeros(
                (self.net.synapses[x.synapses].slots, self.trials, self._rows(x)), self.dtype
            )
            for x in self.learners
        }

    def _rows(self, learner: Learner) -> int:
        return self.net.synapses[learner.synapses].matrices[0].shape[0]

    def _nothing(self, learner: Learner) -> Eligible:
        listed = self.lists[learner.path]
        width = self.net.layout.width(learner.target.path)
        shape = (self._rows(learner), width) if listed is None else listed[0].shape
        zero = jnp.zeros((self.trials, *shape), self.dtype)
        ways = [self.net.synapses[way.synapses] for way in learner.ways]
        longest = max((int(s.delay or 0) for s in ways), default=0)
        return Eligible(
            [zero for _ in self._leaves(learner.target.group)],
            jnp.zeros((longest, *zero.shape), self.dtype),
            [[zero for _ in self._leaves(self._end(way).group)] for way in learner.ways],
            jnp.zeros(shape, self.dtype),
        )

    def _end(self, way: Way) -> Target:
        return self.net.synapses[way.synapses].targets[0][way.target]

    def _leaves(self, k: int) -> list[int]:
        """Which leaves of a group's state are numbers with derivatives."""
        states = self.held.states[k]
        return [i for i, x in enumerate(states) if jnp.issubdtype(x.dtype, jnp.floating)]

    def stepped(
        self, k: int, cells: Cells, state: list[Any], due: list[Any]
    ) -> tuple[list[Any], Any]:
        """The cells of a group one step later; the slopes are noted."""
        leaves = self._leaves(k)

        def smooth(floats: list[Any], due: list[Any]) -> tuple[list[Any], Any]:
            whole = list(state)
            for leaf, x in zip(leaves, floats, strict=True):
                whole[leaf] = x
            new, spike = cells(whole, due)
            return [*(new[leaf] for leaf in leaves), spike], new

        floats = [state[leaf] for leaf in leaves]
        values, push, new = jax.linearize(smooth, floats, due, has_aux=True)
        none = jax.tree.map(lambda x: varying(jnp.zeros_like(x)), (floats, due))

        def along(which: int, index: int) -> list[Any]:
            tangent = [list(x) for x in none]
            tangent[which][index] = varying(jnp.ones_like(tangent[which][index]))
            return push(*tangent)

        self.slopes[k] = Slopes(
            [along(0, i) for i in range(len(floats))], [along(1, i) for i in range(len(due))]
        )
        return new, values[-1]

    def _both(self, loop: tuple[Any, ...], xs: tuple[Any, Any]) -> tuple[tuple[Any, ...], None]:
        carry, sent, eligible = loop
        given, wanted = xs
        stamp = carry.step + 1
        step = self.advance(carry, given)
        new = [
            self._learned(x, of, sent[x.synapses], wanted, stamp)
            for x, of in zip(self.learners, eligible, strict=True)
        ]
        sent = {
            k: self._noted(of, self.net.synapses[k].sent(0, step.gathered, self.net.layout), stamp)
            for k, of in sent.items()
        }
        return (step.carry, sent, new), None

    def _noted(self, sent: Any, x: Any, stamp: Any) -> Any:
        """What pre ends have sent, with what they have sent at the step `stamp`."""
        return sent.at[stamp % len(sent)].set(x)

    def _learned(
        self, learner: Learner, of: Eligible, sent: Any, wanted: Mapping[str, Any], stamp: Any
    ) -> Eligible:
        """The eligibilities one step later."""
        group, path = learner.target.group, learner.target.path
        slopes, here = self.slopes[group], self.net.layout.here[path]
        ring = self.net.plans[group].rings[learner.target.receptor]
        assert ring is not None
        x = self._arriving(learner, sent, stamp)
        n = len(of.vector)

        def later(to: int) -> Any:
            """How far the leaf `to`, or the spike behind them, depends on the weights."""
            total = self._entered(learner, slopes.due[ring][to][:, here], x)
            for leaf in range(n):
                slope = self.kept * slopes.state[leaf][to][:, here]
                total = total + self._times(learner, slope) * of.vector[leaf]
            return total

        vector, spike = [later(to) for to in range(n)], later(n)
        filtered, total = [], of.total
        for name, (watched, k, leaf) in zip(self.net.watch, self.net.found, strict=True):
            if watched == path:
                e = spike if leaf is None else vector[self._leaves(k).index(leaf)]
                total = total + self._met(learner, self._ours(path, wanted[name], 1), e, x)
        for at, way in enumerate(learner.ways):
            end, delay = self._end(way), int(self.net.synapses[way.synapses].delay or 0)
            came = self.kept**delay * of.spike[(stamp - delay) % len(of.spike)]
            filtered.append(self._filtered(end, of.filtered[at], came))
            for name, (watched, k, leaf) in zip(self.net.watch, self.net.found, strict=True):
                if watched == end.path and leaf is not None:
                    error = wanted[name] @ self.feedback[learner.path, way].T
                    e = filtered[at][self._leaves(k).index(leaf)]
                    total = total + self._met(learner, error, e, x)
        last = of.spike.at[stamp % len(of.spike)].set(spike) if len(of.spike) else of.spike
        return Eligible(vector, last, filtered, total)

    def _entered(self, learner: Learner, slope: Any, x: Any) -> Any:
        """What an eligibility gets new, for [trial, cell] and what arrives."""
        return self._times(learner, slope) * x

    def _met(self, learner: Learner, error: Any, eligibility: Any, x: Any) -> Any:
        """What an error [trial, cell] says of each weight."""
        return (self._times(learner, error) * eligibility).sum(axis=0)

    def _times(self, learner: Learner, of_cells: Any) -> Any:
        """[trial, cell] as a factor of what is of synapses."""
        listed = self.lists[learner.path]
        return of_cells[:, None, :] if listed is None else of_cells[:, listed[1]]

    def _arriving(self, learner: Learner, sent: Any, stamp: Any) -> Any:
        """What arrives by each synapse now, of weight 1."""
        listed, slots = self.lists[learner.path], len(sent)
        if listed is None:
            delay = self.net.synapses[learner.synapses].delay
            assert delay is not None
            return sent[(stamp - delay) % slots][:, :, None]
        pre, _, delay = listed  # pre is beyond the last row where an entry only fills up
        return sent.at[(stamp - delay) % slots, :, pre].get(mode="fill", fill_value=0).T

    def _filtered(self, end: Target, before: list[Any], came: Any) -> list[Any]:
        """What a readout makes of eligibilities of spikes: all its cells do the same."""
        slopes, plan = self.slopes[end.group], self.net.plans[end.group]
        ring, first = plan.rings[end.receptor], self.net.layout.here[end.path].start
        assert ring is not None
        found = []
        for to in range(len(before)):
            total = slopes.due[ring][to][0, first] * came
            for leaf, e in enumerate(before):
                total = total + self.kept * slopes.state[leaf][to][0, first] * e
            found.append(total)
        return found

    def _feedback(self, learner: Learner, way: Way) -> Any:
        """[cell, readout]: by which weight an error of each readout reaches each of our cells.

        Before the steps weights are sent about once, and none of the errors ever.
        """
        layout, path = self.net.layout, learner.target.path
        s, end = self.net.synapses[way.synapses], self._end(way)
        if self.random:
            whole = jnp.asarray(_random_feedback(self.net, s, path, end.path), self.dtype)
        else:
            of, ends = self.matrices[way.synapses], s.targets[0]
            is_joint = len(of) < len(ends)  # one matrix, whose columns are of one end after another
            start = sum(layout.width(t.path) for t in ends[: way.target]) if is_joint else 0
            matrix = of[0 if is_joint else way.target]
            mine = matrix.todense()[:, start : start + layout.width(end.path)]
            rows = jax.lax.all_gather(mine, NEURON, axis=1, tiled=True)
            whole, start = jnp.zeros((layout.size[path], rows.shape[1]), rows.dtype), 0
            for source in s.sources[0]:
                ids = np.arange(layout.size[source.path])[source.ids]
                if source.path == path:
                    whole = whole.at[ids].add(rows[start : start + len(ids)])
                start += len(ids)
        return self._ours(path, whole, 0)

    def _ours(self, path: str, x: Any, axis: int) -> Any:
        """The part of our cells, of an array over a population, filled up where it is too short."""
        width = self.net.layout.width(path)
        missing = self.net.layout.devices * width - x.shape[axis]
        x = jnp.pad(x, [(0, missing if k == axis else 0) for k in range(x.ndim)])
        return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(NEURON) * width, width, axis)


class _Instant(_Learning):
    """The same for readouts that forget: what they keep of earlier spikes is left out."""

    def _filtered(self, end: Target, before: list[Any], came: Any) -> list[Any]:
        return super()._filtered(end, [jnp.zeros_like(e) for e in before], came)


class _Factored(_Learning):
    """The same with eligibilities that are products of one factor of the pre and of the post cell.

    Those of the pre cells are in the place of what they have sent; [trial, cell] of the post cells.
    """

    def __init__(self, *given: Any, decay: float) -> None:
        super().__init__(*given)
        self.kept = decay

    def _noted(self, sent: Any, x: Any, stamp: Any) -> Any:
        before = sent[(stamp - 1) % len(sent)]
        return super()._noted(sent, self.kept * before + x, stamp)

    def _nothing(self, learner: Learner) -> Eligible:
        whole = super()._nothing(learner)
        width = self.net.layout.width(learner.target.path)
        zero = jnp.zeros((self.trials, width), self.dtype)
        vector, filtered = jax.tree.map(lambda _: zero, (whole.vector, whole.filtered))
        spike = jnp.zeros((len(whole.spike), *zero.shape), self.dtype)
        return Eligible(vector, spike, filtered, whole.total)

    def _times(self, learner: Learner, of_cells: Any) -> Any:
        return of_cells

    def _entered(self, learner: Learner, slope: Any, x: Any) -> Any:
        return (1.0 - self.kept) * slope

    def _met(self, learner: Learner, error: Any, eligibility: Any, x: Any) -> Any:
        listed, of_cells = self.lists[learner.path], error * eligibility
        if listed is None:
            return x[:, :, 0].T @ of_cells
        return (x * of_cells[:, listed[1]]).sum(axis=0)


def _random_feedback(net: Unrolled, s: Synapses, path: str, end: str) -> np.ndarray:
    """[neuron, readout], as large as the weights are at first; the same on every mesh."""
    weight = np.asarray(s.weight, np.float64)
    n = weight.size if s.edges is None else s.edges.shape[1]
    size = np.sqrt(np.square(weight).sum() / max(1, n))
    random = np.random.default_rng(stream_key(net.setting.seed, "feedback", f"{s.path}/{path}"))
    layout = net.layout
    columns = layout.devices * layout.width(end)
    return np.pad(
        size * random.normal(size=(layout.size[path], layout.size[end])),
        ((0, 0), (0, columns - layout.size[end])),
    )

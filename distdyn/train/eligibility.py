"""Eligibilities: how far the cells that a parameter acts on depend on it, step by step.

    e(t) = dh(t)/dh(t-1) e(t-1) + dh(t)/dw,     dz(t)/dw = dz(t)/dh(t-1) e(t-1) + ...

of what is trained        one e for each            what enters, dh(t)/dw
weights, one for each     synapse                   dh(t)/da(t) x(t - d)
the same, factored        cell, and x for each      (1 - r) dh(t)/da(t)
                          cell of the pre end
a few numbers             cell and number           dh(t)/da(t) sum over synapses of x(t - d) dw/dn
numbers of cells          cell                      as the step itself depends on them

h is the state of a cell, z its spike, a what arrives at it. The cells are those of all populations
that the parameter acts on, one after the other: "columns". An e that is of a cell is exact also
where others are factored.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from distdyn.ops.matrix.dense import Dense
from distdyn.train.layout import DATA, NEURON
from distdyn.train.synapses import Target, with_weight

SPIKE = -1  # in the place of the number of a leaf of the state


@dataclass(frozen=True)
class Way:
    """From the cells that learn to a readout: the projection, and which target of it."""

    synapses: int
    target: int


@dataclass(frozen=True)
class Learner:
    """A parameter that learns.

    Attributes:
        path: of the parameter.
        synapses: the number of the projection, if it is one's weights.
        targets: the populations whose cells it acts on; of weights by which receptor.
        ways: to readouts, of any of them.
    """

    path: str
    synapses: int | None
    targets: tuple[Target, ...]
    ways: tuple[Way, ...]


class Eligible(NamedTuple):
    """Eligibilities of one parameter, [trial, ...].

    Attributes:
        vector: by float leaf of the state of its cells.
        spike: the last ones of the spikes, [step, ...]: as many as the longest way to a readout.
        filtered: by way to a readout, by float leaf of its state.
        total: the derivative so far, without the axis of trials.
        sent: what is under way to the cells.
    """

    vector: list[Any]
    spike: Any
    filtered: list[list[Any]]
    total: Any
    sent: Any


class Eligibility(abc.ABC):
    """How the eligibilities of one parameter follow each other."""

    kept = 1.0  # of an eligibility in a step, besides what the cell forgets

    def __init__(self, steps: Any, learner: Learner) -> None:
        # Those of `Learning`, which have slopes; or of `Perturbing`, which asks for none.
        self.steps, self.net, self.learner = steps, steps.net, learner
        self.targets, self.ways = learner.targets, learner.ways
        self.widths = [self.net.layout.width(target.path) for target in self.targets]
        self.count = max(len(steps.leaves(target.group)) for target in self.targets)
        self.feedback = [self._feedback(way) for way in self.ways]

    # --- what the kinds say ----------------------------------------------------------------------

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The shape of eligibilities, without the axis of trials."""

    @property
    def whole(self) -> tuple[int, ...]:
        """The shape of the derivative."""
        return self.shape

    def vector(self) -> list[Any]:
        """The eligibilities before the first step."""
        return [self.zeros(*self.shape) for _ in range(self.count)]

    def nothing_sent(self) -> Any:
        """What is under way before the first step."""
        return ()

    def noted(self, sent: Any, gathered: list[Any], stamp: Any) -> Any:
        """What is under way, with what has been sent at the step `stamp`."""
        return sent

    def arriving(self, sent: Any, stamp: Any) -> Any:
        """What arrives now, of weight 1."""
        return None

    @abc.abstractmethod
    def times(self, of_cells: Any) -> Any:
        """[trial, column] as a factor of eligibilities."""

    @abc.abstractmethod
    def entered(self, to: int, x: Any) -> Any:
        """What the eligibility of a leaf gets new, by what arrives."""

    def met(self, error: Any, eligibility: Any, x: Any) -> Any:
        """What an error [trial, column] says of the parameter."""
        return (self.times(error) * eligibility).sum(axis=0)

    @abc.abstractmethod
    def summed(self, total: Any) -> Any:
        """The derivative as the parameter lies on the mesh."""

    # --- the steps -------------------------------------------------------------------------------

    def zeros(self, *shape: int) -> Any:
        """Of each trial."""
        return jnp.zeros((self.steps.trials, *shape), self.steps.dtype)

    def nothing(self) -> Eligible:
        """Before the first step."""
        zero = self.zeros(*self.shape)
        delays = [int(self.net.synapses[way.synapses].delay or 0) for way in self.ways]
        return Eligible(
            self.vector(),
            jnp.zeros((max(delays, default=0), *zero.shape), zero.dtype),
            [[zero for _ in self.steps.leaves(self._end(way).group)] for way in self.ways],
            jnp.zeros(self.whole, zero.dtype),
            self.nothing_sent(),
        )

    def learned(
        self, of: Eligible, gathered: list[Any], wanted: Mapping[str, Any], stamp: Any
    ) -> Eligible:
        """One step later.

        Args:
            of: the eligibilities before.
            gathered: what all devices have sent at its end.
            wanted: how far the loss depends on what is watched, by name.
            stamp: of the step.
        """
        x = self.arriving(of.sent, stamp)

        def later(to: int) -> Any:
            """How far the leaf `to`, or the spike, depends on the parameter."""
            total = self.entered(to, x)
            for leaf, e in enumerate(of.vector):
                total = total + self.times(self.kept * self._slope(leaf, to)) * e
            return total

        vector, spike = [later(to) for to in range(self.count)], later(SPIKE)
        total = of.total
        for name, (path, k, leaf) in self._watched():
            for at, target in enumerate(self.targets):
                if target.path != path:
                    continue
                e = spike if leaf is None else vector[self.steps.leaves(k).index(leaf)]
                error = self._alone(at, self.steps.ours(path, wanted[name], 1))
                total = total + self.met(error, e, x)
        filtered = []
        for way, feedback, before in zip(self.ways, self.feedback, of.filtered, strict=True):
            end, delay = self._end(way), int(self.net.synapses[way.synapses].delay or 0)
            came = self.kept**delay * of.spike[(stamp - delay) % len(of.spike)]
            filtered.append(self._filtered(end, before, came))
            for name, (path, k, leaf) in self._watched():
                if path == end.path and leaf is not None:
                    e = filtered[-1][self.steps.leaves(k).index(leaf)]
                    total = total + self.met(wanted[name] @ feedback.T, e, x)
        last = of.spike.at[stamp % len(of.spike)].set(spike) if len(of.spike) else of.spike
        return Eligible(vector, last, filtered, total, self.noted(of.sent, gathered, stamp))

    def columns(self, pieces: list[Any]) -> Any:
        """[trial, cell] of the cells of each target as one array."""
        return pieces[0] if len(pieces) == 1 else jnp.concatenate(pieces, axis=1)

    def here(self, target: Target, of_group: Any) -> Any:
        """The cells of a target, of an array over its group."""
        return of_group[:, self.net.layout.here[target.path]]

    def _watched(self) -> list[tuple[str, tuple[str, int, int | None]]]:
        return list(zip(self.net.watch, self.net.found, strict=True))

    def _alone(self, at: int, of_cells: Any) -> Any:
        """[trial, cell] of one target with zeros for the others."""
        before, after = sum(self.widths[:at]), sum(self.widths[at + 1 :])
        return jnp.pad(of_cells, ((0, 0), (before, after)))

    def _slope(self, leaf: int, to: int) -> Any:
        """How far a leaf of the state, or the spike, depends on one before the step."""
        found = []
        for target, width in zip(self.targets, self.widths, strict=True):
            n = len(self.steps.leaves(target.group))
            if max(leaf, to) < n:
                slope = self.steps.slopes[target.group].state[leaf][to]
                found.append(self.here(target, slope))
            else:
                found.append(self.zeros(width))
        return self.columns(found)

    def _end(self, way: Way) -> Target:
        return self.net.synapses[way.synapses].targets[0][way.target]

    def _filtered(self, end: Target, before: list[Any], came: Any) -> list[Any]:
        """What a readout makes of eligibilities of spikes: all its cells do the same."""
        slopes, plan = self.steps.slopes[end.group], self.net.plans[end.group]
        ring, first = plan.rings[end.receptor], self.net.layout.here[end.path].start
        assert ring is not None
        found = []
        for to in range(len(before)):
            total = slopes.due[ring][to][0, first] * came
            for leaf, e in enumerate(before):
                if not self.steps.is_instant:  # else what it keeps of earlier spikes is left out
                    total = total + self.kept * slopes.state[leaf][to][0, first] * e
            found.append(total)
        return found

    def _feedback(self, way: Way) -> Any:
        """[column, readout]: by which weight an error of each readout reaches each of our cells."""
        found = [self.steps.feedback_to(target.path, way) for target in self.targets]
        return found[0] if len(found) == 1 else jnp.concatenate(found)


# --- weights -------------------------------------------------------------------------------------


class _OfWeights(Eligibility):
    """What weights of a projection have in common."""

    @property
    def synapses(self) -> Any:
        """The projection."""
        assert self.learner.synapses is not None
        return self.net.synapses[self.learner.synapses]

    def due(self, to: int) -> Any:
        """How far a leaf, or the spike, depends on what arrives: [trial, column]."""
        found = []
        for target, width in zip(self.targets, self.widths, strict=True):
            ring = self.net.plans[target.group].rings[target.receptor]
            assert ring is not None  # something arrives
            if to < len(self.steps.leaves(target.group)):
                slope = self.steps.slopes[target.group].due[ring][to]
                found.append(self.here(target, slope))
            else:
                found.append(self.zeros(width))
        return self.columns(found)


class Each(_OfWeights):
    """Weights that are one for each synapse: [trial, pre, column], or [trial, synapse]."""

    def __init__(self, steps: Any, learner: Learner) -> None:
        super().__init__(steps, learner)
        self.rows = self.synapses.matrices[0].shape[0]
        self.listed = self._list()

    def _list(self) -> tuple[Any, Any, Any] | None:
        """Of each synapse (pre, column, delay); None: all are connected to all."""
        assert self.learner.synapses is not None
        s, (matrix,) = self.synapses, self.steps.matrices[self.learner.synapses]
        if isinstance(matrix, Dense):
            return None
        slots, at = s.slots if s.delay is None else 1, matrix.indices
        starts = np.cumsum([0, *self.widths]).astype(at.dtype)
        target = jnp.searchsorted(jnp.asarray(slots * starts[1:-1]), at, side="right")
        start, width = (jnp.asarray(x)[target] for x in (starts, np.diff(starts)))
        within = at - slots * start
        delay = within // width + 1 if s.delay is None else jnp.full_like(at, s.delay)
        return matrix.rows(), start + within % width, delay

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows, sum(self.widths)) if self.listed is None else self.listed[0].shape

    def nothing_sent(self) -> Any:
        """[step, trial, pre], as long as the longest delay."""
        return jnp.zeros((self.synapses.slots, self.steps.trials, self.rows), self.steps.dtype)

    def noted(self, sent: Any, gathered: list[Any], stamp: Any) -> Any:
        x = self.synapses.sent(0, gathered, self.net.layout)
        return sent.at[stamp % len(sent)].set(x)

    def arriving(self, sent: Any, stamp: Any) -> Any:
        if self.listed is None:
            return sent[(stamp - self.synapses.delay) % len(sent)][:, :, None]
        pre, _, delay = self.listed  # pre is beyond the last row where an entry only fills up
        return sent.at[(stamp - delay) % len(sent), :, pre].get(mode="fill", fill_value=0).T

    def times(self, of_cells: Any) -> Any:
        return of_cells[:, None, :] if self.listed is None else of_cells[:, self.listed[1]]

    def entered(self, to: int, x: Any) -> Any:
        return self.times(self.due(to)) * x

    def summed(self, total: Any) -> Any:
        is_one = self.net.where[self.learner.path].spec == P()  # one device along NEURON
        total = jax.lax.psum(total, (DATA, NEURON) if is_one else DATA)
        return total if is_one else total[None]


class Factored(Each):
    """The same, of which pre and post cells keep factors: those of the post cells are here.

    The others are in the place of what the pre cells have sent.
    """

    def __init__(self, steps: Any, learner: Learner, decay: float) -> None:
        self.kept = decay
        super().__init__(steps, learner)

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(self.widths),)

    @property
    def whole(self) -> tuple[int, ...]:
        return super().shape

    def noted(self, sent: Any, gathered: list[Any], stamp: Any) -> Any:
        x, before = self.synapses.sent(0, gathered, self.net.layout), sent[(stamp - 1) % len(sent)]
        return sent.at[stamp % len(sent)].set(self.kept * before + x)

    def times(self, of_cells: Any) -> Any:
        return of_cells

    def entered(self, to: int, x: Any) -> Any:
        return (1.0 - self.kept) * self.due(to)

    def met(self, error: Any, eligibility: Any, x: Any) -> Any:
        of_cells = error * eligibility
        if self.listed is None:
            return x[:, :, 0].T @ of_cells
        return (x * of_cells[:, self.listed[1]]).sum(axis=0)


class Few(_OfWeights):
    """Weights that follow from a few numbers, in which they are linear: [trial, number, column].

    All synapses of a cell have the same slopes, so that the sum of their eligibilities needs the
    sum of what arrives by them, and no synapse has one of its own.
    """

    def __init__(self, steps: Any, learner: Learner) -> None:
        super().__init__(steps, learner)
        first, index = self.synapses.weight, learner.synapses
        assert index is not None
        numbers = np.eye(first.size, dtype=first.dtype).reshape(first.size, *first.shape)
        self.matrices = [
            tuple(matrix.local() for matrix in with_weight(steps.held.matrices[index], one))
            for one in jnp.asarray(numbers)
        ]

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.matrices), sum(self.widths)

    def nothing_sent(self) -> Any:
        """[step, trial, number, column]: what arrives in the next steps."""
        s = self.synapses
        return jnp.zeros((s.slots, *self.zeros(*self.shape).shape), self.steps.dtype)

    def arriving(self, sent: Any, stamp: Any) -> Any:
        return sent[stamp % len(sent)]

    def noted(self, sent: Any, gathered: list[Any], stamp: Any) -> Any:
        s, layout = self.synapses, self.net.layout
        x, found = s.sent(0, gathered, layout), []
        for matrices in self.matrices:
            brought = s.brought(0, s.product(x, matrices), layout)
            found.append(jnp.concatenate([y for _, y in brought], axis=2))
        y = jnp.moveaxis(jnp.stack(found, axis=2), 1, 0)  # [slot, trial, number, column]
        later = np.arange(1, s.slots + 1) if s.delay is None else np.array([s.delay])
        return sent.at[stamp % len(sent)].set(0).at[(stamp + later) % len(sent)].add(y)

    def times(self, of_cells: Any) -> Any:
        return of_cells[:, None, :]

    def entered(self, to: int, x: Any) -> Any:
        return self.times(self.due(to)) * x

    def summed(self, total: Any) -> Any:
        first = self.net.where[self.learner.path].first
        return jax.lax.psum(total.sum(axis=1), (DATA, NEURON)).reshape(first.shape)


# --- numbers of cells ----------------------------------------------------------------------------


class OfCells(Eligibility):
    """What a step of the cells themselves depends on: [trial, column]."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(self.widths),)

    def vector(self) -> list[Any]:
        """First states depend on it, too."""
        _, states = self.steps.directions[self.learner.path]
        return [
            self._of({k: [x[None] for x in of] for k, of in states.items()}, to)
            for to in range(self.count)
        ]

    def times(self, of_cells: Any) -> Any:
        return of_cells

    def entered(self, to: int, x: Any) -> Any:
        return self._of(self.steps.direct[self.learner.path], to)

    def _of(self, of_groups: Mapping[int, list[Any]], to: int) -> Any:
        """[trial, column] of a leaf, or of the spike."""
        found = []
        for target, width in zip(self.targets, self.widths, strict=True):
            is_there = to < len(self.steps.leaves(target.group))
            of = self.here(target, of_groups[target.group][to]) if is_there else 0.0
            found.append(jnp.broadcast_to(of, self.zeros(width).shape))
        return self.columns(found)

    def summed(self, total: Any) -> Any:
        if self.net.where[self.learner.path].spec == P():
            return jax.lax.psum(total.sum(), (DATA, NEURON))
        return jax.lax.psum(total, DATA)

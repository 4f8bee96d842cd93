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

One number that many synapses or cells have, and parameters of cells, have an eligibility of each
cell; the derivative is the sum over the cells. `eligibility` has the kinds.

What is watched is computed first, for a loss may be any function of it; then once more together
with the eligibilities, which meet what the loss says of each step.

Source: Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass (2020), Nat. Commun. 11, 3625;
factored: Wang, Dong, Ji, Jiang, Liu & Wu (2024), bioRxiv 2024.09.24.614728.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from distdyn.core.cell import Cell
from distdyn.core.coupling import Coupling
from distdyn.core.flow import is_linear
from distdyn.errors import TrainError
from distdyn.random import stream_key
from distdyn.train.eligibility import (
    Each,
    Eligibility,
    Factored,
    Few,
    Learner,
    OfCells,
    Way,
)
from distdyn.train.inputs import Given
from distdyn.train.layout import DATA, NEURON, varying
from distdyn.train.local import Carry, Cells, GroupPlan, Held, Local, floats_of
from distdyn.train.parameters import Parameter, prepared
from distdyn.train.synapses import Synapses, Target
from distdyn.train.unrolled import Unrolled

Score = Callable[[Mapping[str, Any]], tuple[Any, Any]]  # from outputs to loss and accuracy


class Slopes(NamedTuple):
    """How far a group's new states and its spikes depend on what it had before.

    By float leaf of the state, or by ring: by float leaf, then the spike: [trial, cell].
    """

    state: list[list[Any]]
    due: list[list[Any]]


class Direction(NamedTuple):
    """How far what a run reads depends on one parameter; of one for each cell, on that cell's own.

    By group, as lists of what `_read` says.
    """

    operands: dict[int, list[Any]]
    states: dict[int, list[Any]]


class Read(NamedTuple):
    """What the steps of a device read; of what is wanted by name, and of directions by path."""

    held: Held
    given: Given
    trial: Any
    wanted: dict[str, Any]
    directions: dict[str, Direction]


def _depending(net: Unrolled, path: str) -> dict[int, list[int]]:
    """By group the operands that depend on a parameter: itself, and coefficients."""
    found: dict[int, list[int]] = {}
    for place in net.where[path].places:
        of = found.setdefault(place.group, [])
        of += [i for i in (place.operand, *prepared(net, place.group)) if i not in of]
    return {
        k: [i for i in of if jnp.issubdtype(net.held.operands[k][i].dtype, jnp.floating)]
        for k, of in found.items()
    }


def _direction(net: Unrolled, parameters: Mapping[str, Any], held: Held, path: str) -> Direction:
    depending = _depending(net, path)

    def of(value: Any) -> Direction:
        new = net.with_parameters(held, {**parameters, path: value})
        return Direction(
            {k: [new.operands[k][i] for i in index] for k, index in depending.items()},
            {k: [new.states[k][i] for i in floats_of(net, k)] for k in depending},
        )

    value = parameters[path]
    return jax.jvp(of, (value,), (jnp.ones_like(value),))[1]


def _specs(net: Unrolled, path: str) -> Direction:
    depending = _depending(net, path)
    return Direction(
        {
            k: [P(NEURON) if net.plans[k].per[i] == "cell" else P() for i in index]
            for k, index in depending.items()
        },
        {k: [P(NEURON) for _ in floats_of(net, k)] for k in depending},
    )


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
    ways = {
        learner.path: _direction(net, parameters, held, learner.path)
        for learner in who
        if learner.synapses is None
    }
    held = net.with_parameters(held, parameters)

    def steps_of(*x: Any) -> dict[str, Any]:
        read = Read(*jax.tree.map(varying, x))
        learning = Learning(
            net, who, read, is_random=feedback == "random", decay=decay, is_instant=is_instant
        )
        return learning.derivatives(steps)

    found = jax.shard_map(
        steps_of,
        mesh=net.layout.mesh,
        in_specs=(
            net.specs(held),
            given.specs(),
            P(DATA),
            {name: P(None, DATA) for name in wanted},
            {path: _specs(net, path) for path in ways},
        ),
        out_specs={learner.path: net.where[learner.path].spec for learner in who},
        check_vma=True,
    )(held, given, trial, wanted, ways)
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
    for path, parameter in net.where.items():
        index = next((k for k, s in enumerate(net.synapses) if path == f"{s.path}.weight"), None)
        targets = _of_cells(net, parameter) if index is None else _of_weights(net, index)
        ways: dict[Way, None] = {}
        for target in targets:
            if any(x.ndim > 1 for x in net.held.states[target.group]):
                raise TrainError(
                    f'EProp: the cells of "{target.path}" have a past of their own. Use BPTT.'
                )
            mine = _ways(net, target.path, watched)
            if target.path not in watched and not mine:
                raise TrainError(
                    f'EProp: no error reaches "{target.path}", so that "{path}" cannot learn. '
                    "Project from it to a population of LeakyIntegrator that the loss watches, or "
                    "use BPTT."
                )
            ways |= dict.fromkeys(mine)
        found.append(Learner(path, index, targets, tuple(ways)))
    return found


def _of_weights(net: Unrolled, index: int) -> tuple[Target, ...]:
    """The ends of a projection whose weights learn."""
    s = net.synapses[index]
    synapse = net.graph.projections[s.path].synapse
    if isinstance(synapse, Coupling) and not synapse.needs_spikes:
        raise TrainError(
            f'EProp: "{s.path}.weight" cannot learn by it, for {type(synapse).__name__} acts '
            "without spikes. Use BPTT."
        )
    return s.targets[0]


def _of_cells(net: Unrolled, parameter: Parameter) -> tuple[Target, ...]:
    """The populations whose steps depend on a number."""
    if parameter.number is not None and parameter.number.is_of_coupling(net.graph):
        raise TrainError(
            f'EProp: "{parameter.path}" cannot learn by it, for it is of what the pre cells send. '
            "Use BPTT."
        )
    found = []
    for place in parameter.places:
        path = net.groups[place.group].paths[place.segment]
        if all(path != target.path for target in found):
            found.append(Target(place.group, 0, path))
    return tuple(found)


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


class Learning(Local):
    """The steps of what one device has, and the eligibilities of what is trained there."""

    def __init__(
        self,
        net: Unrolled,
        learners: list[Learner],
        read: Read,
        *,
        is_random: bool,
        decay: float | None,
        is_instant: bool,
    ) -> None:
        super().__init__(net, read.held, read.trial)
        self.read, self.wanted, self.given = read, read.wanted, read.given
        self.directions = read.directions
        self.after = jax.tree.leaves(self.wanted)[0]  # the exchanges of the first pass are over
        self.is_random, self.is_instant = is_random, is_instant
        # Of the groups, and by path, of the step that is being traced:
        self.slopes: dict[int, Slopes] = {}
        self.direct: dict[str, dict[int, list[Any]]] = {path: {} for path in self.directions}
        self.kinds = [self._kind(learner, decay) for learner in learners]

    def _kind(self, learner: Learner, decay: float | None) -> Eligibility:
        if learner.synapses is None:
            return OfCells(self, learner)
        if not self.net.synapses[learner.synapses].is_each:
            return Few(self, learner)
        return Each(self, learner) if decay is None else Factored(self, learner, decay)

    def derivatives(self, steps: int) -> dict[str, Any]:
        """The sum over all steps, by path, as parameters lie on the mesh."""
        start = jax.tree.map(varying, (self.begin(), [of.nothing() for of in self.kinds]))
        (_, found), _ = jax.lax.scan(self._both, start, (self.given, self.wanted), steps)
        return {
            kind.learner.path: kind.summed(of.total)
            for kind, of in zip(self.kinds, found, strict=True)
        }

    def _both(self, loop: tuple[Any, ...], xs: tuple[Any, Any]) -> tuple[tuple[Any, ...], None]:
        carry, eligible = loop
        given, wanted = xs
        step = self.advance(carry, given)
        new = [
            kind.learned(of, step.gathered, wanted, carry.step + 1)
            for kind, of in zip(self.kinds, eligible, strict=True)
        ]
        return (step.carry, new), None

    def _update(
        self, k: int, plan: GroupPlan, carry: Carry, given: Given, tick: Any
    ) -> tuple[list[Any], list[Any], Any]:
        """A group one step later; how it depends on numbers of cells is noted."""
        mine = [path for path, of in self.directions.items() if k in of.operands]
        index = {path: _depending(self.net, path)[k] for path in mine}
        every, old = sorted({i for of in index.values() for i in of}), self.held.operands

        def step(of: list[Any]) -> list[Any]:
            new = list(old[k])
            for i, x in zip(every, of, strict=True):
                new[i] = x
            held = self.held._replace(operands=(*old[:k], tuple(new), *old[k + 1 :]))
            plain = Local(self.net, held, self.read.trial)
            state, _, spike = plain._update(k, plan, carry, given, tick)
            return [*(state[leaf] for leaf in self.leaves(k)), spike]

        if mine:
            at = [old[k][i] for i in every]
            _, push = jax.linearize(step, at)
            none = [varying(jnp.zeros_like(x)) for x in at]
        for path in mine:
            way = list(none)
            for i, x in zip(index[path], self.directions[path].operands[k], strict=True):
                way[every.index(i)] = x
            self.direct[path][k] = push(way)
        return super()._update(k, plan, carry, given, tick)

    def stepped(
        self, k: int, cells: Cells, state: list[Any], due: list[Any]
    ) -> tuple[list[Any], Any]:
        """The cells of a group one step later; the slopes are noted."""
        leaves = self.leaves(k)

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

    def feedback_to(self, path: str, way: Way) -> Any:
        """[cell, readout]: by which weight errors of readouts reach our cells of a population.

        Before the steps weights are sent about once, and none of the errors ever.
        """
        layout, s = self.net.layout, self.net.synapses[way.synapses]
        end = s.targets[0][way.target]
        if all(source.path != path for source in s.sources[0]):
            width = layout.devices * layout.width(end.path)
            return jnp.zeros((layout.width(path), width), self.dtype)
        if self.is_random:
            whole = jnp.asarray(_random_feedback(self.net, s, path, end.path), self.dtype)
        else:
            of, ends = self.matrices[way.synapses], s.targets[0]
            is_joint = len(of) < len(ends)  # one matrix, whose columns are of one end after another
            start = sum(layout.width(t.path) for t in ends[: way.target]) if is_joint else 0
            matrix = of[0 if is_joint else way.target]
            mine = matrix.todense()[:, start : start + layout.width(end.path)]
            self.after = rows = layout.parts.gathered(mine, self.after)
            rows = jnp.moveaxis(rows, 0, 1).reshape(len(mine), -1)
            whole, start = jnp.zeros((layout.size[path], rows.shape[1]), rows.dtype), 0
            for source in s.sources[0]:
                ids = np.arange(layout.size[source.path])[source.ids]
                if source.path == path:
                    whole = whole.at[ids].add(rows[start : start + len(ids)])
                start += len(ids)
        return self.ours(path, whole, 0)

    def ours(self, path: str, x: Any, axis: int) -> Any:
        """The part of our cells, of an array over a population, filled up where it is too short."""
        width = self.net.layout.width(path)
        missing = self.net.layout.devices * width - x.shape[axis]
        x = jnp.pad(x, [(0, missing if k == axis else 0) for k in range(x.ndim)])
        return jax.lax.dynamic_slice_in_dim(x, self.net.layout.parts.index() * width, width, axis)


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

"""Projection: synapses between populations. PoissonInput, CurrentInput: what comes from outside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from distdyn.core.coupling import Coupling
from distdyn.core.plasticity import AbstractPlasticity, Plasticity
from distdyn.core.receptor import CUBA, Kinetics, Output, Receptor
from distdyn.core.signal import Signal
from distdyn.core.system import emits_spikes, receives_input, takes_current
from distdyn.errors import DelayError, DistDynError, NetworkError, ParameterError, WeightError
from distdyn.network.distributions import Distribution
from distdyn.network.edges import Edges
from distdyn.network.ends import Ends
from distdyn.network.matrix import matrix_of
from distdyn.network.population import View, members
from distdyn.network.rule import AbstractCellRule, Rule
from distdyn.network.space import ByDistance, check_space
from distdyn.network.values import (
    Domain,
    Value,
    check_extremes,
    check_instance,
    check_model,
    check_source,
    check_value,
)
from distdyn.ops.matrix.csr import CSR
from distdyn.ops.matrix.jit import JITMatrix
from distdyn.units import shown, to_steps

STORAGES = ("stored", "procedural")
_DELAY = Domain("ms", nonnegative=True)  # of one that depends on distance: it is at least a step


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Projection:
    """Synapses from the neurons `pre` to the neurons `post`. A description: nothing is drawn.

    Args:
        pre: a population, a slice of one, or a tuple of these: their concatenation.
        post: the same; the targets.
        rule: who connects to whom.
        synapse: the kinetics of a receptor, such as `Exponential(tau=5.)`; or a coupling, by which
            the pre neurons act at every step, such as `NMDA()`, `GapJunction()` or `Additive()`.
        output: how the receptor acts on V; None is a current, the same as `CUBA()`.
        weight: the peak, in pA (current), nS (conductance, >= 0) or mV (`Delta`): a number, a
            distribution, a function of distance (`ByDistance`), or for `Edges` an array over the
            edges. Left out where `Edges` bring their weights.
        delay: > 0, in ms: the same choice. Numbers are multiples of dt; draws, and functions of
            distance, are rounded. Of a coupling also 0: the values at the beginning of the step.
        plasticity: how weights follow the spikes of both cells, such as `STDP()`, or what a
            spike brings of them, such as `TsodyksMarkram()`; None: they stay as they are.
        storage: "stored", or "procedural": the synapses of a source are drawn again whenever it
            spikes, the same ones, and take no memory. For rules that draw the targets of each pre
            neuron: `AllToAll`, `FixedProb`, `FixedOutdegree`, `FixedTotal`. Where there are no CPU
            kernels (on GPU), they are stored all the same.

    Attributes:
        path: in the outermost network in whose making it was met, as `cortex.exc`; else None. It is
            no part of the description: in another network the path is another.
    """

    path: ClassVar[str | None] = None  # and of each projection its own, once it has one

    pre: tuple[View, ...]
    post: tuple[View, ...]
    rule: Rule
    synapse: Kinetics
    output: Output | None
    weight: Value | ByDistance
    delay: Value | ByDistance
    plasticity: AbstractPlasticity | None
    storage: str

    def __init__(
        self,
        pre: Any,
        post: Any,
        rule: Rule,
        synapse: Kinetics,
        output: Output | None = None,
        *,
        weight: Any = None,
        delay: Any = None,
        plasticity: AbstractPlasticity | None = None,
        storage: str = "stored",
    ):
        what = "Projection"
        pre, post = members(pre, f"{what}: pre"), members(post, f"{what}: post")
        check_instance(rule, Rule, f"{what}: rule", "Give one such as FixedProb(0.1).")
        domain = check_receptor(synapse, output, what)
        if isinstance(synapse, Coupling):
            _check_coupling(synapse, pre, post, plasticity, storage, what)
        else:
            check_pre(pre, what)
            check_post(post, what)
        _check_storage(storage, rule, what)
        edges = rule if isinstance(rule, Edges) else None
        weight = _take(weight, edges and edges.weight, f"{what}: weight", WeightError)
        delay = _take(delay, edges and edges.delay, f"{what}: delay", DelayError)
        rule, n_edges = (edges.bare(), edges.pre.size) if edges else (rule, None)
        ends = Ends(pre, post)
        rule.check(ends, what)
        vars(self).update(
            pre=pre,
            post=post,
            rule=rule,
            synapse=synapse,
            output=output,
            weight=_check_distance(weight, rule, ends, f"{what}: weight", domain, WeightError)
            if isinstance(weight, ByDistance)
            else _check_weight(weight, what, domain, n_edges),
            delay=_check_distance(delay, rule, ends, f"{what}: delay", _DELAY, DelayError)
            if isinstance(delay, ByDistance)
            else check_delay(delay, what, n_edges, allows_zero=isinstance(synapse, Coupling)),
            plasticity=plasticity,
            storage=storage,
        )
        _check_plasticity(self, what)

    @cached_property
    def receptors(self) -> tuple[Receptor, ...]:
        """How it acts on its targets, which have one receptor for all that act alike."""
        output, at_once = self.output or CUBA(), self.is_at_once
        return tuple(Receptor(part, output, at_once) for part in self.synapse.parts)

    @property
    def is_at_once(self) -> bool:
        """Whether there is no delay."""
        return isinstance(self.delay, int | float) and self.delay == 0

    @cached_property
    def ends(self) -> Ends:
        """Both ends, and how many neurons they have."""
        return Ends(self.pre, self.post)

    @cached_property
    def expected_synapses(self) -> float:
        """How many synapses the rule makes on average."""
        return float(self.rule.expected(self.ends))

    def matrix(self, seed: int, *, path: str | None = None, dtype: Any = None) -> CSR | JITMatrix:
        """The synapses that `DSRunner(network, seed=seed)` has, as a matrix [pre, post] of floats.

            A = network.exc.matrix(seed=1)
            spikes @ A     A @ z     A.T     A.todense()

        Weights are as before they are rounded to the simulator's integers; delays are not in it.

        Args:
            seed: of the simulation.
            path: of the projection in its network; None is the attribute `path`.
            dtype: of the weights; None is JAX's default.

        Returns:
            A `CSR`. With storage="procedural" a `JITMatrix`, which takes no memory.

        Raises:
            NetworkError: the path is not known, or it is procedural and its rule none of
                `FixedProb` and `FixedOutdegree`.
            WeightError: it is procedural and its weights are none of a number, `Uniform`, and
                `Normal` without limits.
        """
        path = self.path if path is None else path
        if path is None:
            raise NetworkError(
                f"{self!r}: matrix(): its path is not known: it was in no network when one was "
                'made. Assign it in __init__ of the network, or give matrix(seed, path="exc").'
            )
        return matrix_of(
            self.ends, self.rule, self.weight,
            storage=self.storage, seed=seed, path=path, dtype=dtype,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"Projection({_names(self.pre)} -> {_names(self.post)}, {shown(self.rule)})"


@dataclass(frozen=True, eq=False, init=False, repr=False)
class PoissonInput:
    """An independent Poisson spike train to each target, through one synapse.

    Args:
        post: the targets: a population, a slice of one, or a tuple of these.
        rate: in Hz, >= 0: a number, an array over the targets, a `Signal`, or a function of t (ms).
        synapse: as in `Projection`; equal receptors are shared with the projections' own.
        output: as in `Projection`.
        weight: as in `Projection`: a number, or an array over the targets.
        delay: in ms, a number; None is one step.
    """

    post: tuple[View, ...]
    rate: float | np.ndarray | Signal | Callable
    synapse: Kinetics
    output: Output | None
    weight: float | np.ndarray
    delay: float | None

    def __init__(
        self,
        post: Any,
        rate: Any,
        synapse: Kinetics,
        output: Output | None = None,
        *,
        weight: Any,
        delay: float | None = None,
    ):
        what = "PoissonInput"
        post = members(post, f"{what}: post")
        check_post(post, what)
        domain = check_receptor(synapse, output, what)
        if isinstance(synapse, Coupling):
            raise NetworkError(
                f"{what}: {type(synapse).__name__} is not possible, for it needs cells that emit. "
                "Use kinetics such as Exponential(tau=2.), or let a population relay the spikes."
            )
        n = sum(view.size for view in post)
        _refuse_distribution(rate, f"{what}: rate", ParameterError)
        _refuse_distribution(weight, f"{what}: weight", WeightError)
        _refuse_distribution(delay, f"{what}: delay", DelayError)
        vars(self).update(
            post=post,
            rate=check_source(rate, f"{what}: rate", Domain("Hz", nonnegative=True), length=n),
            synapse=synapse,
            output=output,
            weight=_check_weight(weight, what, domain, n),
            delay=None if delay is None else check_delay(delay, what, None),
        )

    @cached_property
    def receptors(self) -> tuple[Receptor, ...]:
        """How it acts on its targets, which have one receptor for all that act alike."""
        return (Receptor(self.synapse, self.output or CUBA()),)

    def __repr__(self) -> str:
        return f"PoissonInput(-> {_names(self.post)}, rate={shown(self.rate)})"


@dataclass(frozen=True, eq=False, init=False, repr=False)
class CurrentInput:
    """A current into each target.

    Args:
        post: the targets: a population, a slice of one, or a tuple of these.
        current: in pA, or the unit of the model, such as of a rate model: a number, an array over
            the targets, a `Signal`, or a function of t (ms).
    """

    post: tuple[View, ...]
    current: float | np.ndarray | Signal | Callable

    def __init__(self, post: Any, current: Any):
        what = "CurrentInput"
        post = members(post, f"{what}: post")
        _check_driven(post, what)
        n = sum(view.size for view in post)
        _refuse_distribution(current, f"{what}: current", ParameterError)
        current = check_source(current, f"{what}: current", Domain("pA"), length=n)
        vars(self).update(post=post, current=current)

    def __repr__(self) -> str:
        return f"CurrentInput(-> {_names(self.post)}, current={shown(self.current)})"


def delay_steps(
    connection: Projection | PoissonInput, dt: float, path: str
) -> int | np.ndarray | Distribution | ByDistance:
    """The delay in steps of `dt` ms: an int, or int64 per edge.

    A distribution, or a function of distance, is in ms, as it is.

    Raises:
        DelayError: a delay shorter than one step, or not a multiple of it.
    """
    delay = connection.delay
    if delay is None or (isinstance(connection, Projection) and connection.is_at_once):
        return 1
    if isinstance(delay, Distribution | ByDistance):
        return delay
    noun = "projection" if isinstance(connection, Projection) else "input"
    return steps_of(delay, dt, f'{noun} "{path}": delay')


def steps_of(delay: float | np.ndarray, dt: float, what: str) -> int | np.ndarray:
    """A delay in ms, or one of each edge, in steps.

    Raises:
        DelayError: as `delay_steps`.
    """
    shortest = float(np.min(delay, initial=np.inf))
    if shortest < dt * (1 - 1e-6):
        raise DelayError(
            f"{what} {shortest:.12g} ms is shorter than dt = {dt:g} ms. Use delay >= {dt:g}."
        )
    return to_steps(delay, dt, what, error=DelayError)


def weight_unit(synapse: Kinetics, output: Output | None) -> str:
    """The unit of a weight: mV where V is moved, else that of the output or kinetics, or pA."""
    if synapse.moves_V:
        return "mV"
    return output.unit if output is not None else synapse.unit or CUBA.unit


def check_pre(pre: tuple[View, ...], what: str) -> None:
    """Refuse what does not spike."""
    for view in pre:
        if not emits_spikes(view.population.model):
            raise NetworkError(
                f"{what}: {view!r} cannot be pre, for its model does not spike. A model that "
                "spikes has a parameter V_th."
            )


def check_post(post: tuple[View, ...], what: str) -> None:
    """Refuse what spikes cannot reach."""
    for view in post:
        if not receives_input(view.population.model):
            raise NetworkError(
                f"{what}: {view!r} cannot be post, for its model has no state V. Use a population "
                "of cells; rate models take couplings such as Additive()."
            )


def _check_coupling(
    coupling: Coupling, pre: tuple[View, ...], post: tuple[View, ...], plasticity: Any,
    storage: str, what: str,
) -> None:  # fmt: skip
    name = type(coupling).__name__
    for view in pre:
        model = view.population.model
        reason = coupling.refusal(model)
        if reason is None and not callable(getattr(model, "derivative", None)):
            reason = f"{type(model).__name__} only generates spikes. Let cells relay them"
        if reason is not None:
            raise NetworkError(f"{what}: {view!r} cannot be pre of {name}, for {reason}.")
    _check_driven(post, what)
    for view in post if coupling.needs_sum else ():  # what a cell emits is compared with its own
        reason = coupling.refusal(view.population.model)
        if reason is not None:
            raise NetworkError(f"{what}: {view!r} cannot be post of {name}, for {reason}.")
    if plasticity is not None:
        raise NetworkError(
            f"{what}: plasticity = {shown(plasticity)} is not possible with {name}, which acts at "
            "every step and not by spikes. Leave it out."
        )
    if storage == "procedural":
        raise NetworkError(
            f'{what}: storage="procedural" is not possible with {name}, whose synapses are read at '
            'every step. Use storage="stored".'
        )


def _check_driven(post: tuple[View, ...], what: str) -> None:
    for view in post:
        if not takes_current(view.population.model):
            raise NetworkError(
                f"{what}: {view!r} cannot be post, for its model has neither a V nor a derivative "
                "that a current could enter. Use a population of cells or of rate models."
            )


def check_receptor(synapse: Any, output: Any, what: str) -> Domain:
    """Check kinetics and output, and say what a weight may be."""
    cure = "Give kinetics such as Exponential(tau=5.), then an output such as COBA(E=0.)."
    check_instance(synapse, Kinetics, f"{what}: synapse", cure)
    check_model(synapse, f"{what}: {type(synapse).__name__}")
    if output is None:
        return Domain(weight_unit(synapse, output), nonnegative=synapse.nonnegative)
    check_instance(output, Output, f"{what}: output", cure)
    check_model(output, f"{what}: {type(output).__name__}")
    if synapse.moves_V:
        name = type(synapse).__name__
        raise NetworkError(
            f"{what}: {name} takes no output, for it moves V itself; found {shown(output)}. "
            "Leave the output out."
        )
    return Domain(weight_unit(synapse, output), nonnegative=output.nonnegative)


def _check_plasticity(projection: Projection, what: str) -> None:
    rule, weight = projection.plasticity, projection.weight
    if rule is None:
        return
    cure = "Give a rule such as STDP() or TsodyksMarkram()."
    check_instance(rule, AbstractPlasticity, f"{what}: plasticity", cure)
    name = type(rule).__name__
    check_model(rule, f"{what}: {name}")
    _check_numbers(rule, what)
    if isinstance(rule, Plasticity):
        _check_traces(rule, what)
    for view in projection.post if isinstance(rule, Plasticity) else ():
        if not emits_spikes(view.population.model):
            raise NetworkError(
                f"{what}: plasticity needs the spikes of the post cells, but {view!r} does not "
                "spike. Use cells with a threshold, or leave plasticity out."
            )
    if projection.storage == "procedural":
        raise NetworkError(
            f'{what}: plastic weights cannot be drawn again. Use storage="stored", or leave '
            "plasticity out."
        )
    bound = getattr(rule, "w_max", None)
    is_drawn = isinstance(weight, Distribution | ByDistance)
    largest = weight.extremes()[1] if is_drawn else float(np.max(weight, initial=-np.inf))
    if bound is not None and largest > float(bound):
        raise WeightError(
            f"{what}: a weight may be {largest:g}, beyond w_max = {float(bound):g} of "
            f"{name}. Use a larger w_max, or smaller weights."
        )


def _check_numbers(rule: AbstractPlasticity, what: str) -> None:
    """Parameters are those of all synapses; also of a rule inside."""
    for parameter, value in vars(rule).items():
        if isinstance(value, AbstractPlasticity):
            _check_numbers(value, what)
        if isinstance(value, Distribution):
            raise ParameterError(
                f"{what}: {type(rule).__name__}: {parameter} = {value!r} is not possible, for one "
                "rule is that of all synapses. Give a number."
            )


def _check_traces(rule: Plasticity, what: str) -> None:
    name, positive = type(rule).__name__, Domain("ms", positive=True)
    for trace in (*rule.pre(), *rule.post()):
        check_value(trace.tau, f"{what}: tau of a trace of {name}", positive)
    if rule.reward:
        check_value(rule.reward(), f"{what}: tau of the reward of {name}", positive)
    if rule.sees_voltage and rule.between:
        raise NetworkError(
            f"{what}: {name} follows V of the post cells and has a law between spikes, which is "
            "not possible together, for traces of V have none. Use one of them."
        )


def _check_storage(storage: Any, rule: Rule, what: str) -> None:
    if storage not in STORAGES:
        raise NetworkError(
            f'{what}: storage = {shown(storage)} is unknown. Use "stored" or "procedural".'
        )
    if storage == "procedural" and not isinstance(rule, AbstractCellRule):
        raise NetworkError(
            f'{what}: storage="procedural" is not possible with {shown(rule)}, which does not draw '
            'the targets of each pre neuron. Use storage="stored", or one of AllToAll, FixedProb, '
            "FixedOutdegree and FixedTotal."
        )


def _take(given: Any, brought: Any, what: str, error: type[Exception]) -> Any:
    """The values that edges bring, or else those that the projection gives."""
    if given is None and brought is None:
        raise error(f"{what} = None: give a number or a distribution, or edges that bring theirs.")
    if given is not None and brought is not None:
        raise error(
            f"{what} = {shown(given)} is given, but the edges bring theirs. Leave it out, or use "
            "the edges without: Edges(pre, post), Edges.from_matrix(A != 0)."
        )
    return given if brought is None else brought


def _check_distance(
    value: ByDistance, rule: Rule, ends: Ends, what: str, domain: Domain, error: type[DistDynError]
) -> ByDistance:
    """The value between these ends."""
    if isinstance(rule, AbstractCellRule):
        raise NetworkError(
            f"{what} = {value!r} is not possible with {shown(rule)}, which does not list pairs. "
            "Use DistanceDependent, FixedIndegree or another rule."
        )
    check_space(ends, what)
    value = value.over(ends)
    check_extremes(value, what, domain, "Change the function.", error)
    return value


def _check_weight(weight: Any, what: str, domain: Domain, length: int | None) -> Value:
    return check_value(weight, f"{what}: weight", domain, length=length, error=WeightError)


def check_delay(delay: Any, what: str, length: int | None, *, allows_zero: bool = False) -> Value:
    """A delay in ms, if it is possible."""
    what, cure = f"{what}: delay", "Use at least dt."
    if allows_zero and isinstance(delay, int | float) and delay == 0:
        return 0.0
    if isinstance(delay, Distribution):  # draws below dt become one step, but not all of them may
        if delay.extremes()[1] <= 0:
            raise DelayError(f"{what} = {delay!r} is never positive. {cure}")
        return delay
    domain = Domain("ms", positive=True)
    return check_value(delay, what, domain, length=length, cure=cure, error=DelayError)


def _refuse_distribution(value: Any, what: str, error: type[Exception]) -> None:
    if isinstance(value, Distribution):
        cure = "Give a number, or an array over the targets."
        raise error(f"{what} = {value!r} is not possible: inputs are not drawn. {cure}")


def _names(views: tuple[View, ...]) -> str:
    return " + ".join(map(repr, views))

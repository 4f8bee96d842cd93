"""Reading and setting by path: `runner["E"].V`, `runner["E"].INa.g = 90.`, `runner["exc"]`.

Of several ranks all read and set together, and all get and give the whole.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np

from distdyn.core.cell import check_new_delays
from distdyn.core.parameters import fields_of
from distdyn.core.plasticity import Plasticity
from distdyn.errors import (
    CheckpointError,
    NameLookupError,
    NetworkError,
    ParameterError,
    suggestion,
)
from distdyn.network.distributions import Distribution
from distdyn.network.projection import Projection
from distdyn.network.values import check_model, check_value
from distdyn.parallel.build import storage_of
from distdyn.parallel.shard import Shard
from distdyn.run.record import names_at, resolve
from distdyn.units import real, shown, to_steps


class Synapses(NamedTuple):
    """Synapses as arrays: indices in the pre and post end, weight in its unit, delay in ms."""

    pre: np.ndarray
    post: np.ndarray
    weight: np.ndarray
    delay: np.ndarray


class PopulationAccess:
    """State variables and parameters of a population, as attributes.

    Reading gives a number or a new array over the population; setting takes either. Of a composed
    model a part, such as a channel, is an attribute with attributes of its own.

    Collective.
    """

    __slots__ = ("_changes", "_part", "_path", "_shard")

    def __init__(
        self, shard: Shard, path: str, changes: list[tuple[str, str, Any]], part: str = ""
    ) -> None:
        object.__setattr__(self, "_shard", shard)
        object.__setattr__(self, "_path", path)
        object.__setattr__(self, "_changes", changes)
        object.__setattr__(self, "_part", part)  # "INa." within that part, "" at the top

    def __getattr__(self, name: str) -> Any:
        shard, path, name = self._shard, self._path, self._part + name
        if name in self._parameters():
            return shard.read_parameter(path, name)
        if any(known.startswith(f"{name}.") for known in self._parts()):
            return PopulationAccess(shard, path, self._changes, f"{name}.")
        return shard.read_state(path, self._state(name))

    def __setattr__(self, name: str, value: Any) -> None:
        shard, path, name = self._shard, self._path, self._part + name
        size = shard.graph.populations[path].size
        if name in self._parameters():
            checked = _checked_parameter(shard, path, name, value, size)
            with jax.enable_x64(True):
                shard.write_parameter(path, name, checked)
            self._changes.append((path, name, checked))
        else:
            state = self._state(name)
            checked = check_value(value, f"{path}.{name}", length=size)
            with jax.enable_x64(True):
                shard.write_state(path, state, checked)

    def __dir__(self) -> list[str]:
        names = [*self._parameters(), *self._shard.state_names(self._path)]
        inside = [name.removeprefix(self._part) for name in names if name.startswith(self._part)]
        return list(dict.fromkeys(name.partition(".")[0] for name in inside))

    def __repr__(self) -> str:
        part = f", its {self._part[:-1]}" if self._part else ""
        lines = [f"{self._path}: {self._shard.graph.populations[self._path]!r}{part}"]
        known = {"parameters": self._parameters(), "state": names_at(self._shard, self._path)}
        lines += [
            f"  {noun}: {', '.join(name for name in names if name.startswith(self._part))}"
            for noun, names in known.items()
        ]
        return "\n".join(lines)

    def _parameters(self) -> list[str]:
        names = self._shard.parameter_names(self._path)
        return [name for name in names if not name.startswith(("receptors.", "couplings."))]

    @property
    def composed(self) -> list[str]:
        """The names of its parts that have attributes of their own, such as channels."""
        return list(dict.fromkeys(x.partition(".")[0] for x in self._parts() if "." in x))

    def _parts(self) -> list[str]:
        """The names of parameters and states of the model, dotted where it is composed."""
        states = self._shard.state_names(self._path)
        return [
            *self._parameters(),
            *(n for n in states if not n.startswith(("receptors.", "sent."))),
        ]

    def _state(self, name: str) -> str:
        known = [*self._parameters(), *names_at(self._shard, self._path)]
        if name.startswith("__") or name == "spikes" or name not in known:
            raise NameLookupError(
                f'population "{self._path}" has no "{name}". {suggestion(name, known)}'
            )
        return resolve(self._shard, f"{self._path}.{name}")[1]


def _checked_parameter(shard: Shard, path: str, name: str, value: Any, size: int) -> Any:
    """The value as a number or float64 array, if the model allows it."""
    model = shard.graph.populations[path].model
    *parts, last = name.split(".")
    if isinstance(value, Distribution) or last not in fields_of(reduce(getattr, parts, model)):
        raise ParameterError(
            f'population "{path}": {name} = {shown(value)} cannot be set during a run. Give a '
            "number or an array."
        )
    number = value if np.ndim(value) == 0 else real(value, f"{path}.{name}")
    changed = eqx.tree_at(
        lambda m: reduce(getattr, name.split("."), m), model, number, is_leaf=lambda x: x is None
    )
    check_model(changed, f'population "{path}": {type(model).__name__}', length=size)
    group = shard.group_of(path)
    check_new_delays(group.systems[group.segment[path]], changed, shard.setting.dt)
    if name == "t_ref":
        to_steps(number, shard.setting.dt, f'population "{path}": t_ref')
    return float(number) if np.ndim(number) == 0 else number


class ProjectionAccess:
    """The synapses of a projection, and the state of the receptors that it acts through.

    Collective, but for `weight` and `delay` when they are read.
    """

    __slots__ = ("_changed", "_path", "_shard")

    def __init__(self, shard: Shard, path: str, changed: Callable[[str, Any], None]) -> None:
        object.__setattr__(self, "_shard", shard)
        object.__setattr__(self, "_path", path)
        object.__setattr__(self, "_changed", changed)  # is told the new weight of the synapses

    @property
    def weight(self) -> Any:
        """The weight as it was described: a number, an array over the edges, a distribution.

        Of a plastic projection the weights as they are now, in the order of `edges()`: all spikes
        that have reached a synapse have changed it. Collective.
        """
        projection = self._shard.graph.projections[self._path]
        return projection.weight if projection.plasticity is None else self.edges().weight

    @property
    def delay(self) -> Any:
        """The delay as it was described, in ms."""
        return self._shard.graph.projections[self._path].delay

    def edges(self, pre: Any = None, post: Any = None) -> Synapses:
        """The synapses from and onto these indices of the two ends; None means all.

        Every rank gets those of all ranks: of a large projection ask for some.

        Collective.
        """
        kept = [_selected(part, pre, post) for part in self._shard.synapses(self._path)]
        every = [part for parts in self._shard.world.allgather(kept) for part in parts]
        if not every:
            return Synapses(*(np.zeros(0, dtype) for dtype in ("i8", "i8", "f8", "f8")))
        found = [np.concatenate(column) for column in zip(*every, strict=True)]
        order = np.lexsort((found[1], found[0]))
        return Synapses(*(column[order] for column in found))

    def reward(self, amount: float) -> None:
        """Add to the reward of these synapses at this time, where their plasticity follows it.

        Raises:
            NetworkError: it does not.
            ParameterError: it is no finite number.
        """
        rule = self._shard.graph.projections[self._path].plasticity
        if not isinstance(rule, Plasticity) or rule.reward is None:
            raise NetworkError(
                f'projection "{self._path}": plasticity {shown(rule)} follows no reward. Use a '
                "rule that does, such as RewardSTDP()."
            )
        amount = check_value(amount, f'projection "{self._path}": reward')
        if np.ndim(amount):
            raise ParameterError(
                f'projection "{self._path}": reward {shown(amount)} is not one number. It is the '
                "same at all synapses."
            )
        with jax.enable_x64(True):
            self._shard.reward(self._path, float(amount))

    def __getattr__(self, name: str) -> Any:
        shard, path = self._shard, self._path
        projection = shard.graph.projections[path]
        parts = []
        for view in projection.post:
            post = shard.graph.path(view.population)
            known = [n[len(path) + 1 :] for n in names_at(shard, post) if n.startswith(f"{path}.")]
            if name not in known:
                raise NameLookupError(
                    f'projection "{path}" has no "{name}". '
                    + suggestion(name, ["weight", "delay", "edges", *known])
                )
            state = resolve(shard, f"{post}.{path}.{name}")[1]
            parts.append(shard.read_state(post, state)[view.start : view.stop : view.step])
        return np.concatenate(parts)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "weight":
            raise NameLookupError(
                f'projection "{self._path}": only its weight can be set, not "{name}".'
            )
        old = self._shard.graph.projections[self._path]
        new = Projection(
            old.pre, old.post, old.rule, old.synapse, old.output,
            weight=value, delay=old.delay, plasticity=old.plasticity, storage=old.storage,
        )  # fmt: skip
        with jax.enable_x64(True):
            self._shard.write_weight(self._path, new)
        self._changed(self._path, value)

    def __repr__(self) -> str:
        projection = self._shard.graph.projections[self._path]
        return f"{self._path}: {projection!r}, weights {storage_of(projection.weight)}"


class Behind:
    """A population or projection of a run that goes on, before its script has come that far.

    What is set there is in the checkpoint, and set already. What was there to read is not known.

    Args:
        path: of the population or projection.
        parts: the names of its parts that have attributes of their own.
        when: what to say of a value that is read.
    """

    __slots__ = ("_parts", "_path", "_when")

    def __init__(self, path: str, parts: Sequence[str], when: str) -> None:
        object.__setattr__(self, "_path", path)
        object.__setattr__(self, "_parts", parts)
        object.__setattr__(self, "_when", when)

    def __getattr__(self, name: str) -> Any:
        if name in self._parts:
            return Behind(f"{self._path}.{name}", (), self._when)
        raise CheckpointError(f'"{self._path}.{name}" cannot be read: {self._when}')

    def __setattr__(self, name: str, value: Any) -> None:
        pass

    def reward(self, amount: float) -> None:
        """It has been given."""


def _selected(part: Sequence[np.ndarray], pre: Any, post: Any) -> tuple[np.ndarray, ...]:
    """Of some synapses (pre, post, weight, delay) those from and onto these indices."""
    keep = np.ones(len(part[0]), bool)
    for index, wanted in ((0, pre), (1, post)):
        if wanted is not None:
            keep &= np.isin(part[index], np.atleast_1d(np.asarray(wanted)))
    return tuple(column[keep] for column in part)

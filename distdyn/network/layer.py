"""Layer: a layer of a neural network between populations, such as a convolution.

    self.conv = Layer(self.events, self.hidden, lambda key: eqx.nn.Conv2d(2, 8, 3, key=key),
                      Delta(), delay=1.)

At every step it takes the spikes of all pre neurons, as one array of zeros and ones, and gives one
number for each post neuron, which arrives there like the weight of a spike.
"""

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.core.coupling import Coupling
from distdyn.core.receptor import CUBA, Kinetics, Output, Receptor
from distdyn.errors import NameLookupError, NetworkError, ParameterError, suggestion
from distdyn.network.ends import Ends
from distdyn.network.population import View, members
from distdyn.network.projection import check_delay, check_post, check_pre, check_receptor, steps_of
from distdyn.network.values import Domain, check_value
from distdyn.random import stream_key
from distdyn.units import shown

MOST = 1024.0  # of what arrives at a neuron in a step; leaves 20 bits behind the point to an int32


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Layer:
    """A layer of a neural network from the neurons `pre` to the neurons `post`.

        y(t) = module(x(t)),   x = 1 for those that spike at t, else 0;   y arrives at t + delay

    x has the shape of the population, if `pre` is one whole population, else it is a vector; y has
    as many numbers as there are post neurons. A module with a state has one for the layer, from
    its spikes at t: `eqx.nn.GRUCell` and `eqx.nn.LSTMCell`, whose h is y; or any with a method
    `begin() -> state` that is called as `module(x, state) -> (y, state)`. Dropout acts in training
    alone. Where a network is simulated in parts, every part computes the whole layer.

    Args:
        pre: a population that spikes, a slice of one, or a tuple of these.
        post: the same; the targets.
        module: a layer of equinox (Linear, Conv, LayerNorm, Dropout, Sequential, ...) or another
            `eqx.Module` that is a function of an array; or a function of a key that makes one, by
            which it is drawn as all else in the network is: by the seed, and by its path.
        synapse: the kinetics of the receptor, as in `Projection`.
        output: how it acts on V; one that takes both signs.
        delay: in ms, at least dt.
        most: the largest |y|, in the unit of a weight. In a simulation, whose sums are of
            fixed-point numbers, more is an error.

    Raises:
        NetworkError: the module does not fit these neurons, or keeps a state that equinox wants
            to be handed from call to call (BatchNorm).
    """

    pre: tuple[View, ...]
    post: tuple[View, ...]
    module: Callable
    synapse: Kinetics
    output: Output | None
    delay: float
    most: float
    given: dict[str, np.ndarray]  # arrays in the place of those that the module brings

    def __init__(
        self,
        pre: Any,
        post: Any,
        module: Callable,
        synapse: Kinetics,
        output: Output | None = None,
        *,
        delay: float,
        most: float = MOST,
    ):
        what = "Layer"
        pre, post = members(pre, f"{what}: pre"), members(post, f"{what}: post")
        check_pre(pre, what)
        check_post(post, what)
        if check_receptor(synapse, output, what).nonnegative:
            raise NetworkError(
                f"{what}: {shown(output or synapse)} takes only what is not negative, which a "
                "layer does not promise. Use a current, or Delta()."
            )
        if isinstance(synapse, Coupling):
            raise NetworkError(
                f"{what}: {type(synapse).__name__} is not possible, for a layer takes spikes. Use "
                "kinetics such as Exponential(tau=2.)."
            )
        if not isinstance(delay, int | float):
            raise ParameterError(f"{what}: delay = {shown(delay)}: all has one. Give a number.")
        vars(self).update(
            pre=pre,
            post=post,
            module=module,
            synapse=synapse,
            output=output,
            delay=check_delay(delay, what, None),
            most=check_value(most, f"{what}: most", Domain("", positive=True)),
            given={},
        )
        self._check_module()

    @cached_property
    def receptors(self) -> tuple[Receptor, ...]:
        """How it acts on its targets, which have one receptor for all that act alike."""
        return (Receptor(self.synapse, self.output or CUBA()),)

    @cached_property
    def ends(self) -> Ends:
        """Both ends, and how many neurons they have."""
        return Ends(self.pre, self.post)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of what the module takes."""
        return _shape(self.pre)

    @property
    def makes(self) -> bool:
        """Whether `module` is a function of a key that makes one."""
        return not isinstance(self.module, eqx.Module)

    def steps(self, dt: float, path: str) -> int:
        """The delay in steps of `dt` ms.

        Raises:
            DelayError: it is shorter than one step, or not a multiple of it.
        """
        return int(steps_of(self.delay, dt, f'layer "{path}": delay'))

    # --- the module ------------------------------------------------------------------------------

    def made(self, seed: int, path: str, dtype: Any) -> Any:
        """The module, drawn if it must be; its arrays are NumPy's, and floats of this type."""
        module = self.module
        if self.makes:
            # On the CPU and in single precision: then it is the same wherever it runs.
            cpu = jax.local_devices(backend="cpu")[0]
            with jax.enable_x64(False), jax.default_device(cpu):
                module = module(_key(np.array(stream_key(seed, "layer", path), np.uint32)))
        return with_arrays(cast(module, dtype), cast(dict(self.given), dtype))

    def with_given(self, name: str, value: np.ndarray) -> "Layer":
        """The same with another array in the place of the one of this name.

        Raises:
            NameLookupError: there is none.
            ParameterError: it has another shape.
        """
        known = arrays_of(eqx.filter_eval_shape(self._tried)[0])
        if name not in known:
            raise NameLookupError(f'{self!r} has no array "{name}". {suggestion(name, known)}')
        if value.shape != known[name].shape:
            raise ParameterError(
                f'{self!r}: "{name}" has shape {list(known[name].shape)}; found '
                f"{list(value.shape)}. Give an array of its shape."
            )
        return self._with(given={**self.given, name: value})

    def with_receptor(self, synapse: Kinetics, output: Output | None) -> "Layer":
        """The same with other kinetics and another output."""
        return self._with(synapse=synapse, output=output)

    def _with(self, **changed: Any) -> "Layer":
        new, fields = Layer.__new__(Layer), (field.name for field in dataclasses.fields(self))
        vars(new).update({name: getattr(self, name) for name in fields} | changed)
        return new

    def _check_module(self) -> None:
        what = f"{self!r}: module"
        if not callable(self.module):
            cure = "Give a layer such as eqx.nn.Linear(...), or a function of a key that makes one."
            raise NetworkError(f"{what} = {shown(self.module)} cannot be called. {cure}")
        try:
            module, y = eqx.filter_eval_shape(self._tried)
        except Exception as error:
            said = str(error).strip().splitlines()
            raise NetworkError(
                f"{what} cannot take an array of shape {list(self.shape)}: "
                f"{said[0] if said else type(error).__name__}. Give one that takes what pre sends; "
                "eqx.nn.Sequential([eqx.nn.Lambda(jnp.ravel), ...]) makes a vector of a sheet."
            ) from error
        if isinstance(module, eqx.nn.StatefulLayer) and module.is_stateful():
            raise NetworkError(
                f"{what}: {type(module).__name__} keeps a state over trials. Use LayerNorm or "
                "another layer without."
            )
        shape, n = getattr(y, "shape", None), self.ends.n_post
        wanted = _shape(self.post)
        is_alike = shape is not None and (shape == wanted or len(shape) == 1 or len(wanted) == 1)
        if shape is None or int(np.prod(shape)) != n or not is_alike:
            raise NetworkError(
                f"{what} gives {shown(y) if shape is None else f'an array of shape {list(shape)}'} "
                f"for {n} post neurons. Give one number for each, as {list(wanted)}."
            )

    def _tried(self) -> tuple[Any, Any]:
        """The module and what it gives, to be traced and never run."""
        key = _key(np.zeros(2, np.uint32))
        module: Any = self.module(key) if self.makes else self.module
        if not isinstance(module, eqx.Module):
            raise TypeError(f"{shown(module)} is no eqx.Module (functions: eqx.nn.Lambda)")
        if isinstance(module, eqx.nn.StatefulLayer) and module.is_stateful():
            return module, None
        return module, applied(module, np.zeros(self.shape, np.float32), begin(module), key)[0]

    def __repr__(self) -> str:
        names = (" + ".join(map(repr, views)) for views in (self.pre, self.post))
        return f"Layer({' -> '.join(names)})"


def begin(module: Any) -> Any:
    """The state of a module before the first step; () for one that has none."""
    if isinstance(module, eqx.nn.GRUCell):
        return np.zeros(module.hidden_size, np.float32)
    if isinstance(module, eqx.nn.LSTMCell):
        return (np.zeros(module.hidden_size, np.float32),) * 2
    return module.begin() if hasattr(module, "begin") else ()


def applied(module: Any, x: Any, state: Any, key: Any) -> tuple[Any, Any]:
    """What a module gives at a step, and its state afterwards."""
    if isinstance(module, eqx.nn.GRUCell):
        h = module(x, state)
        return h, h
    if isinstance(module, eqx.nn.LSTMCell):
        h, c = module(x, state)
        return h, (h, c)
    given: dict[str, Any] = {"key": key} if "key" in _parameters(module) else {}
    if hasattr(module, "begin"):
        return module(x, state, **given)
    return module(x, **given), ()


def cast(tree: Any, dtype: Any) -> Any:
    """The tree with arrays of NumPy, its floats of this type."""

    def of(x: Any) -> Any:
        if not eqx.is_array(x):
            return x
        return np.asarray(x, dtype) if eqx.is_inexact_array(x) else np.asarray(x)

    return jax.tree.map(of, tree)


def arrays_of(module: Any) -> dict[str, Any]:
    """The arrays of a module by name, as `weight`, `layers.0.bias`: what can be trained of it."""
    found = jax.tree_util.tree_flatten_with_path(eqx.filter(module, _is_number))[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): x for path, x in found}


def with_arrays(module: Any, new: dict[str, Any]) -> Any:
    """The module with other arrays in the place of those with these names."""
    inexact, other = eqx.partition(module, _is_number)
    found = list({**arrays_of(module), **new}.values())
    return eqx.combine(jax.tree.unflatten(jax.tree.structure(inexact), found), other)


def _is_number(x: Any) -> bool:
    """Whether it is an array of floats, or stands for one."""
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact)


def _key(words: Any) -> Any:
    return jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32")


def _shape(views: tuple[View, ...]) -> tuple[int, ...]:
    """The shape of a whole population; else how many neurons there are."""
    (first, *rest) = views
    if not rest and first.ids == range(first.population.size):
        return first.population.shape
    return (sum(view.size for view in views),)


def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # one that is written in C
        return []

"""Layers of neural networks between populations, as a device computes them for its trials.

    y = module(x, state)        x: the spikes of the pre end, whole; y: what reaches the post end

Every device computes a layer whole and keeps what is for its own cells: its weights are on all of
them, and what they have found of a derivative is added up behind the last step, as of trials.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from distdyn.network.layer import Layer, applied, begin, cast
from distdyn.parallel.built import Built
from distdyn.parallel.groups import receptor_index
from distdyn.random import stream_key
from distdyn.train.layout import Layout
from distdyn.train.synapses import Source, Target, sent, slice_of


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """One layer.

    Attributes:
        path: of the layer.
        layer: its description.
        first: the module before training.
        sources: the members of the pre end.
        targets: the members of the post end, and which of the numbers of y are theirs.
        delay: in steps.
        key: two words by which random numbers of training are drawn.
        dtype: of floats.
    """

    path: str
    layer: Layer
    first: Any
    sources: tuple[Source, ...]
    targets: tuple[tuple[Target, slice, slice], ...]
    delay: int
    key: np.ndarray
    dtype: Any

    @property
    def arrays(self) -> Any:
        """What of the module is an array."""
        return eqx.partition(self.first, eqx.is_array)[0]

    def begin(self, trials: int) -> Any:
        """The state before the first step, of each trial the same."""
        return jax.tree.map(
            lambda x: jnp.broadcast_to(jnp.asarray(x), (trials, *np.shape(x))),
            cast(begin(self.first), self.dtype),
        )

    def step(
        self, arrays: Any, gathered: Sequence[Any], layout: Layout, state: Any, trial: Any,
        stamp: Any, *, is_training: bool,
    ) -> tuple[Any, Any]:  # fmt: skip
        """What it gives at a step, [trial, number], and its state afterwards."""
        module = eqx.combine(arrays, eqx.partition(self.first, eqx.is_array)[1])
        module = eqx.nn.inference_mode(module, value=not is_training)

        def of_one(x: Any, state: Any, trial: Any) -> tuple[Any, Any]:
            key = jax.random.wrap_key_data(jnp.asarray(self.key), impl="threefry2x32")
            key = jax.random.fold_in(jax.random.fold_in(key, trial), stamp)
            y, state = applied(module, x.reshape(self.layer.shape), state, key)
            return y.reshape(-1), state

        x = sent(self.sources, gathered, layout)
        return jax.vmap(of_one)(x, state, trial)

    def brought(self, y: Any, layout: Layout) -> list[tuple[Target, Any]]:
        """What is brought to the cells of this device: [trial, cell] of each target."""
        found = []
        for target, mine, ids in self.targets:
            width = layout.width(target.path)
            whole = jnp.zeros((len(y), layout.devices * width), y.dtype).at[:, ids].set(y[:, mine])
            start = layout.parts.index() * width
            found.append((target, jax.lax.dynamic_slice_in_dim(whole, start, width, axis=1)))
        return found


def layer_plans(built: Built, dtype: Any) -> tuple[LayerPlan, ...]:
    """All layers of a network."""
    graph, setting, found = built.graph, built.setting, []
    for path, layer in graph.layers.items():
        sources, targets, first = [], [], 0
        for view in layer.pre:
            pre = graph.path(view.population)
            sources.append(Source(built.group_of(pre).index, pre, slice_of(view.ids)))
        for view in layer.post:
            post = graph.path(view.population)
            group = built.group_of(post)
            receptor = receptor_index(group, post, layer.receptors[0])
            mine = slice(first, first + view.size)
            targets.append((Target(group.index, receptor, post), mine, slice_of(view.ids)))
            first += view.size
        found.append(
            LayerPlan(
                path, layer, layer.made(setting.seed, path, dtype), tuple(sources), tuple(targets),
                layer.steps(setting.dt, path),
                np.array(stream_key(setting.seed, "dropout", path), np.uint32), dtype,
            )
        )  # fmt: skip
    return tuple(found)

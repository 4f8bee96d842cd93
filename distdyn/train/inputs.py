"""What comes from outside during a trial: the spikes of generators, and currents.

    {"in": bool[trial, step, neuron],        spikes of a population of generators, `SpikeTimes`
     "drive": float[trial, step, target]}    the current of a `CurrentInput`, added to its own

Step k of a trial is that from t0 + k dt to t0 + (k + 1) dt; a spike of step k is stamped with its
end, as all spikes are.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec as P

from distdyn.core.schedule import Schedule
from distdyn.errors import TrainError, suggestion
from distdyn.network.network import Graph
from distdyn.network.projection import CurrentInput
from distdyn.train.layout import DATA, NEURON, Layout


class Given(eqx.Module):
    """What comes from outside, by population: [step, trial, neuron], filled up; or of one step."""

    spiking: dict[str, Any]
    driving: dict[str, Any]

    def specs(self) -> "Given":
        """How it lies on the mesh."""
        return jax.tree.map(lambda _: P(None, DATA, NEURON), self)

    def spikes(self, net: Any, k: int, own: Any) -> Any:
        """The spikes of a group of generators at a step; its own where nothing is given."""
        for path, of in self.spiking.items():
            if net.layout.group[path] == k:
                here = net.layout.here[path]
                own = own.at[:, here].set((of != 0).astype(own.dtype))
        return own

    def current(self, net: Any, k: int) -> Any:
        """The current into the cells of a group at a step; None: there is none."""
        mine = {path: of for path, of in self.driving.items() if net.layout.group[path] == k}
        if not mine:
            return None
        trials = next(iter(mine.values())).shape[0]
        total = jnp.zeros((trials, net.layout.length[k]), net.setting.precision)
        for path, of in mine.items():
            total = total.at[:, net.layout.here[path]].add(of.astype(total.dtype))
        return total


def given_to(graph: Graph, layout: Layout, inputs: Mapping[str, Any]) -> tuple[Given, int, int]:
    """What is given to a network by path; and how many trials and steps that is.

    Raises:
        TrainError: a path that takes nothing, or an array of another shape.
    """
    takers = {p: x.size for p, x in graph.populations.items() if isinstance(x.model, Schedule)}
    for path, source in graph.inputs.items():
        if isinstance(source, CurrentInput):
            takers[path] = sum(view.size for view in source.post)
    shapes, spiking, driving = set(), {}, {}
    for path, array in inputs.items():
        if path not in takers:
            raise TrainError(
                f'inputs: nothing can be given to "{path}". Give spikes to a population of '
                f"SpikeTimes, or a current to a CurrentInput. {suggestion(path, takers)}"
            )
        array = np.asarray(array)
        if array.ndim != 3 or array.shape[2] != takers[path]:
            raise TrainError(
                f'inputs: "{path}" has shape {list(array.shape)}. Give [trial, step, '
                f"{takers[path]}]."
            )
        shapes.add(array.shape[:2])
        by_step = array.swapaxes(0, 1)
        if path in graph.populations:
            spiking[path] = by_step if array.dtype == bool else by_step != 0
            continue
        start = 0
        for view in graph.inputs[path].post:
            post = graph.path(view.population)
            total = driving.setdefault(
                post, np.zeros((*by_step.shape[:2], view.population.size), by_step.dtype)
            )
            total[:, :, _slice(view.ids)] += by_step[:, :, start : start + view.size]
            start += view.size
    if len(shapes) > 1:
        raise TrainError(
            f"inputs: arrays of {sorted(shapes)} trials and steps. Give one number of each."
        )
    trials, steps = shapes.pop() if shapes else (0, 0)
    groups = layout.mesh.shape[DATA]
    if trials % groups:
        raise TrainError(
            f"inputs: {trials} trials over {groups} devices. Give a batch that they divide."
        )
    placed = {
        kind: {p: layout.place(layout.filled(p, x), None, DATA, NEURON) for p, x in of.items()}
        for kind, of in (("spiking", spiking), ("driving", driving))
    }
    return Given(**placed), trials, steps


def _slice(ids: range) -> slice:
    return slice(ids.start, ids.stop, ids.step)

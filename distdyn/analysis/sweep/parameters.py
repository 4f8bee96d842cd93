"""Which numbers of a model can be varied, by their paths, and which values it can have.

parameters_of(cell)                     # ["C_m", ..., "INa.g", ...]
varied(cell, {"INa.g": 90.})            # the model with another value
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import equinox as eqx
import jax
import numpy as np

from distdyn.analysis.sweep.grid import SEED, Points
from distdyn.core.ode import ODE
from distdyn.core.system import state_fields
from distdyn.errors import AnalysisError, DistDynError, suggestion
from distdyn.network.values import check_model, check_value
from distdyn.parallel.parameters import TRANSPARENT
from distdyn.run import arguments
from distdyn.units import to_steps


def varied(model: ODE, values: Mapping[str, Any]) -> ODE:
    """The model with other values of some parameters, by their paths."""
    for name, value in values.items():
        path = name.split(".")
        model = eqx.tree_at(
            lambda m, path=path: reduce(getattr, path, m), model, value, is_leaf=lambda x: x is None
        )
    return model


def check_names(model: ODE, names: Sequence[str]) -> None:
    """Raise an AnalysisError unless all are numbers of the model."""
    known = [*parameters_of(model), *state_fields(model), SEED]
    for name in names:
        if name not in known:
            raise AnalysisError(
                f'grid: {type(model).__name__} has no number "{name}". {suggestion(name, known)}'
            )


def parameters_of(model: Any) -> list[str]:
    """The paths of the numbers that a model has as parameters: `tau_m`, `INa.g`."""
    found = []
    for path, value in jax.tree_util.tree_leaves_with_path(model):
        words = [str(getattr(key, "name", getattr(key, "key", key))) for key in path]
        if isinstance(value, int | float | np.number) and not isinstance(value, bool):
            found.append(".".join(word for word in words if word not in TRANSPARENT))
    return found


def impossible(
    model: ODE, points: Points, fields: Sequence[str], states: Sequence[str], dt: float
) -> dict[int, str]:
    """The points that no model can have, and why."""

    def check(values: Mapping[str, Any], length: int | None) -> None:
        changed = varied(model, {name: values[name] for name in fields})
        check_model(changed, type(model).__name__, length=length)
        for name in states:
            check_value(values[name], f"initial {name}", length=length)
        if "t_ref" in fields:
            to_steps(values["t_ref"], dt, "t_ref")

    for seed in points.columns.get(SEED, ()):
        arguments.seed(seed)
    try:
        check(points.columns, len(points))
        return {}
    except DistDynError:
        pass
    found = {}
    for k in range(len(points)):
        try:
            check(points[k], None)
        except DistDynError as error:
            found[k] = str(error)
    return found

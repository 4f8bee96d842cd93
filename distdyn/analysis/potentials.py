"""Potentials outside of cells, by proxies: EEG of the potentials of areas, LFP of rates.

Rate models have no currents in space. What is measured outside is taken as a weighted sum of what
they do have; for EEG the weights are a lead field, for LFP those of a study with detailed cells.
"""

from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.errors import ParameterError
from distdyn.units import check_dt


def eeg(potential: Any, lead_field: Any = None) -> Float64[np.ndarray, "t sensor"]:
    """What sensors see of the potentials of areas, against the mean of all sensors.

        EEG(t) = L v(t) - mean over sensors

    Of `JansenRit` the potential is that of its pyramidal cells, y1 - y2.

    Args:
        potential: mV: a row per time, a column per area.
        lead_field: L, a row per sensor and a column per area. By default each area has a sensor
            that sees it alone, and no mean is taken off.

    Raises:
        ParameterError: the shapes do not fit, or a number is not finite.
    """
    v = _table(potential, "eeg: potential", "area")
    if lead_field is None:
        return v
    L = _table(lead_field, "eeg: lead_field", "area")
    if L.shape[1] != v.shape[1]:
        raise ParameterError(
            f"eeg: the potential has {v.shape[1]} areas, the lead field {L.shape[1]}. Give a "
            "column of the lead field for each area."
        )
    seen = v @ L.T
    return seen - seen.mean(axis=1, keepdims=True)


def lfp_of_rates(
    excitatory: Any,
    inhibitory: Any,
    dt: float,
    *,
    tau: tuple[float, float] = (2.0, 5.0),
    delay: float = 6.0,
    alpha: float = 1.65,
) -> Float64[np.ndarray, "t k"]:
    """A local field potential of the rates of excitatory and inhibitory cells, in their unit.

        tau_e E' = r_E - E,   tau_i I' = r_I - I
        LFP(t) = E(t - delay) + alpha I(t)

    E and I stand for the sizes of the synaptic currents that the rates make in pyramidal cells;
    both currents make the same sign of field there. Up to `delay` the first E is used, and both
    begin in their steady state. What counts is the course: scale it as needed.

    Args:
        excitatory: rates: a row per time, a column per area.
        inhibitory: the same.
        dt: time between two rows, in ms.
        tau: time constants of the currents, of AMPA and of GABA, in ms.
        delay: of the excitatory currents, in ms; the nearest multiple of dt is taken.
        alpha: weight of the inhibitory currents.

    Raises:
        ParameterError: the shapes differ, or a number is not finite.

    Source: Mazzoni et al. (2015), PLoS Comput. Biol. 11, e1004584, for currents of spiking cells.
    """
    dt = check_dt(dt)
    r_E, r_I = (_table(x, "lfp_of_rates", "area") for x in (excitatory, inhibitory))
    if r_E.shape != r_I.shape or not min(tau) > 0 or not delay >= 0:
        raise ParameterError(
            f"lfp_of_rates: shapes {r_E.shape} and {r_I.shape}, tau = {tau} ms, delay = {delay:g} "
            "ms: give arrays of one shape, tau > 0 and delay >= 0."
        )
    E, I = (_followed(r, dt / each) for r, each in zip((r_E, r_I), tau, strict=True))
    late = np.maximum(np.arange(len(E)) - round(delay / dt), 0)
    return E[late] + alpha * I


def _followed(rate: Float64[np.ndarray, "t k"], h: float) -> Float64[np.ndarray, "t k"]:
    """The solution of tau x' = rate - x at the rows, the rate being linear between them."""
    decay, x = np.exp(-h), np.empty_like(rate)
    mean = (1.0 - decay) / h  # of exp(-s) over the step
    x[0] = rate[0]
    for k in range(1, len(rate)):
        x[k] = decay * x[k - 1] + (mean - decay) * rate[k - 1] + (1.0 - mean) * rate[k]
    return x


def _table(values: Any, what: str, columns: str) -> Float64[np.ndarray, "t k"]:
    """Samples as an array, a row per time; a trace is one, and a single column may be flat."""
    array = np.asarray(getattr(values, "value", values), np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or not array.size or not np.isfinite(array).all():
        raise ParameterError(
            f"{what}: an array of finite numbers is needed, a column per {columns}; found one of "
            f"shape {array.shape}."
        )
    return array

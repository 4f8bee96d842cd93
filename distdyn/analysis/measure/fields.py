"""Fields outside of cells, by proxies from the literature: LFP of spiking and rate models, EEG.

Point neurons and rate models have no field. Studies with detailed cells say how to combine what
they do have, so that most of the variance of a field is explained: synaptic currents, spikes alone,
or rates. EEG is a weighted sum of the potentials of areas, by a lead field.
"""

from typing import Any

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.measure.trains import Window, n_bins_of, trains, values_over_time
from distdyn.errors import ParameterError
from distdyn.units import check_dt

# uV, of an excitatory and of an inhibitory spike, by where the electrode is.
UNITARY = {
    "surface": (-0.08, 0.3),
    "superficial": (0.24, -1.2),
    "soma": (0.48, 3.0),
    "deep": (-0.16, -0.2),
}
DELAY = 10.4  # ms, to the peak of the field of a spike beside the electrode
SPREAD = (3.15, 2.1)  # ms, of an excitatory and of an inhibitory field
SPACE = 200.0  # um, over which it falls to 1 / e
SPEED = 200.0  # um / ms, of axons


def lfp_of_currents(
    excitatory: Any, inhibitory: Any, dt: float, *, delay: float = 6.0, alpha: float = 1.65
) -> Float64[np.ndarray, "t"]:
    """The reference weighted sum of synaptic currents, with mean 0 and variance 1.

        LFP(t) = sum_i I_exc,i(t - delay) - alpha sum_i I_inh,i(t)

    Currents are signed as in a simulation: inhibitory ones are negative, so that both parts add up.
    They are those of pyramidal cells; interneurons hardly make a field. Up to `delay` the first
    value of the excitatory current is used.

    Args:
        excitatory: AMPA currents (pA): a trace, or a row per time and a column per neuron.
        inhibitory: GABA currents, the same.
        dt: time between two rows, in ms.
        delay: in ms, of the excitatory currents.
        alpha: the weight of the inhibitory ones.

    Source: Mazzoni et al. (2015), PLoS Comput. Biol. 11, e1004584.
    """
    sums = [values_over_time(x, "lfp_of_currents").sum(1) for x in (excitatory, inhibitory)]
    if len(sums[0]) != len(sums[1]) or not dt > 0 or not delay >= 0:
        raise ParameterError(
            f"lfp_of_currents: {len(sums[0])} and {len(sums[1])} times, dt = {dt:g} ms, delay = "
            f"{delay:g} ms: give as many of both, dt > 0 and delay >= 0."
        )
    late = np.maximum(np.arange(len(sums[0])) - round(delay / dt), 0)
    field = sums[0][late] - alpha * sums[1]
    spread = field.std()
    return (field - field.mean()) / (spread if spread > 0 else np.nan)


def lfp_of_spikes(
    excitatory: Any,
    inhibitory: Any,
    window: Window,
    dt: float,
    *,
    distances: tuple[Any, Any] = (0.0, 0.0),
    layer: str = "soma",
) -> tuple[Float64[np.ndarray, "t"], Float64[np.ndarray, "t"]]:
    """The sum of the fields that single spikes make at an electrode, in uV.

        LFP(t) = sum over spikes A exp(-x / space) exp(-(t - t_k - 10.4 ms - x / speed)^2 / 2 s^2)

    x is the distance of the neuron, space = 200 um, speed = 200 um/ms; s = 3.15 ms for excitatory
    and 2.1 ms for inhibitory spikes. The demo code that comes with the paper adds x / speed in
    seconds; here all is in ms.

    Args:
        excitatory: spikes, as in `trains`.
        inhibitory: the same.
        window: first and last time, in ms.
        dt: time step of the result, in ms.
        distances: of the excitatory and of the inhibitory neurons from the electrode, in um: a
            number, or an array of one per neuron.
        layer: where the electrode is: "soma", "deep", "superficial" or "surface".

    Returns:
        Times in ms, and the field in uV.

    Source: Telenczuk, Telenczuk & Destexhe (2020), J. Neurosci. Methods 344, 108871.
    """
    if layer not in UNITARY:
        raise ParameterError(f'lfp_of_spikes: layer "{layer}" is none of {", ".join(UNITARY)}.')
    time = window[0] + (np.arange(n_bins_of(window, dt)) + 1) * dt
    field = np.zeros(len(time))
    for kind, spikes in enumerate((excitatory, inhibitory)):
        far = np.asarray(distances[kind], np.float64)
        found = trains(spikes, len(far) if far.ndim and hasattr(spikes, "id") else None)
        if far.ndim and len(far) != len(found):
            raise ParameterError(
                f"lfp_of_spikes: {len(far)} distances for {len(found)} trains. Give one for each."
            )
        x = np.repeat(np.broadcast_to(far, len(found)), [len(train) for train in found])
        peak = np.concatenate([np.zeros(0), *found]) + DELAY + x / SPEED
        _add_bumps(field, time, peak, UNITARY[layer][kind] * np.exp(-x / SPACE), SPREAD[kind])
    return time, field


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
    v = values_over_time(potential, "eeg: potential")
    if lead_field is None:
        return v
    L = values_over_time(lead_field, "eeg: lead_field")
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
    r_E, r_I = (values_over_time(x, "lfp_of_rates") for x in (excitatory, inhibitory))
    if r_E.shape != r_I.shape or not min(tau) > 0 or not delay >= 0:
        raise ParameterError(
            f"lfp_of_rates: shapes {r_E.shape} and {r_I.shape}, tau = {tau} ms, delay = {delay:g} "
            "ms: give arrays of one shape, tau > 0 and delay >= 0."
        )
    E, I = (_followed(r, dt / each) for r, each in zip((r_E, r_I), tau, strict=True))
    late = np.maximum(np.arange(len(E)) - round(delay / dt), 0)
    return E[late] + alpha * I


def _add_bumps(
    field: Float64[np.ndarray, "t"],
    time: Float64[np.ndarray, "t"],
    peak: Float64[np.ndarray, "s"],
    height: Float64[np.ndarray, "s"],
    sd: float,
) -> None:
    """Add a Gaussian at each peak, out to eight standard deviations."""
    dt = time[1] - time[0] if len(time) > 1 else 1.0
    reach = int(np.ceil(8 * sd / dt))
    nearest = np.rint((peak - time[0]) / dt).astype(np.int64)
    for offset in range(-reach, reach + 1):
        at = nearest + offset
        is_inside = (at >= 0) & (at < len(time))
        at = at[is_inside]
        bump = height[is_inside] * np.exp(-0.5 * ((time[at] - peak[is_inside]) / sd) ** 2)
        np.add.at(field, at, bump)


def _followed(rate: Float64[np.ndarray, "t k"], h: float) -> Float64[np.ndarray, "t k"]:
    """The solution of tau x' = rate - x at the rows, the rate being linear between them."""
    decay, x = np.exp(-h), np.empty_like(rate)
    mean = (1.0 - decay) / h  # of exp(-s) over the step
    x[0] = rate[0]
    for k in range(1, len(rate)):
        x[k] = decay * x[k - 1] + (mean - decay) * rate[k - 1] + (1.0 - mean) * rate[k]
    return x

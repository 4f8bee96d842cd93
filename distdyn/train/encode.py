"""Encoders: from numbers to spikes, bool[trial, step, neuron].

latency      the larger, the later; one spike each
rate         the larger, the more often, at random
delta        a spike up or down whenever a signal has moved so far
phase        one spike in each period of a rhythm, the larger the earlier
"""

import numpy as np

from distdyn.errors import TrainError


def latency(
    values: np.ndarray, steps: int, earliest: int = 0, latest: int | None = None
) -> np.ndarray:
    """One spike for each value between 0 and 1: at `earliest` for 0, at `latest` for 1.

    Args:
        values: float[trial, neuron]; NaN does not spike.
        steps: of a trial.
        earliest: a step, counted from 0.
        latest: the same; None: the last one.
    """
    latest = steps - 1 if latest is None else latest
    values = _unit(values, 2, "latency")
    if not 0 <= earliest <= latest < steps:
        raise TrainError(
            f"latency: from step {earliest} to {latest} of {steps}. Give 0 <= earliest <= latest < "
            "steps."
        )
    at = np.rint(earliest + np.nan_to_num(values) * (latest - earliest)).astype(np.int64)
    spikes = np.arange(steps)[None, :, None] == at[:, None]
    return spikes & ~np.isnan(values)[:, None]


def rate(values: np.ndarray, steps: int, most: float, dt: float, seed: int) -> np.ndarray:
    """Independent spikes in every step, at value * most Hz.

    Args:
        values: float[trial, neuron] between 0 and 1, or float[trial, step, neuron].
        steps: of a trial.
        most: the rate of a value of 1, Hz.
        dt: ms.
        seed: of the draws.
    """
    values = np.asarray(values, float)
    values = _unit(values, values.ndim, "rate")
    chance = most * dt * 1e-3
    if not 0 <= chance <= 1:
        raise TrainError(f"rate: {most:g} Hz in steps of {dt:g} ms. Use at most {1e3 / dt:g} Hz.")
    if values.ndim == 2:
        values = np.repeat(values[:, None], steps, axis=1)
    return np.random.default_rng(seed).random(values.shape) < values * chance


def delta(signal: np.ndarray, threshold: float) -> np.ndarray:
    """Spikes of two neurons a channel, one for moves up, one for moves down, by `threshold` each.

    Args:
        signal: float[trial, step, channel].
        threshold: how far it must have moved since the last spike.

    Returns:
        bool[trial, step, 2 channel]: first all that go up, then all that go down.
    """
    signal = np.asarray(signal, float)
    if signal.ndim != 3 or not threshold > 0:
        raise TrainError("delta: give signal[trial, step, channel] and a threshold > 0.")
    level = signal[:, 0].copy()
    found = np.zeros((*signal.shape[:2], 2 * signal.shape[2]), bool)
    for k in range(signal.shape[1]):
        moved = signal[:, k] - level
        up, down = moved >= threshold, moved <= -threshold
        found[:, k] = np.concatenate([up, down], axis=1)
        level += threshold * (up.astype(float) - down)
    return found


def phase(values: np.ndarray, steps: int, period: int) -> np.ndarray:
    """A spike in every period: at its first step for a value of 1, at its last for 0.

    Args:
        values: float[trial, neuron] between 0 and 1.
        steps: of a trial.
        period: of the rhythm, in steps.
    """
    values = _unit(values, 2, "phase")
    if not 1 <= period <= steps:
        raise TrainError(
            f"phase: a period of {period} of {steps} steps. Give 1 <= period <= steps."
        )
    at = np.rint((1 - values) * (period - 1)).astype(np.int64)
    return (np.arange(steps) % period)[None, :, None] == at[:, None]


def _unit(values: np.ndarray, n_axes: int, what: str) -> np.ndarray:
    array = np.asarray(values, float)
    if array.ndim != n_axes or (array < 0).any() or (array > 1).any():
        raise TrainError(
            f"{what}: values of shape {list(array.shape)} from {np.nanmin(array):g} to "
            f"{np.nanmax(array):g}. Give values between 0 and 1, [trial, neuron]."
        )
    return array

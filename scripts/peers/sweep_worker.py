"""distdyn sweeps the decision model over its input, on some devices or bound to one core."""

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import distdyn as dd
from peers.answering import answer, peak_rss


class Decision(dd.ODE):
    """The model of two variables, without noise.

        S_k' = -S_k / tau_S + (1 - S_k) gamma H(x_k) / 1000
        x_k = J_same S_k - J_other S_l + I_0 + J_ext mu_0 (1 +- coherence)
        H(x) = (a x - b) / (1 - exp(-d (a x - b)))

    Source: Wong & Wang (2006), J. Neurosci. 26, 1314; parameters of its BrainPy example.
    """

    mu_0: float = 20.0  # Hz
    coherence: float = 0.0
    J_same: float = 0.3725  # nA
    J_other: float = 0.1137  # nA
    J_ext: float = 0.00117  # nA/Hz
    I_0: float = 0.3297  # nA
    tau_S: float = 60.0  # ms
    gamma: float = 0.641

    class State(NamedTuple):
        S1: jax.Array
        S2: jax.Array

    def init(self, id: Any, key: Any) -> State:
        return self.State(jnp.asarray(0.1), jnp.asarray(0.1))

    def derivative(self, t: Any, s: State, drive: dd.Drive) -> State:
        def change(S: Any, other: Any, sign: float) -> Any:
            stimulus = self.J_ext * self.mu_0 * (1.0 + sign * self.coherence)
            u = 270.0 * (self.J_same * S - self.J_other * other + self.I_0 + stimulus) - 108.0
            rate = u / (1.0 - jnp.exp(-0.154 * u))
            return -S / self.tau_S + (1.0 - S) * self.gamma * rate * 1e-3

        return self.State(change(s.S1, s.S2, 1.0), change(s.S2, s.S1, -1.0))


def prepare(request: dict) -> Iterator[dict]:
    if request["core"] is not None:
        os.sched_setaffinity(0, {request["core"]})
    n = request["side"]
    grid = {"mu_0": np.linspace(0.0, 60.0, n), "coherence": np.linspace(0.0, 1.0, n)}

    def one(duration: float) -> dict:
        began, of_cores = time.perf_counter(), time.process_time()
        table = dd.sweep(
            Decision(method=dd.RK4()), grid, ["final", "mean"], duration=duration, dt=0.5,
            devices=request["devices"], platform=request["platform"], progress="off",
        )  # fmt: skip
        return {
            "seconds": time.perf_counter() - began,
            "core_seconds": time.process_time() - of_cores,
            "sha256": table.sha256,
            "failed": len(table.reasons),
            "peak": peak_rss(),
        }

    yield one(1.0)
    while True:
        yield one(request["duration"])


answer(prepare)

"""BrainPy runs `coba` of the zoo. Started in BrainPy's own Python, which has its own jax.

BrainPy adds what arrives before it lets the conductances decay, and counts the refractory time from
the step after the spike: 2 % less drive and one step more than in the other programs.
"""

import time
from collections.abc import Iterator

import brainpy as bp
import brainpy.math as bm
import jax
import jax.numpy as jnp
import numpy as np

from peers.answering import answer, peak_rss


class COBA(bp.DynSysGroup):
    """All cells in one group, the excitatory ones first; g in units of the leak conductance."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n_E = round(0.8 * n)
        self.cells = bp.dyn.LifRef(
            n, V_rest=-60.0, V_th=-50.0, V_reset=-60.0, tau=20.0, tau_ref=5.0,
            V_initializer=bp.init.Normal(-55.0, 5.0),
        )  # fmt: skip
        p = min(1.0, 80 / n)

        def synapses(first, last, weight, tau, E):
            rule = bp.conn.FixedProb(p, pre=last - first, post=n)
            return bp.dyn.HalfProjAlignPostMg(
                comm=bp.dnn.EventCSRLinear(rule, weight),
                syn=bp.dyn.Expon.desc(n, tau=tau),
                out=bp.dyn.COBA.desc(E=E),
                post=self.cells,
            )

        self.exc = synapses(0, self.n_E, 0.6, 5.0, 0.0)
        self.inh = synapses(self.n_E, n, 6.7, 10.0, -80.0)

    def update(self) -> tuple:
        """One step; spikes of the step before arrive. Returns how many cells of each kind fire."""
        fired = self.cells.spike.value
        self.exc(fired[: self.n_E])
        self.inh(fired[self.n_E :])
        now = bm.as_jax(self.cells(20.0))  # mV, the constant drive
        counts = now.astype(jnp.int32)
        return counts[: self.n_E].sum(), counts[self.n_E :].sum()


def prepare(request: dict) -> Iterator[dict]:
    """Build, compile, warm up, and then go on for a duration each time.

    Args:
        request: `n`, `dt`, `seed`, `warmup`, `duration`.
    """
    bm.set_platform("cpu")
    bm.set_dt(request["dt"])
    bm.random.seed(request["seed"])
    np.random.seed(request["seed"])  # noqa: NPY002 - what its rules of connection draw from
    began = time.perf_counter()
    net = COBA(request["n"])
    built = time.perf_counter()
    steps = round(request["duration"] / request["dt"])

    @bm.jit
    def go(start):  # type: ignore[no-untyped-def]
        return bm.for_loop(net.step_run, start + np.arange(steps), progress_bar=False)

    jax.block_until_ready(go(0))  # the warm-up: the program is compiled for so many steps
    first = time.perf_counter() - built
    n, done, seconds = request["n"], steps, request["duration"] / 1000
    found = {
        "build": built - began,
        "compile_and_first_run": first,
        "synapses": sum(of.comm.indices.size for of in (net.exc, net.inh)),
        "peak_rss": peak_rss(),
        "version": bp.__version__,
        "jax": jax.__version__,
    }
    while True:
        yield found
        began = time.perf_counter()
        E, I = jax.block_until_ready(go(done))
        run = time.perf_counter() - began
        done += steps
        rates = {
            "E": float(E.sum()) / net.n_E / seconds,
            "I": float(I.sum()) / (n - net.n_E) / seconds,
        }
        found = {"run": run, "rtf": run / seconds, "rates": rates}


if __name__ == "__main__":
    answer(prepare)

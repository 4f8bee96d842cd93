"""BrainPy runs the decision network (`decision`). Started in BrainPy's own Python.

All-to-all connections with one weight are sums over a population, gating variables of NMDA are kept
with the presynaptic cells: BrainPy's own classes for both.
"""

import math
import time
from collections.abc import Generator

import brainpy as bp
import brainpy.math as bm
import jax
import jax.numpy as jnp
import numpy as np

from peers import decision
from peers.answering import answer, peak_rss


class Decision(bp.DynSysGroup):
    """Four populations, projections between them, and the input of each cell."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.cells = bm.node_dict(
            {
                name: bp.dyn.LifRef(
                    size, V_rest=decision.V_L, V_reset=decision.V_RESET, V_th=decision.V_TH,
                    tau=of.C_m / of.g_L, R=1 / of.g_L, tau_ref=of.t_ref,
                    V_initializer=bp.init.OneInit(decision.V_L),
                )
                for (name, size), of in zip(
                    decision.sizes(n).items(), decision.CELLS.values(), strict=True
                )
            }
        )  # fmt: skip
        self.external = bm.node_dict(
            {name: self.outside(cells, decision.CELLS[name]) for name, cells in self.cells.items()}
        )
        self.recurrent = bm.node_list(
            [
                projection
                for post, of in decision.CELLS.items()
                for pre in decision.CELLS
                for projection in self.between(pre, post, of, n / 2000)
            ]
        )

    def outside(self, cells, of: decision.Cell):  # type: ignore[no-untyped-def]
        return bp.dyn.HalfProjAlignPostMg(
            comm=bp.dnn.OneToOne(cells.num, of.external),
            syn=bp.dyn.Expon.desc(cells.num, tau=decision.TAU_AMPA),
            out=bp.dyn.COBA.desc(E=decision.E_EXC),
            post=cells,
        )

    def between(self, pre: str, post: str, of: decision.Cell, scale: float) -> list:
        source, target = self.cells[pre], self.cells[post]

        def all_to_all(weight):
            return bp.dnn.AllToAll(source.num, target.num, weight / scale)

        def exponential(g, tau, E):
            return bp.dyn.FullProjAlignPostMg(
                pre=source, delay=decision.DELAY, comm=all_to_all(g),
                syn=bp.dyn.Expon.desc(target.num, tau=tau), out=bp.dyn.COBA.desc(E=E),
                post=target,
            )  # fmt: skip

        if pre == "I":
            return [exponential(of.GABA, decision.TAU_GABA, decision.E_INH)]
        w = decision.weight(pre, post)
        gated = bp.dyn.NMDA.desc(
            source.num, a=decision.ALPHA, tau_decay=decision.TAU_NMDA, tau_rise=decision.TAU_RISE
        )
        return [
            exponential(of.AMPA * w, decision.TAU_AMPA, decision.E_EXC),
            bp.dyn.FullProjAlignPreSDMg(
                pre=source, delay=decision.DELAY, syn=gated, comm=all_to_all(of.NMDA * w),
                out=bp.dyn.MgBlock(E=decision.E_EXC, cc_Mg=1.0), post=target,
            ),
        ]  # fmt: skip

    def update(self, rate_A, rate_B) -> tuple:  # type: ignore[no-untyped-def]
        """One step. Returns how many cells of each population fire."""
        for projection in self.recurrent:
            projection()
        for name, cells in self.cells.items():
            counts = poisson(cells.num, decision.BACKGROUND)
            if name in ("A", "B"):
                p = (rate_A if name == "A" else rate_B) * bm.get_dt() / 1000
                counts = counts + (bm.random.rand(cells.num) < p)
            self.external[name](counts)
        for cells in self.cells.values():
            cells()
        return tuple(
            bm.as_jax(cells.spike).astype(jnp.int32).sum() for cells in self.cells.values()
        )


def poisson(n: int, rate: float):  # type: ignore[no-untyped-def]
    """Numbers of spikes in a step, of which more than 7 come once in 10^10."""
    mean = rate * bm.get_dt() / 1000
    below = np.cumsum([math.exp(-mean) * mean**k / math.factorial(k) for k in range(8)])
    u = bm.random.rand(n)
    return sum((u > p).astype(bm.float_) for p in below)


def prepare(request: dict) -> Generator[dict, dict, None]:
    """Build and compile, and then run a trial each time.

    Args:
        request: `n`, `platform`, `dt`, `duration`; of each trial: `seed`.
    """
    bm.set_platform(request.get("platform", "cpu"))
    bm.set_dt(request["dt"])
    began = time.perf_counter()
    net = Decision(request["n"])
    built = time.perf_counter()
    steps = round(request["duration"] / request["dt"])
    indices = np.arange(steps)
    interval = (indices * request["dt"] / decision.HOLD).astype(int)

    @bm.jit
    def go(rate_A, rate_B):  # type: ignore[no-untyped-def]
        def step(i, a, b):  # type: ignore[no-untyped-def]
            return net.step_run(i, a, b)

        return bm.for_loop(step, (indices, rate_A, rate_B), progress_bar=False)

    def trial(seed: int) -> tuple:
        net.reset()
        bm.random.seed(seed)
        rates = decision.stimulus(seed)
        given = [jnp.asarray(rates[name][interval], bm.float_) for name in ("A", "B")]
        began = time.perf_counter()
        counts = jax.block_until_ready(go(*given))
        return counts, time.perf_counter() - began

    _, first = trial(0)
    found = {
        "build": built - began,
        "compile_and_first_run": first,
        "peak_rss": peak_rss(),
        "version": bp.__version__,
        "jax": jax.__version__,
    }
    seconds = request["duration"] / 1000
    while True:
        asked = yield found
        counts, run = trial(asked["seed"])
        spikes = {name: float(x.sum()) for name, x in zip(decision.CELLS, counts, strict=True)}
        rates = decision.rates(spikes, request["n"], seconds)
        found = {"run": run, "rtf": run / seconds, "rates": rates}


if __name__ == "__main__":
    answer(prepare)

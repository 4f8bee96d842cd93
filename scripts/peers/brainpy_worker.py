"""BrainPy runs `coba` or `cobahh` of the zoo. Started in BrainPy's own Python, with its own jax.

BrainPy adds what arrives before it lets the conductances decay, and counts the refractory time from
the step after the spike: 2 % less drive and one step more than in the other programs. Its gates see
the potential at the end of the step.
"""

import time
from collections.abc import Iterator

import brainpy as bp
import brainpy.math as bm
import jax
import jax.numpy as jnp
import numpy as np

from peers.answering import answer, peak_rss


class Coupled(bp.DynSysGroup):
    """All cells in one group, the excitatory ones first, coupled by conductances.

    Args:
        cells: the group.
        drive: what is handed to it in each step.
        w_e: weight of excitation, in the unit that conductances of the cells have; `w_i`: likewise.
        seed: of the connections.
    """

    def __init__(self, cells: bp.dyn.NeuDyn, drive: float, w_e: float, w_i: float, seed: int):
        super().__init__()
        n = cells.num
        self.n_E, self.cells, self.drive = round(0.8 * n), cells, drive
        rng = np.random.default_rng(seed)

        def synapses(first, last, weight, tau, E):
            indices, starts = pairs(rng, last - first, n, min(1.0, 80 / n))
            drawn = bp.conn.CSRConn(indices, starts)
            return bp.dyn.HalfProjAlignPostMg(
                comm=bp.dnn.EventCSRLinear(drawn(last - first, n), weight),
                syn=bp.dyn.Expon.desc(n, tau=tau),
                out=bp.dyn.COBA.desc(E=E),
                post=cells,
            )

        self.exc = synapses(0, self.n_E, w_e, 5.0, 0.0)
        self.inh = synapses(self.n_E, n, w_i, 10.0, -80.0)

    def update(self) -> tuple:
        """One step; spikes of the step before arrive. Returns how many cells of each kind fire."""
        fired = self.cells.spike.value
        self.exc(fired[: self.n_E])
        self.inh(fired[self.n_E :])
        now = bm.as_jax(self.cells(self.drive))
        counts = now.astype(jnp.int32)
        return counts[: self.n_E].sum(), counts[self.n_E :].sum()


def coba(n: int, seed: int) -> Coupled:
    """Conductances in units of that of the leak."""
    cells = bp.dyn.LifRef(
        n, V_rest=-60.0, V_th=-50.0, V_reset=-60.0, tau=20.0, tau_ref=5.0,
        V_initializer=bp.init.Normal(-55.0, 5.0),
    )  # fmt: skip
    return Coupled(cells, drive=20.0, w_e=0.6, w_i=6.7, seed=seed)  # mV


def cobahh(n: int, seed: int) -> Coupled:
    """Everything per area, in mS / cm2 and uF / cm2, of cells of 20,000 um2."""
    cells = bp.dyn.CondNeuGroupLTC(
        n, C=1.0, V_th=-20.0, V_initializer=bp.init.Normal(-65.0, 5.0),
        INa=bp.dyn.INa_TM1991(n, g_max=100.0, E=50.0, V_sh=-63.0),
        IK=bp.dyn.IK_TM1991(n, g_max=30.0, E=-90.0, V_sh=-63.0),
        IL=bp.dyn.IL(n, g_max=0.05, E=-60.0),
    )  # fmt: skip
    for gate in (cells.INa.p, cells.INa.q, cells.IK.p):
        gate.value = jnp.zeros_like(gate.value)
    return Coupled(cells, drive=0.0, w_e=0.03, w_i=0.335, seed=seed)


NETWORKS = {"coba": coba, "cobahh": cobahh}


def pairs(rng: np.random.Generator, n_pre: int, n_post: int, p: float) -> tuple:
    """Targets of each source and where they begin, every pair being connected with probability p.

    The gaps between connected pairs are geometric. BrainPy's own rule takes a time that grows with
    the number of pairs, hours for 400,000 cells.
    """
    n_pairs, mean = n_pre * n_post, n_pre * n_post * p
    gaps = rng.geometric(p, int(mean + 10 * np.sqrt(mean)) + 10)
    places = np.cumsum(gaps) - 1
    places = places[places < n_pairs]
    starts = np.searchsorted(places, np.arange(n_pre + 1) * n_post)
    return (places % n_post).astype(np.int32), starts.astype(np.int32)


def prepare(request: dict) -> Iterator[dict]:
    """Build, compile, warm up, and then go on for a duration each time.

    Args:
        request: `network`, its name in the zoo; `platform`; `n`, `dt`, `seed`, `warmup`,
            `duration`.
    """
    bm.set_platform(request.get("platform", "cpu"))
    bm.set_dt(request["dt"])
    bm.random.seed(request["seed"])
    began = time.perf_counter()
    net = NETWORKS[request["network"]](request["n"], request["seed"])
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

"""NEST runs the decision network (`decision`). Started in NEST's own Python.

`iaf_bw_2001` computes the gating variable of an NMDA synapse once for each presynaptic cell, from
its value at the last spike. It integrates all else with adaptive steps. All pairs of cells are
connected, twice for excitation, each with a weight that all share.
"""

import time
from collections.abc import Generator

import nest

from peers import decision
from peers.answering import answer, peak_rss


def prepare(request: dict) -> Generator[dict, dict, None]:
    """Run a trial each time, in a network that is built for it.

    Args:
        request: `n`, `threads`, `dt`, `duration`; of each trial: `seed`.
    """
    nest.verbosity = nest.VerbosityLevel.ERROR
    trial = yield {"build": 0.0, "version": nest.__version__, "threads": request["threads"]}
    while True:
        trial = yield run(request, trial["seed"])


def run(request: dict, seed: int) -> dict:
    began = time.perf_counter()
    nest.ResetKernel()
    nest.set(
        resolution=request["dt"], local_num_threads=request["threads"], rng_seed=seed,
        keep_source_table=False,
    )  # fmt: skip
    cells = {name: population(name, size) for name, size in decision.sizes(request["n"]).items()}
    connect(cells, request["n"] / 2000)
    stimulate(cells, seed)
    recorders = {name: nest.Create("spike_recorder") for name in cells}
    for name, recorder in recorders.items():
        nest.Connect(cells[name], recorder, syn_spec={"delay": request["dt"]})
    synapses = nest.num_connections
    nest.Prepare()
    built = time.perf_counter()
    nest.Run(request["duration"])
    run = time.perf_counter() - built
    nest.Cleanup()
    seconds = request["duration"] / 1000
    counts = {name: recorder.n_events for name, recorder in recorders.items()}
    return {
        "run": run,
        "rtf": run / seconds,
        "build": built - began,
        "connections": synapses,
        "peak_rss": peak_rss(),
        "rates": decision.rates(counts, request["n"], seconds),
    }


def population(name: str, size: int):  # type: ignore[no-untyped-def]
    of = decision.CELLS[name]
    return nest.Create(
        "iaf_bw_2001",
        size,
        {
            "C_m": of.C_m, "g_L": of.g_L, "t_ref": of.t_ref, "E_L": decision.V_L,
            "V_m": decision.V_L, "V_th": decision.V_TH, "V_reset": decision.V_RESET,
            "E_ex": decision.E_EXC, "E_in": decision.E_INH, "tau_AMPA": decision.TAU_AMPA,
            "tau_GABA": decision.TAU_GABA, "tau_rise_NMDA": decision.TAU_RISE,
            "tau_decay_NMDA": decision.TAU_NMDA, "alpha": decision.ALPHA, "conc_Mg2": 1.0,
        },
    )  # fmt: skip


def connect(cells: dict, scale: float) -> None:
    """All with all; recurrent conductances are smaller the more cells there are."""
    receptors = nest.GetDefaults("iaf_bw_2001", "receptor_types")
    for post, of in decision.CELLS.items():
        for pre in ("A", "B", "N"):
            for kind, g in (("AMPA", of.AMPA), ("NMDA", of.NMDA)):
                weight = g / scale * decision.weight(pre, post)
                pair(cells, pre, post, kind, receptors[kind], weight)
        pair(cells, "I", post, "GABA", receptors["GABA"], of.GABA / scale)


def pair(cells: dict, pre: str, post: str, kind: str, receptor: int, weight: float) -> None:
    name = f"{kind}_{pre}_{post}"
    nest.CopyModel("static_synapse_hom_w", name, {"weight": weight})
    nest.Connect(
        cells[pre],
        cells[post],
        "all_to_all",
        {"synapse_model": name, "delay": decision.DELAY, "receptor_type": receptor},
    )


def stimulate(cells: dict, seed: int) -> None:
    """Background for all cells, and the stimulus for those that are selective."""
    ampa = nest.GetDefaults("iaf_bw_2001", "receptor_types")["AMPA"]
    for name, of in decision.CELLS.items():
        background = nest.Create("poisson_generator", params={"rate": decision.BACKGROUND})
        spikes = {"weight": of.external, "delay": 0.1, "receptor_type": ampa}
        nest.Connect(background, cells[name], syn_spec=spikes)
        if name in (rates := decision.stimulus(seed)):
            times = [0.1 + k * decision.HOLD for k in range(len(rates[name]))]
            stimulus = nest.Create(
                "inhomogeneous_poisson_generator",
                params={"rate_times": times, "rate_values": rates[name].tolist()},
            )
            nest.Connect(stimulus, cells[name], syn_spec=spikes)


if __name__ == "__main__":
    answer(prepare)

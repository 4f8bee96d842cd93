"""NEST runs the network that `nest_terms` says. Started by `workers.Worker` in NEST's own Python.

Spikes are counted by one recorder for each population, whose cost is below what can be measured:
there is one such event for about a hundred to ten thousand synaptic ones.
"""

import itertools
import math
import time
from collections.abc import Iterator

import nest

from peers.answering import answer, peak_rss
from peers.distributions import SAMPLE, distribution

MOST_OF_A_MODEL = 120_000_000  # connections of a thread; the limit is 2^27 - 2


def prepare(request: dict) -> Iterator[dict]:
    """Build, warm up, and then go on for a duration each time.

    Args:
        request: `network`, as `nest_terms` says it; `threads`, `dt`, `seed`, `warmup`, `duration`.
    """
    projections = request["network"]["projections"].values()
    is_plastic = any(of["plasticity"] for of in projections)
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.set(
        resolution=request["dt"],
        local_num_threads=request["threads"],
        rng_seed=request["seed"],
        print_time=False,
        overwrite_files=True,
        keep_source_table=is_plastic,  # needed by GetConnections alone
    )
    before, began = peak_rss(), time.perf_counter()
    neurons = create(request["network"])
    recorders = connect(request["network"], neurons, request["dt"])
    synapses = nest.num_connections - devices(request["network"], neurons)
    built = time.perf_counter()
    nest.Prepare()
    nest.Run(request["dt"])  # NEST sorts its connections before the first step
    ready = time.perf_counter()
    held = peak_rss()
    if request["warmup"]:
        nest.Run(request["warmup"])
    yield {
        "build": built - began,
        "prepare": ready - built,
        "synapses": synapses,
        "peak_rss": held,
        "bytes_per_synapse_at_peak": (held - before) / max(1, synapses),
        "version": nest.__version__,
        "threads": nest.local_num_threads,
        "has_mpi": bool(nest.build_info["have_mpi"]),
    }
    seconds = request["duration"] / 1000
    while True:
        counted = {path: recorder.n_events for path, recorder in recorders.items()}
        began = time.perf_counter()
        nest.Run(request["duration"])
        run = time.perf_counter() - began
        yield {
            "run": run,
            "rtf": run / seconds,
            "rates": {
                path: (recorder.n_events - counted[path]) / len(neurons[path]) / seconds
                for path, recorder in recorders.items()
            },
            "weights": weights(request["network"], neurons),
        }


def weights(network: dict, neurons: dict) -> dict:
    """The distributions of plastic weights onto the first neurons of their targets."""
    found = {}
    for path, of in network["projections"].items():
        if of["plasticity"]:
            some = joined(neurons, of["post"])[:SAMPLE]
            models = [model for model in nest.synapse_models if model.startswith(f"{path}_")]
            w = [
                x for m in models for x in nest.GetConnections(target=some, synapse_model=m).weight
            ]
            found[path] = distribution(w)
    return found


def create(network: dict) -> dict:
    """The neurons of each population."""
    return {
        path: nest.Create(
            network["model"], of["size"], {**of["parameters"], "V_m": value(of["V_m"])}
        )
        for path, of in network["populations"].items()
    }


def connect(network: dict, neurons: dict, dt: float) -> dict:
    """Projections, Poisson input, and a recorder for each population."""
    for path, of in network["projections"].items():
        pre, post = joined(neurons, of["pre"]), joined(neurons, of["post"])
        for number, targets in enumerate(pieces(len(pre), post, of["rule"])):
            nest.Connect(pre, targets, of["rule"], synapse(f"{path}_{number}", of))
    for of in network["poisson"].values():
        generator = nest.Create("poisson_generator", params={"rate": of["rate"]})
        weight_and_delay = {"weight": of["weight"], "delay": of["delay"]}
        nest.Connect(generator, joined(neurons, of["post"]), syn_spec=weight_and_delay)
    recorders = {path: nest.Create("spike_recorder") for path in neurons}
    for path, recorder in recorders.items():
        nest.Connect(neurons[path], recorder, syn_spec={"delay": dt})
    return recorders


def pieces(n_pre: int, post, rule: dict) -> list:  # type: ignore[no-untyped-def]
    """Targets so divided that no thread has too many connections of one synapse model.

    NEST numbers those in 27 bits. Every target draws its sources for itself by these rules.
    """
    each = {
        "fixed_indegree": lambda: rule["indegree"],
        "pairwise_bernoulli": lambda: rule["p"] * n_pre,
    }.get(rule["rule"], lambda: 0)()
    n = math.ceil(each * len(post) / nest.local_num_threads / MOST_OF_A_MODEL)
    bounds = [len(post) * k // max(1, n) for k in range(max(1, n) + 1)]
    return [post[low:high] for low, high in itertools.pairwise(bounds)]


def synapse(path: str, of: dict) -> dict:
    """A weight that all share is kept once, which is faster and needs less memory."""
    delay = value(of["delay"])
    if of["plasticity"]:
        name = f"{path.replace('.', '_')}_synapse"
        nest.CopyModel("stdp_pl_synapse_hom", name, of["plasticity"])
        return {"synapse_model": name, "weight": of["weight"], "delay": delay}
    if isinstance(of["weight"], dict):
        return {"synapse_model": "static_synapse", "weight": value(of["weight"]), "delay": delay}
    name = f"{path.replace('.', '_')}_synapse"
    nest.CopyModel("static_synapse_hom_w", name, {"weight": of["weight"]})
    return {"synapse_model": name, "delay": delay}


def value(given):  # type: ignore[no-untyped-def]
    """A number as it is, a normal distribution as NEST's own."""
    if not isinstance(given, dict):
        return given
    drawn = nest.random.normal(mean=given["mean"], std=given["std"])
    if given["min"] is None and given["max"] is None:
        return drawn
    low = -1e300 if given["min"] is None else given["min"]
    high = 1e300 if given["max"] is None else given["max"]
    return nest.math.redraw(drawn, min=low, max=high)


def joined(neurons: dict, paths: list[str]):  # type: ignore[no-untyped-def]
    """Populations one behind the other."""
    first, *others = (neurons[path] for path in paths)
    for other in others:
        first = first + other
    return first


def devices(network: dict, neurons: dict) -> int:
    """How many connections lead from generators and to recorders."""
    from_generators = sum(len(joined(neurons, of["post"])) for of in network["poisson"].values())
    return from_generators + sum(len(of) for of in neurons.values())


if __name__ == "__main__":
    answer(prepare)

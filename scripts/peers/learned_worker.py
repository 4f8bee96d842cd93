"""distdyn runs `hpc_benchmark` with synapses that learn, and says what they have learned."""

from collections.abc import Iterator

import distdyn as dd
from distdyn.zoo.hpc_benchmark import HPCBenchmark
from peers.answering import answer
from peers.distributions import SAMPLE, distribution


def prepare(request: dict) -> Iterator[dict]:
    """Build and warm up, and then go on for a duration each time.

    Args:
        request: `scale`, `devices`, `dt`, `seed`, `warmup`, `duration`.
    """
    runner = dd.DSRunner(
        HPCBenchmark(request["scale"]), dt=request["dt"], seed=request["seed"],
        devices=int(request["devices"]), record=["E.spikes", "I.spikes"], progress="off",
    )  # fmt: skip
    if request["warmup"]:
        runner.run(request["warmup"])
    found: dict = {}
    while True:
        yield found
        spikes = runner.run(request["duration"]).gather().spikes
        seconds = request["duration"] / 1000
        rates = {path: len(of.id) / len(runner[path].V) / seconds for path, of in spikes.items()}
        w = runner["learning"].edges(post=range(SAMPLE)).weight
        found = {"rates": rates, "weights": {"learning": distribution(w)}}


if __name__ == "__main__":
    answer(prepare)

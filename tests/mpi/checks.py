"""Hard cases, run on whatever ranks and devices there are; says what was found, the same on all.

mpirun -n 3 python checks.py --devices 2 weights streams      # one JSON object, from rank 0

The D numbers are those of our list of robustness checks. What does not depend on the partition is
returned and compared by `test_checks.py`; what does is asserted here.
"""

import argparse
import hashlib
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from check_networks import (
    Burst,
    Counts,
    Delayed,
    Drawn,
    Exploding,
    Pairs,
    Streams,
    Tiny,
    Weights,
)
from scipy import stats

import distdyn as dd
from distdyn.errors import DistDynError
from distdyn.network.ends import block_size
from distdyn.parallel.exchange import remote
from distdyn.parallel.exchange.messages import Messages
from distdyn.parallel.launch import world
from distdyn.parallel.roads import VARIABLE
from distdyn.run import runner as runner_module
from distdyn.zoo import by_name
from partition import Decomposition

Run = Callable[..., dd.DSRunner]


def digest(*arrays: Any) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in arrays)).hexdigest()


def dealt(sizes: list[int], owner: Callable[[int, np.ndarray], Any]) -> Decomposition:
    """Blocks as `owner(population, blocks)` says: the part of each, among any number of parts."""
    blocks = [block_size(size) for size in sizes]
    owners = []
    for k, (size, block) in enumerate(zip(sizes, blocks, strict=True)):
        number = np.arange(-(-size // block))
        owners.append(np.broadcast_to(owner(k, number), number.shape).astype(np.int32))
    return Decomposition(tuple(sizes), tuple(blocks), tuple(owners), parts())


# --- sums and draws ------------------------------------------------------------------------------


def weights(run: Run) -> dict[str, Any]:
    """D2: the sum does not depend on who adds, nor on the repeat."""
    found = {}
    network = Weights()
    exact = np.bincount(network.post, weights=network.weight)
    for precision, error, repeats in (("float64", 1e-4, 10), ("float32", 1.0, 2)):
        runner = run(network, precision=precision)
        seen = set()
        for _ in range(repeats):
            runner.reset()
            runner.run(5.1)
            g = runner["syn"].g
            assert np.abs(g - exact).max() < error, np.abs(g - exact).max()
            runner.run(2.0)
            seen.add((digest(g), digest(runner["syn"].g, runner["N"].V)))
        assert len(seen) == 1
        found[precision] = dict(zip(("sum", "later"), seen.pop(), strict=True))
    return found


def streams(run: Run) -> dict[str, Any]:
    """D3: what a neuron draws is its own, whoever owns it and whoever else there is."""

    def drawn(*arguments: int, seed: int = 7) -> tuple[np.ndarray, ...]:
        runner = run(Streams(*arguments), precision="float64", record="P.spikes", seed=seed)
        first = runner["A"].V[:300]
        everything = runner.run(30.0).gather()
        step, id = np.zeros(0), np.zeros(0)
        if everything is not None:
            spikes = everything.spikes["P"]
            keep = spikes.id < 300
            step, id = spikes.step[keep], spikes.id[keep]
        return first, runner["A"].V[:300], step, id

    plain, more = drawn(300), drawn(500, 70)
    for a, b in zip(plain, more, strict=True):
        np.testing.assert_array_equal(a, b)
    assert world().rank or len(plain[2]) > 300
    V = run(Streams(4000), precision="float64")["A"].V
    other = run(Streams(4000), precision="float64", seed=8)["A"].V
    assert len(np.unique(V)) == len(V) and not np.isin(V, other).any()
    np.testing.assert_array_equal(V[:300], plain[0])
    for values in (V, other, V[::2], V[:1000]):
        assert stats.kstest(values, "norm", args=(-60.0, 5.0)).pvalue > 1e-3
    return {"drawn": digest(*plain), "V": digest(V)}


# --- sizes ---------------------------------------------------------------------------------------


def tiny(run: Run) -> dict[str, Any]:
    """D4: two neurons, one, none, and populations smaller than the number of ranks."""
    found = {}
    for sizes in ((2,), (1,), (0,), (3, 0, 1)):
        runner = run(Tiny(*sizes), record=["spikes", "of.0.V"])
        recording = runner.run(60.0)
        everything = recording.gather()
        n = sum(sizes)
        assert runner.synapses == n * n and runner["of.0"].V.shape == sizes[:1]
        count = sum(recording.counts().values())
        assert count >= n
        trace = None if everything is None else digest(everything.traces["of.0.V"].value)
        found[str(sizes)] = [count, recording.spikes_sha256(), trace]
    return found


def uneven(run: Run) -> dict[str, Any]:
    """D5: sizes that nothing divides, and a part that has nine tenths of all."""
    found = {}
    for n in (331, 10_007):
        lopsided = dealt([n], lambda k, block: np.where(block % 10, 0, block // 10 % parts()))
        hashes = set()
        for decomposition in (None, lopsided)[: 2 if n == 331 else 1]:
            runner = run(Drawn(n), record="spikes", decomposition=decomposition)
            hashes.add(runner.run(30.0).spikes_sha256())
        assert n != 331 or parts() == 1 or runner.census.neurons.max() >= 0.8 * n
        assert len(hashes) == 1
        found[str(n)] = [hashes.pop(), digest(runner["N"].V, runner["syn"].g)]
    return found


# --- synapses ------------------------------------------------------------------------------------


COUNTS = {"once": 50, "again": 50, "all": 2500, "indegree": 5000, "outdegree": 3000,
          "total": 7777, "some": 500, "distinct": 2000, "listed": 350}  # fmt: skip


def counts(run: Run) -> dict[str, Any]:
    """D6: as many synapses as were asked for, and a spike arrives once through each."""
    runner = run(Counts())
    found, arrivals = {}, np.zeros(50)
    for where in ("to", "within"):
        for name, count in COUNTS.items():
            edges = runner[f"{where}.{name}"].edges()
            assert len(edges.pre) == count, (name, len(edges.pre))
            into, out = (np.bincount(x, minlength=50) for x in (edges.post, edges.pre))
            assert name not in ("indegree", "some", "distinct") or len(set(into)) == 1
            assert name != "outdegree" or len(set(out)) == 1
            assert not (where == "within" and name == "some" and (edges.pre == edges.post).any())
            if name == "distinct":
                assert len(set(zip(edges.pre, edges.post, strict=True))) == count
            found[f"{where}.{name}"] = digest(*edges)
            arrivals += into * (where == "to")
    autapses = runner["within.indegree"].edges()
    assert (autapses.pre == autapses.post).any()
    runner.run(1.5)
    np.testing.assert_array_equal(runner["to.once"].g, arrivals)
    assert runner.synapses == 2 * sum(COUNTS.values())
    return found


def burst(run: Run) -> dict[str, Any]:
    """D7, D20: silence, then all at once through room for 8; the last part has no synapse."""
    last = parts() - 1
    others = max(1, last)
    decomposition = dealt([1, 10_000, 40], lambda k, block: last if k == 2 else block % others)
    plain = remote.Messages
    remote.Messages = lambda *a, **k: Messages(*a, **k, capacity=8)
    try:
        runner = run(Burst(), record="spikes", decomposition=decomposition)
    finally:
        remote.Messages = plain
    everything = runner.run(1006.0).gather()
    if everything is not None:
        step, id = everything.spikes["N"].step, everything.spikes["N"].id
        when = np.arange(10_001, 10_061, 15)
        np.testing.assert_array_equal(step, np.repeat(when, 10_000))
        np.testing.assert_array_equal(id, np.tile(np.arange(10_000), len(when)))
    if runner._shard.near.remote:
        messages = runner._shard.near.remote.messages
        sent, received = (world().sum(x) for x in (messages.spikes_sent, messages.spikes_received))
        assert sent == received > 0
        grown, told = (world().sum(n) for n in (len(messages.growth), runner._shard.lengthened))
        assert grown == 2 * told  # on both sides, told once
        assert others < 2 or told > 0
    return {"spikes": runner["N"].V.shape}


# --- delays --------------------------------------------------------------------------------------


def intervals(run: Run) -> dict[str, Any]:
    """D8: parts meet as often as the shortest delay that is really cut asks for, no more."""
    us, per_rank = world(), parts() // world().size
    for pre, post in ((0, 15), (0, 16), (17, 0)):
        network = Pairs(pre, post)
        runner = run(network)
        owner = np.arange(4)[np.arange(64) // 16] % parts()
        rule = network.syn.rule
        a, b = owner[rule.pre], owner[rule.post]
        node = np.array(us.node_of)[np.arange(parts()) // per_rank]
        steps = np.rint(network.delay / 0.1).astype(int)
        near = (a != b) & (node[a] == node[b]) & (node[b] == us.node)
        inside = min(256, *steps[near], 256) if (node == us.node).sum() > 1 else None
        far = node[a] != node[b]
        expected = (inside, min(steps[far], default=None) if us.nodes > 1 else None)
        found = runner._shard.intervals
        assert found[0] == expected[0], (pre, post, found, expected)
        assert found[1] == expected[1] or (expected[1] is None and us.nodes > 1), found
    return {}


def of_one(value: float) -> np.ndarray:
    """64 delays, of which one is `value`."""
    delay = np.full(64, 1.0)
    delay[37] = value
    return delay


BAD = {str(x): x for x in (0.0, -1.0, np.nan, np.inf, 1e9, 0.26, 0.04)}
BAD |= {f"one of {x}": of_one(x) for x in (0.0, -1.0, np.nan, 1e9, 0.26)}


def delays(run: Run) -> dict[str, Any]:
    """D9: a delay that cannot be is the same error on all ranks, at once."""
    found = {}
    for name, delay in BAD.items():
        began = time.monotonic()
        found[name] = error_of(lambda delay=delay: run(Delayed(delay)))
        assert found[name] and "delay" in found[name], found
        assert time.monotonic() - began < 5.0
        found[name] = found[name].split(";")[0]  # behind it is how many neurons a part has
    return found


def error_of(call: Callable[[], Any]) -> str | None:
    """The error that all ranks agree on, in words; None if there was none on any."""
    text = None
    try:
        call()
    except DistDynError as error:
        text = f"{type(error).__name__}: {error}"
    everywhere = set(world().allgather(text))
    assert len(everywhere) == 1, everywhere
    return text


# --- ranks that differ, states that explode ------------------------------------------------------


def differing(run: Run) -> dict[str, Any]:
    """D16: rank 1 was given something else; all are told what."""
    us, odd = world(), int(world().rank == 1)
    if us.size == 1:
        return {}

    def small(n=40, I_e=0.0, V=-60.0, p=0.2, weight=1.0, synapse=2.0, post=40, name="N", E=None):
        network = dd.Network()
        network.__dict__[name] = cells = dd.Population(n, dd.LIF(I_e=I_e), V=V)
        network.syn = dd.Projection(
            cells[:20], cells[:post], dd.FixedProb(p), dd.Exponential(tau=synapse),
            E and dd.COBA(E=E), weight=weight, delay=1.0,
        )  # fmt: skip
        network.noise = dd.PoissonInput(cells, 10.0, dd.Delta(), weight=weight, delay=0.1)
        return network

    currents = np.zeros(40)
    currents[17] = odd
    of_network: dict[str, dict[str, Any]] = {
        "size": {"n": 40 + odd}, "parameter": {"I_e": 1.0 * odd}, "array": {"I_e": currents},
        "initial": {"V": -60.0 + odd}, "rule": {"p": 0.2 + 0.1 * odd}, "slice": {"post": 40 - odd},
        "synapse": {"synapse": 2.0 + odd}, "weight": {"weight": 1.0 + odd},
        "name": {"name": "NM"[odd]}, "output": {"E": -80.0 + odd},
    }  # fmt: skip
    owner = dealt([40], lambda k, block: (block + odd) % parts())
    of_run: dict[str, dict[str, Any]] = {
        "seed": {"seed": 7 + odd}, "t0": {"t0": 1.0 * odd}, "dt": {"dt": 0.1 * (1 + odd)},
        "record": {"record": ["spikes", "N.V"][: 1 + odd]},
        "precision": {"precision": ["float32", "float64"][odd]},
        "decomposition": {"decomposition": owner}, "overlap": {"overlap": odd},
    }  # fmt: skip
    heard = {name: error_of(lambda o=o: run(small(**o))) for name, o in of_network.items()}
    heard |= {name: error_of(lambda o=o: run(small(), **o)) for name, o in of_run.items()}
    runner = run(small())
    heard["duration"] = error_of(lambda: runner.run(1.0 + odd))
    heard["every"] = error_of(lambda: runner.run(1.0, every=0.1 * (1 + odd), call=lambda r: None))
    heard["reset"] = error_of(lambda: runner.reset(seed=7 + odd))
    plain = runner_module.versions
    runner_module.versions = lambda: plain() | ({"jaxlib": "0.0"} if odd else {})
    heard["jaxlib"] = error_of(lambda: run(small()))
    runner_module.versions = plain
    unheard = [name for name, text in heard.items() if not text]
    assert not unheard, unheard
    assert all("AgreementError" in str(text) for text in heard.values()), heard
    named = {name: f'differ in "{name}"' for name in (*of_run, "jaxlib", "duration")}
    named |= {"size": '"population "N": size"', "weight": '"projection "syn": weight"'}
    wrong = {name: heard[name] for name, words in named.items() if words not in str(heard[name])}
    assert not wrong, wrong
    return {}


def exploding(run: Run) -> dict[str, Any]:
    """A state that is not finite on one rank is the same error on all."""
    runner = run(Exploding())
    text = error_of(lambda: runner.run(20.0))
    assert text and 'SimulationError: population "N": x of neuron 33 is' in text, text
    return {"neuron": text.split(" is ")[0]}


# --- looking, setting, splitting -----------------------------------------------------------------


def access(run: Run) -> dict[str, Any]:
    """States, parameters, weights, edges, traces, seeds: as on one rank."""
    record = ["spikes", dd.every(0.5, "E.V", ids=[150, 3, 159, 3]), "I.exc.g"]
    runner = run(by_name("coba")(n=200), record=record)
    found: list[Any] = []

    def note(recording: Any) -> None:
        everything = recording.gather()
        traces = {} if everything is None else everything.traces
        found.append([recording.spikes_sha256(), sorted(recording.counts().items())])
        found[-1] += [digest(t.time, t.id, t.value) for t in traces.values()]

    def shift(runner: dd.DSRunner) -> None:
        runner["E"].V = runner["E"].V[::-1]
        runner["I"].I_e = np.linspace(200.0, 200.0 + runner.t, 40)

    note(runner.run(20.0))
    found.append([digest(*runner["exc"].edges(pre=range(3))), digest(*runner["inh"].edges())])
    for _ in range(2):
        runner["E"].I_e = np.linspace(150.0, 300.0, 160)
        runner["exc"].weight = 5.0
        note(runner.run(20.0, every=4.0, call=shift))
        found.append([digest(runner["E"].V, runner["exc"].g), digest(runner["I"].I_e)])
        runner.reset(seed=9)
        found.append(digest(runner["E"].V))
    whole = run(by_name("coba")(n=200), record="spikes").run(40.0).gather()
    again = run(by_name("coba")(n=200), record="spikes")
    pieces = [again.run(t).gather() for t in (0.1, 0.0, 7.9, 1.3, 30.7)]
    for path in whole.spikes if whole is not None else ():
        for column in ("step", "id"):
            each = [getattr(p.spikes[path], column) for p in pieces]
            np.testing.assert_array_equal(np.concatenate(each), getattr(whole.spikes[path], column))
    return {"found": found}


def pauses(run: Run) -> dict[str, Any]:
    """D21: ranks that stumble, 20 times: the same spikes."""
    clock = random.Random()  # another one in each rank and each run
    runner = run(by_name("coba")(n=200), record="spikes")
    hashes = set()
    for _ in range(20):
        runner.reset()
        recording = runner.run(
            10.0, every=1.0, call=lambda r: time.sleep(max(0.0, clock.gauss(0.0, 4e-3)))
        )
        hashes.add(recording.spikes_sha256())
    assert len(hashes) == 1, hashes
    return {"hash": hashes.pop()}


CHECKS = [weights, streams, tiny, uneven, counts, burst, intervals, delays, differing, exploding,
          access, pauses]  # fmt: skip
DEVICES = 1


def parts() -> int:
    return world().size * DEVICES


def main() -> None:
    global DEVICES
    parser = argparse.ArgumentParser()
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--no-kernels", action="store_true", help="XLA alone, and its collectives")
    parser.add_argument("checks", nargs="+")
    options = parser.parse_args()
    DEVICES = options.devices
    if options.no_kernels:
        os.environ[VARIABLE] = "reference"

    def run(network: dd.Network, **more: Any) -> dd.DSRunner:
        given = {"dt": 0.1, "seed": 7, "devices": DEVICES, "progress": "off"}
        return dd.DSRunner(network, **(given | more))

    found = {}
    for check in CHECKS:
        if check.__name__ in options.checks:
            began = time.monotonic()
            found[check.__name__] = check(run)
            if world().rank == 0:
                print(f"{check.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    if world().rank == 0:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

"""distdyn's products of spikes and sparse matrices beside those of its peers, in turns.

Every program has a process of its own, and all of them the same core. A ratio is the median over
the turns of their fastest way over our fastest way; there is none where results do not agree.
"""

import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import median

from peers.machine import busy
from peers.products import last_core
from peers.workers import PeerError, Worker

PEERS = ("bcoo", "scipy", "brainevent")
OURS, LIMIT = "distdyn", "memory"

# Rows of the stored matrix, synapses of each, and the part of the rows that spike; and the drawn
# one. Each way is called for so many `seconds` in a turn.
REQUEST = {
    "seconds": 0.4,
    "stored": {"n": 100_000, "k": 100, "active": 0.01, "seed": 1},
    "drawn": {"n": 10_000, "p": 0.01, "active": [0.01, 1.0], "seed": 1},
}


def matrices(peers: Sequence[str], turns: int) -> dict:
    """Times, ratios and limits of all products.

    Args:
        peers: some of PEERS.
        turns: how many.
    """
    with ExitStack() as open_:
        workers, missing = started([OURS, LIMIT, *peers], open_)
        taken, others = [], []
        for turn in range(turns):
            others.append(busy())
            order = list(workers)[:: -1 if turn % 2 else 1]
            found = {name: workers[name].run() for name in order}
            taken.append({name: found[name] for name in workers})
            print(f"matrices: turn {turn + 1} of {turns}", file=sys.stderr, flush=True)
        built = {name: of.built for name, of in workers.items()}
    results = {name: of["results"] for name, of in built.items() if name != LIMIT}
    differing = disagreements(results)
    return {
        "request": REQUEST,
        "disagreements": differing,
        "missing": missing,
        "ratios": None if differing else ratios(taken),
        "of_memory": of_memory(taken),
        "us": microseconds(taken),
        "synapses_per_spike": {name: per_spike(of) for name, of in results.items()},
        "versions": {
            name: {key: x for key, x in of.items() if key != "results"}
            for name, of in built.items()
        },
        "busy": others,
        "turns": taken,
    }


def started(names: Sequence[str], open_: ExitStack) -> tuple[dict[str, Worker], dict[str, str]]:
    """The programs, and why some of the peers are not there."""
    workers, missing = {}, {}
    request = REQUEST | {"core": last_core()}
    for name in names:
        try:
            workers[name] = open_.enter_context(Worker(name, **request))
        except (PeerError, subprocess.CalledProcessError) as error:
            if name in (OURS, LIMIT):
                raise
            missing[name] = str(error)
            print(f"{name} is left out: {error}", file=sys.stderr, flush=True)
    return workers, missing


def disagreements(results: Mapping[str, Mapping[str, Mapping[str, dict]]]) -> list[str]:
    """Which results are wrong, in words; empty if none is.

    Products of the stored matrix are the same to the last bit. Drawn ones have p n synapses in a
    row, up to 5 standard deviations of the mean of those that were looked at.

    Args:
        results: by program, product and way, as `products.result` says them.
    """
    found, drawn = [], REQUEST["drawn"]
    expected = drawn["p"] * drawn["n"]
    for name, cases in results.items():
        for case, ways in cases.items():
            for way, of in ways.items():
                if "drawn" in case:
                    allowed = 5 * math.sqrt(expected * (1 - drawn["p"]) / of["spikes"])
                    if not abs(of["per_spike"] - expected) <= allowed:
                        found.append(
                            f"{name}, {way}: {of['per_spike']:.2f} synapses in a row, not "
                            f"{expected:g} +- {allowed:.2f}"
                        )
                    continue
                (right, *_) = results[OURS][stored_case(case)].values()
                if of["sha256"] != right["sha256"]:
                    found.append(f"{name}, {way}: {case} differs from that of {OURS}")
    return found


def stored_case(case: str) -> str:
    """The product of ours that is the same as one of theirs."""
    return case.removeprefix("sparse ")


def ratios(turns: Sequence[Mapping[str, Mapping]]) -> dict[str, dict[str, float]]:
    """How many times as fast ours is: by product and peer."""
    found: dict[str, dict[str, float]] = {}
    for name in turns[0]:
        if name in (OURS, LIMIT):
            continue
        for case in turns[0][name]:
            found.setdefault(case, {})[name] = median(
                min(turn[name][case].values()) / min(turn[OURS][stored_case(case)].values())
                for turn in turns
            )
    return found


def microseconds(turns: Sequence[Mapping[str, Mapping]]) -> dict[str, dict[str, dict]]:
    """Of each product, program and way the median over the turns and the least."""
    found: dict[str, dict[str, dict]] = {}
    for name, cases in turns[0].items():
        for case, ways in cases.items() if name != LIMIT else ():
            for way in ways:
                us = [1e6 * turn[name][case][way] for turn in turns]
                found.setdefault(case, {})[f"{name}: {way}"] = {
                    "median": round(median(us), 1),
                    "least": round(min(us), 1),
                }
    return found


def of_memory(turns: Sequence[Mapping[str, Mapping]]) -> dict[str, dict[str, float]]:
    """Nanoseconds per synapse of ours beside the limits of `memory_worker`, medians of turns."""
    of = REQUEST["stored"]
    events = max(1, round(of["n"] * of["active"])) * of["k"]
    found = {}
    for weights, n_bytes in {"one weight": 4, "a weight each": 8}.items():
        ours = [1e9 * min(turn[OURS][f"spikes @ A, {weights}"].values()) / events for turn in turns]
        read = [n_bytes * turn[LIMIT]["read"] for turn in turns]
        add = [turn[LIMIT]["add"][weights] for turn in turns]
        found[weights] = {
            "bytes_per_synapse": n_bytes,
            "ns_per_synapse": median(ours),
            "ns_to_read": median(read),
            "ns_to_read_and_add": median(add),
            "times_the_limit": median(a / b for a, b in zip(ours, add, strict=True)),
        }
    return found


def per_spike(of: Mapping[str, Mapping[str, dict]]) -> dict[str, dict[str, float]]:
    return {
        case: {way: found["per_spike"] for way, found in ways.items()}
        for case, ways in of.items()
        if "drawn" in case
    }

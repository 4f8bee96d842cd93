#!/usr/bin/env python
"""What the operators of a step and products of matrices cost on one core, as one JSON object.

Cell update, in nanoseconds per cell and step: the compiled cells of a network (`ops/fuse.py`) are
called step after step in one jitted loop, by one thread, on arrays of the size of a part of two of
the microcircuit (38,585 cells), which fit L2 or L3 cache. A call integrates, reads and clears the
slot of the ring that is due, tests thresholds and lists spikes; a constant current lets each cell
fire, and the rate is told. Nothing arrives. Three cells:

    LIF, exponential current        one receptor, as in the microcircuit
    the same with Poisson input     12,800 Hz per cell, drawn in the same pass
    LIF, exponential conductances   two receptors, as in coba

Delivery, in nanoseconds per synaptic event and core: `distdyn run microcircuit` at full density on
two devices with one thread each; the seconds that a device spends in delivery (`phases.deliver`,
the mean over devices, as the run itself takes them), times the devices, over the events. The events
are counted: spikes of each population times the mean out-degree of its cells. That is 77,169
sources, about 25 spikes a step, and 38,585 targets in each part. It holds everything that delivery
has to do, such as looking up the rows; `update` is given from the same run for comparison.

Matrices, in microseconds per product, float32, called as a user calls them (inside `jax.jit` where
it is JAX), beside other programs in turns: each in a process of its own, all on the same core with
one thread (`peers/matrices.py`), and each call with other spikes than the last (`products.py`).

    stored      spikes @ A, 100,000 x 100,000, 100 synapses in a row, 1 % of the rows active, with
                one weight for all and one for each: `dd.CSR`, spikes as bool; BCOO of
                jax.experimental.sparse, spikes as floats; scipy.sparse, the faster of x @ csr and
                (transposed, in csr) @ x; brainevent, BinaryArray of bool @ CSR. All results are
                equal to the last bit. `sparse spikes` are a sparse matrix of one row, for SciPy.
    real        x @ A and A @ z with the same matrices, nothing being zero
    drawn       spikes @ A, 10,000 x 10,000, p = 0.01, 1 % and 100 % of the rows active, nothing
                stored: `dd.JITBernoulli`; brainevent's JITCScalarR and BinaryArray, the fastest of
                both sides and both orders. The mean numbers of synapses in a row agree.

A ratio is the median over the turns of the peer's time over ours. Beside the nanoseconds per
synapse of the stored ones are two limits of the core, from the same turns (`memory_worker.py`): to
read the bytes of a synapse in one stream, and to read them so and add.

    python scripts/bench_operators.py                                        # four minutes, 3 GB
    python scripts/bench_operators.py --scale 0.3 --duration 500 --turns 2   # two minutes
    python scripts/bench_operators.py --no-update --no-delivery              # matrices alone

brainevent gets a virtual environment of its own, made by pip when it is first needed.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

import distdyn as dd
from distdyn.network.network import graph
from distdyn.ops.team import Team
from distdyn.ops.update import update
from distdyn.parallel.parameters import Setting
from distdyn.parallel.shard import Shard
from distdyn.zoo.microcircuit import NAMES, SIZES, synapse_numbers
from peers.command import add_duration, parser_of
from peers.machine import machine, report
from peers.matrices import PEERS, matrices
from peers.workers import run_distdyn

DT = 0.1  # ms


def main() -> None:
    options = parse()
    facts = machine()
    cells = None
    if not options.no_update:
        cells = {name: update_cost(name, make, options) for name, make in CELLS.items()}
    deliveries = None
    if not options.no_delivery:
        deliveries = [delivery_cost(turn, options) for turn in range(options.turns)]
    products = None
    if not options.no_matrices:
        products = matrices(options.peers, options.turns)
    report(
        "operators", facts, options=vars(options), update=cells, matrices=products,
        deliver=deliveries and {
            "ns_per_event_and_core": median(of["ns_per_event_and_core"] for of in deliveries),
            "turns": deliveries,
        },
    )  # fmt: skip
    sys.exit(bool(products and products["disagreements"]))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=5, warmup=200.0)
    parser.add_argument("--cells", type=int, nargs="+", default=[4000, 38_585])
    parser.add_argument("--steps", type=int, default=5000, help="of a timed loop of the update")
    parser.add_argument("--scale", type=float, default=1.0, help="of the microcircuit (default 1)")
    parser.add_argument("--devices", type=int, default=2, help="at least 2 (default 2)")
    parser.add_argument("--no-update", action="store_true", help="leave the cell update out")
    parser.add_argument("--no-delivery", action="store_true", help="leave delivery out")
    parser.add_argument("--no-matrices", action="store_true", help="leave the matrices out")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    add_duration(parser, "the microcircuit", "--duration", 2000.0)
    options = parser.parse_args()
    if options.devices < 2 and not options.no_delivery:
        parser.error("the phases of a step are told for two devices or more")
    return options


# --- cell update ---------------------------------------------------------------------------------


class CurrentBased(dd.Network):
    """Cells with one receptor and no synapse."""

    def __init__(self, n: int, rate: float = 0.0):
        J, tau = 87.8, 0.5  # pA, ms
        I_e = 376.0 - 1e-3 * tau * J * rate  # in the mean, just above threshold with either
        self.N = dd.Population(n, dd.LIF(I_e=I_e), V=dd.Uniform(-65.0, -50.0))
        psc, nobody = dd.Exponential(tau=tau), dd.FixedProb(0.0)
        self.none = dd.Projection(self.N, self.N, nobody, psc, weight=J, delay=1.5)
        if rate:
            self.input = dd.PoissonInput(self.N, rate, psc, weight=J, delay=1.5)


class ConductanceBased(dd.Network):
    """Cells with two receptors and no synapse."""

    def __init__(self, n: int):
        cell = dd.LIF(
            C_m=200.0, tau_m=20.0, E_L=-60.0, V_th=-50.0, V_reset=-60.0, t_ref=5.0, I_e=101.0
        )
        self.N = dd.Population(n, cell, V=dd.Uniform(-60.0, -50.0))
        of = {"weight": 6.0, "delay": 0.1}
        nobody, psc = dd.FixedProb(0.0), dd.Exponential
        self.exc = dd.Projection(self.N, self.N, nobody, psc(tau=5.0), dd.COBA(E=0.0), **of)
        self.inh = dd.Projection(self.N, self.N, nobody, psc(tau=10.0), dd.COBA(E=-80.0), **of)


CELLS: dict[str, Callable[[int], dd.Network]] = {
    "LIF, exponential current": CurrentBased,
    "LIF, exponential current, Poisson input": lambda n: CurrentBased(n, 12_800.0),
    "LIF, exponential conductances": ConductanceBased,
}


def update_cost(name: str, make: Callable[[int], dd.Network], options: argparse.Namespace) -> list:
    """Of each size: nanoseconds per cell and step, median over turns, and the rate found."""
    found = []
    for n in options.cells:
        times, rates = timed_loops(make(n), options)
        ns = [1e9 * seconds / (n * options.steps) for seconds in times]
        found.append(
            {
                "cells": n,
                "ns_per_cell_and_step": median(ns),
                "least": min(ns),
                "rate": median(rates) / n / (options.steps * DT * 1e-3),
            }
        )
        print(f"{name}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def timed_loops(network: dd.Network, options: argparse.Namespace) -> tuple[list, list]:
    """Seconds and spikes of each turn of `steps` steps of the network's only group of cells."""
    with jax.enable_x64(True), Team(1) as team:
        loop, carry = loop_of(network, options.steps)
        times, counts = [], []
        for turn in range(options.turns + 1):  # the first compiles
            start = jnp.int64(turn * options.steps)
            began = time.perf_counter()
            *carry, count = jax.block_until_ready(loop(team.operand, start, *carry))
            times.append(time.perf_counter() - began)
            counts.append(int(count))
    return times[1:], counts[1:]


def loop_of(network: dd.Network, steps: int) -> tuple[Callable, tuple]:
    """So many steps as one program, and the state, rings and event list that it starts from."""
    shard = Shard(graph(network), Setting(DT, 1, "float32", 0), threads=1)
    (plan,) = shard.plan.groups
    if plan.target is None:
        raise SystemExit(f"The cells are not compiled in one pass: {shard.unfused}")
    operands = [shard.stack.blocks(x)[0] for x in shard.data.groups[0].operands]
    bounds = jnp.asarray(np.asarray(shard.parts.cells[0][0].bounds), jnp.int64)

    def step(team, index, carry):
        state, rings, events, spikes = carry
        *new, count = update(
            plan.target, plan.signature, team, bounds, index, jnp.int64(0), [index, *operands],
            state, rings, events,
        )  # fmt: skip
        return (*new, spikes + count)

    def loop(team, first, *carry):
        start = (*carry, jnp.int32(0))
        return jax.lax.fori_loop(first, first + steps, partial(step, team), start)

    state = [jnp.array(np.asarray(x)) for x in shard.states[0]]
    rings = [jnp.zeros(ring.shape, ring.dtype) for ring in shard.rings[0]]
    return jax.jit(loop), (state, rings, jnp.full(plan.cells, -1, jnp.int32))


# --- delivery ------------------------------------------------------------------------------------


def delivery_cost(turn: int, options: argparse.Namespace) -> dict:
    """What one run of the microcircuit says of its phases, per event and per cell."""
    run = run_distdyn(
        "microcircuit", set={"scale": options.scale}, duration=options.duration,
        warmup=options.warmup, devices=options.devices, seed=1 + turn,
    )  # fmt: skip
    events = synaptic_events(run["spikes"], options.scale)
    steps, phases, devices = options.duration / DT, run["phases"], run["devices"]
    found = {
        "ns_per_event_and_core": 1e9 * phases["deliver"] * devices / events,
        "ns_per_cell_and_step": 1e9 * phases["update"] * devices / (run["neurons"] * steps),
        "events": events,
        "spikes_per_step": sum(run["spikes"].values()) / steps,
        "bytes_per_synapse": run["bytes_per_synapse"],
        "rtf": run["rtf"],
        "phases": phases,
    }
    print(f"turn {turn}: {found['ns_per_event_and_core']:.2f} ns", file=sys.stderr, flush=True)
    return found


def synaptic_events(spikes: dict[str, int], scale: float) -> float:
    """Synapses that the spikes went through: spikes of a population times its mean out-degree."""
    sizes = np.round(scale * SIZES)
    outdegrees = synapse_numbers(scale).sum(axis=0) / sizes
    return float(sum(spikes[name] * k for name, k in zip(NAMES, outdegrees, strict=True)))


if __name__ == "__main__":
    main()

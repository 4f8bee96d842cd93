"""`distdyn plan`: the memory, the traffic and the balance of a run, before it.

distdyn plan microcircuit --ranks 64 --devices 4 --nodes 8
distdyn plan my_net.py:Balanced --ranks 8 --method multilevel --save parts.h5
"""

import argparse
import json
import math

from distdyn.commands.named import add_network, network_of
from distdyn.errors import ExitCode
from distdyn.network.network import graph


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add_network(parser)
    add("--ranks", type=int, default=1, metavar="R", help="MPI ranks in all (default 1)")
    add("--devices", type=int, default=1, metavar="D", help="of each rank (default 1)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--nodes", type=int, metavar="N", help="that share the ranks (default 1)")
    where.add_argument("--ranks-per-node", type=int, metavar="K", help="in place of --nodes")
    add("--dt", type=float, default=0.1, metavar="MS", help="time step (default 0.1)")
    add(
        "--precision",
        default="float32",
        metavar="float32|float64",
        help="of states (default float32)",
    )
    add(
        "--rate",
        type=float,
        default=8.0,
        metavar="HZ",
        help="at which cells fire, a guess (default 8)",
    )
    add(
        "--method",
        default="round_robin",
        metavar="NAME",
        help="round_robin (what run does), contiguous, weighted, by_area or multilevel",
    )
    add("--memory-per-rank", metavar="SIZE", help="such as 64G; this machine's by default")
    add("--save", metavar="FILE", help="keep who owns what, for run --decomposition FILE")
    add("--json", action="store_true", help="print the plan as one line of JSON")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Say how much memory and traffic each part of a network needs, and whether it will fit."""
    from distdyn.parallel.plan.memory import bytes_of, memory_per_rank
    from distdyn.parallel.plan.plan import make_plan, topology

    where = topology(
        options.ranks,
        options.devices,
        nodes=options.nodes,
        ranks_per_node=options.ranks_per_node,
    )
    given = options.memory_per_rank
    memory = memory_per_rank(where) if given is None else bytes_of(given)
    plan = make_plan(
        graph(network_of(options.network, options.set)),
        where,
        dt=options.dt,
        precision=options.precision,
        rate=options.rate,
        method=options.method,
    )
    told = {"network": options.network, **plan.summary()}
    told["memory_per_rank"] = memory if math.isfinite(memory) else None
    told["fits"] = bool(plan.per_rank.max() <= memory)
    print(json.dumps(told) if options.json else plan, flush=True)
    if options.save:
        plan.save(options.save)
    plan.check(memory)
    return ExitCode.OK

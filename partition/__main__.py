"""Plan a decomposition from a few numbers, without a network.

    python -m partition sizes.json --parts 8 --method round_robin --save who.npz
    python -m partition show who.npz

`sizes.json` says how many neurons there are and how many synapses, on average, between them:

    {
      "populations": {
        "E": {"size": 80000, "rate": 5.0, "block": 1024, "area": "V1"},
        "I": {"size": 20000, "rate": 20.0}
      },
      "projections": [
        {"pre": "E", "post": "I", "synapses": 1.6e7, "kind": "pairs"},
        {"pre": "I", "post": "E", "synapses": 1.6e7}
      ]
    }

Left out: rate 8 Hz, block 1024 neurons, one area, kind "poisson" (see `partition.graph`). Blocks
are what connectivity draws together; `distdyn plan` knows those of a network.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from partition.decomposition import Decomposition
from partition.files import load, save
from partition.graph import CommunicationGraph, Flow
from partition.methods import METHODS, decompose
from partition.metrics import LEVELS, Metrics, balance, measure
from partition.topology import DecompositionError, Topology

RATE, BLOCK = 8.0, 1024
POPULATION = {"size", "rate", "block", "area"}
PROJECTION = {"pre", "post", "synapses", "kind"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 2 for wrong input."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _show(given[1:]) if given[:1] == ["show"] else _plan(given)
    except (DecompositionError, OSError) as error:
        print(f"partition: {error}", file=sys.stderr)
        return 2


def _plan(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m partition",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", help='sizes as JSON; or "show FILE" for a saved decomposition')
    parser.add_argument("--parts", type=int, help="devices of one rank")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--devices", type=int, default=1, help="of each rank")
    parser.add_argument("--ranks-per-node", type=int, metavar="K", help="all, by default")
    parser.add_argument("--method", default="round_robin", choices=METHODS)
    parser.add_argument("--interval", type=float, default=0.1, metavar="MS", help="of exchanges")
    parser.add_argument("--save", metavar="FILE", help="write the decomposition")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.parts is not None and (options.ranks, options.devices) != (1, 1):
        raise DecompositionError("--parts are devices of one rank. Leave out --ranks, --devices.")
    topology = Topology.regular(
        options.ranks,
        options.devices if options.parts is None else options.parts,
        ranks_per_node=options.ranks_per_node,
    )
    names, graph, areas = read(options.file)
    decomposition = decompose(graph, topology, options.method, areas=areas)
    metrics = measure(decomposition, graph, interval=options.interval)
    if options.save:
        save(decomposition, options.save)
    if options.json:
        about = about_decomposition(decomposition) | {"method": options.method}
        print(json.dumps(about | {"populations": names} | metrics.summary()))
    else:
        print(f"{decomposition!r} by {options.method}\n\n{table(metrics)}")
    return 0


def _show(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m partition show", description="Say what a saved decomposition is."
    )
    parser.add_argument("file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    decomposition = load(options.file)
    about = about_decomposition(decomposition)
    print(json.dumps(about) if options.json else "\n".join(f"{k:10} {v}" for k, v in about.items()))
    return 0


def about_decomposition(decomposition: Decomposition) -> dict[str, Any]:
    """What can be said of a decomposition without a graph."""
    load, topology = decomposition.load(), decomposition.topology
    return {
        "neurons": decomposition.size,
        "sizes": list(decomposition.sizes),
        "blocks": list(decomposition.blocks),
        "nodes": topology.nodes,
        "ranks": topology.ranks,
        "devices": topology.devices,
        "smallest": int(load.min()),
        "largest": int(load.max()),
        "balance": balance(load),
        "digest": decomposition.digest(),
    }


def read(path: str | Path) -> tuple[list[str], CommunicationGraph, list[str]]:
    """The names, the graph and the areas that a file describes.

    Raises:
        DecompositionError: the file is not as the head of this module says.
    """
    try:
        told = json.loads(Path(path).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DecompositionError(f"{path} is not JSON: {error}.") from error
    if not isinstance(told, dict) or not isinstance(told.get("populations"), dict):
        raise DecompositionError(f'{path} has no "populations": {{"E": {{"size": 80000}}, ...}}.')
    populations, projections = told["populations"], told.get("projections", [])
    if not isinstance(projections, list):
        raise DecompositionError(f'{path}: "projections" is not a list: [{{"pre": "E", ...}}].')
    names = list(populations)
    for name, about in populations.items():
        _check_keys(f'{path}: population "{name}"', about, POPULATION, {"size"})
    flows = []
    for about in projections:
        what = f"{path}: projection {about}"
        _check_keys(what, about, PROJECTION, {"pre", "post", "synapses"})
        if not {about["pre"], about["post"]} <= set(names):
            raise DecompositionError(f"{what}: the populations are {', '.join(names)}.")
        ends = names.index(about["pre"]), names.index(about["post"])
        flows.append(Flow(*ends, _number(what, about["synapses"]), about.get("kind", "poisson")))
    graph = CommunicationGraph(
        [_whole(f'{path}: size of "{name}"', x["size"]) for name, x in populations.items()],
        [_whole(f'{path}: block of "{n}"', x.get("block", BLOCK)) for n, x in populations.items()],
        flows,
        [_number(f'{path}: rate of "{n}"', x.get("rate", RATE)) for n, x in populations.items()],
    )
    return names, graph, [str(x.get("area", "")) for x in populations.values()]


def table(metrics: Metrics) -> str:
    """Metrics as text: a row per quantity."""
    told = metrics.summary()
    lines = [f"{'per part':12} {'min':>12} {'mean':>12} {'max':>12} {'max/mean':>9}"]
    units = {"work": "s/s", "memory": "MB"}
    for name, x in told["parts"].items():
        factor = 1e-6 if name == "memory" else 1.0
        values = " ".join(_shown(x[key] * factor) for key in ("min", "mean", "max"))
        lines.append(f"{name:12} {values} {x['balance']:9.3f} {units.get(name, '')}".rstrip())
    lines += ["", f"{'between':12} {'synapses':>12} {'spikes':>12} {'spikes/s':>12} bytes/exchange"]
    for name in LEVELS:
        x = told["cut"][name]
        lines.append(
            f"{name + 's':12} {x['synapses']:12.1%} {x['spikes']:12.1%} "
            f"{_shown(x['spikes_per_second'])} {x['bytes_per_exchange']:14,.0f}"
        )
    return "\n".join(lines)


def _shown(x: float) -> str:
    return f"{x:12,.0f}" if x >= 1000 or x == int(x) else f"{x:12.4g}"


def _check_keys(what: str, found: Any, known: set[str], needed: set[str]) -> None:
    if not isinstance(found, dict) or not needed <= set(found) <= known:
        keys = sorted(found) if isinstance(found, dict) else found
        raise DecompositionError(
            f"{what} has {keys}. Give {', '.join(sorted(needed))}; possible are "
            f"{', '.join(sorted(known))}."
        )


def _number(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecompositionError(f"{what}: {value!r} is not a number.")
    return float(value)


def _whole(what: str, value: Any) -> int:
    if _number(what, value) != int(value):
        raise DecompositionError(f"{what}: {value!r} is not a whole number.")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())

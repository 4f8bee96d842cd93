"""The bifurcation diagram of a cell, with its cycles, by distdyn, scipy and BrainPy, side by side.

    python scripts/bench_analysis.py                                      # ten minutes
    python scripts/bench_analysis.py --turns 1 --peers scipy              # half a minute
    python scripts/bench_analysis.py --cells MorrisLecar

Equilibria over the current, their stability, Hopf points, and the cycles.

    distdyn     `continuation` and `limit_cycles`, bound to one core
    scipy       fsolve and eigenvalues on a grid of 201 or 251 currents, brentq for Hopf points, and
                stable cycles by solve_ivp, with the current going up and down
    BrainPy     `Bifurcation2D` on the same grid, and its cycles by simulation, on all cores

They take turns, each in a process of its own. `seconds` are those of its first diagram, with
compilation, without start and imports; `again` is the same analyzer asked once more, without;
`core_seconds` and `again_core_seconds` are those of the processor, which others do not change.
Ratios are medians over turns of theirs by ours. What each finds is compared with what is known:
`hopf_error` and `fold_error` are the largest distances in the current, null where a point is not
found. The exit status is 1 if distdyn misses one, or is off by 1e-6 or 1e-2.
"""

import argparse
import sys
from statistics import median

from peers.command import parser_of
from peers.diagram import CELLS, Cell
from peers.machine import busy, machine, report
from peers.workers import Worker

OURS = "distdyn"
PROGRAMS = {"distdyn": "distdyn_diagram", "scipy": "scipy_diagram", "brainpy": "brainpy_diagram"}


def main() -> None:
    options = parse()
    facts = machine()
    results = {name: compare(CELLS[name], options) for name in options.cells}
    report("analysis", facts, options=vars(options), **results)
    sys.exit(not all(is_right(of["programs"][OURS]) for of in results.values()))


def parse() -> argparse.Namespace:
    parser = parser_of(__doc__, turns=3)
    parser.add_argument("--cells", nargs="+", default=["FitzHughNagumo"], choices=list(CELLS))
    parser.add_argument(
        "--peers", nargs="*", default=["scipy", "brainpy"], choices=["scipy", "brainpy"]
    )
    return parser.parse_args()


def compare(cell: Cell, options: argparse.Namespace) -> dict:
    """The programs in turns."""
    names = [OURS, *options.peers]
    turns = [turn(cell, names[:: -1 if k % 2 else 1]) for k in range(options.turns)]
    return judged(cell, turns, names)


def turn(cell: Cell, names: list[str]) -> dict:
    """One diagram of each, by a process of its own: what it compiled before is not there."""
    found: dict = {"busy": busy()}
    for name in names:
        core = 0 if name == OURS else None
        with Worker(name, PROGRAMS[name], cell=cell.name, core=core) as program:
            found[name] = program.run()
        print(f"{name} {found[name]['seconds']:.1f} s", file=sys.stderr, flush=True)
    return found


def judged(cell: Cell, turns: list[dict], names: list[str]) -> dict:
    """What each took, and how right it is."""
    return {
        "ratios": {
            name: {
                of: median(each[name][of] / each[OURS][of] for each in turns)
                for of in ("seconds", "core_seconds")
            }
            for name in names
            if name != OURS
        },
        "programs": {name: summary(cell, [each[name] for each in turns]) for name in names},
        "busy": [each["busy"] for each in turns],
    }


def summary(cell: Cell, found: list[dict]) -> dict:
    last = found[-1]
    return {
        **{
            of: median(each[of] for each in found)
            for of in ("seconds", "core_seconds", "again", "again_core_seconds")
            if of in last
        },
        **{name: last[name] for name in ("hopf", "folds", "stable_cycles", "unstable_cycles")},
        "hopf_error": error(last["hopf"], cell.hopf),
        "fold_error": error(last["folds"], cell.folds),
        "peak_memory": last["peak"],
    }


def error(found: list[float], known: tuple[float, ...]) -> float | None:
    """The largest distance of a known point to the nearest that was found; None: some are not."""
    if len(found) < len(known):
        return None
    return max(min(abs(x - y) for x in found) for y in known)


def is_right(found: dict) -> bool:
    """Whether all Hopf points and folds of cycles are where they should be."""
    hopf, folds = found["hopf_error"], found["fold_error"]
    return hopf is not None and hopf < 1e-6 and folds is not None and folds < 1e-2


if __name__ == "__main__":
    main()

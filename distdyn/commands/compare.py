"""`distdyn compare`: how much two runs differ in the statistics of their spikes.

distdyn compare runs/a runs/b --window 500 10500 --json
mpirun -n 4 distdyn compare runs/a runs/b
"""

import argparse
import json

from distdyn.analysis.statistics import compare
from distdyn.errors import ExitCode
from distdyn.parallel import launch


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add("first", metavar="RUN_A", help="a run directory")
    add("second", metavar="RUN_B", help="another")
    add("--populations", nargs="+", metavar="PATH", help="by default all that both recorded")
    add("--window", nargs=2, type=float, metavar="MS", help="first and last time")
    add("--width", type=float, default=10.0, metavar="MS", help="bins of correlations (default 10)")
    add("--sample", type=int, default=200, metavar="N", help="neurons in pairs (default 200)")
    add("--quiet", action="store_true", help="print nothing but errors and the JSON")
    add("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Compare the distributions of rates, CV and correlations in each population of two runs."""
    found = compare(
        options.first,
        options.second,
        options.populations,
        window=tuple(options.window) if options.window else None,
        width=options.width,
        sample=options.sample,
    )
    if launch.world().rank == 0 and not options.quiet:
        print(found, flush=True)
    if launch.world().rank == 0 and options.json:
        said = {"a": options.first, "b": options.second, "populations": found.to_json()}
        print(json.dumps(said), flush=True)
    return ExitCode.OK

"""`distdyn verify`: whether what runs have written is as it was written.

distdyn verify runs/a
distdyn verify runs/a/checkpoints/step-000000010000 --json
mpirun -n 4 distdyn verify runs/a
"""

import argparse
import json

from distdyn.errors import ExitCode
from distdyn.parallel import launch
from distdyn.units import printable


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add("path", metavar="PATH", help="a checkpoint, a directory of some, a run, or a file of train")
    add("--quiet", action="store_true", help="print nothing but errors and the JSON")
    add("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Look whether checkpoints and recordings are whole; if one is damaged the status is 1."""
    from distdyn.run.verify import verify  # here: it loads the HDF5 library

    world = launch.world()
    found = verify(options.path, world)
    if world.rank == 0 and not options.quiet:
        print(printable("\n".join(map(str, found))), flush=True)
    if world.rank == 0 and options.json:
        fields = [{**one._asdict(), "path": str(one.path)} for one in found]
        is_whole = all(one.fault is None for one in found)
        print(json.dumps({"is_whole": is_whole, "found": fields}), flush=True)
    return ExitCode.OK if all(one.fault is None for one in found) else ExitCode.FAILED

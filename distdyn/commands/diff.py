"""`distdyn diff`: the first spike, or the first number of a state, in which two runs differ.

distdyn diff runs/a runs/b
distdyn diff runs/a/checkpoints/step-000000010000 runs/b/checkpoints/step-000000010000
distdyn diff runs/a/checkpoints/step-000000010000 runs/b        # with the one of its step
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from distdyn.errors import CheckpointError, ExitCode
from distdyn.parallel import launch
from distdyn.run.agreement import agreed
from distdyn.units import printable


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add("first", metavar="A", help="a run directory, or a checkpoint")
    add("second", metavar="B", help="another; a checkpoint and a run are compared at its step")
    add("--quiet", action="store_true", help="print nothing but errors and the JSON")
    add("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Tell the first neuron and step in which two runs differ; if they do the status is 1."""
    world = launch.world()
    with agreed(world):  # one rank looks, and the others wait for it
        found = _difference(options.first, options.second) if world.rank == 0 else None
    if found is not None and not options.quiet:
        print(printable(str(found)), flush=True)
    if found is not None and options.json:
        said = {"a": options.first, "b": options.second, **found.to_json()}
        print(json.dumps(said), flush=True)
    return world.bcast(None if found is None else _code(found.is_same))


def _code(is_same: bool) -> int:
    return int(ExitCode.OK if is_same else ExitCode.FAILED)


def _difference(first: str, second: str) -> Any:
    from distdyn.run import difference as of_runs  # here: they load the HDF5 library
    from distdyn.run.checkpoint import difference as of_states
    from distdyn.run.checkpoint.stored import Stored
    from distdyn.run.checkpoint.writing import MANIFEST
    from distdyn.run.reader import load

    a, b = Path(first), Path(second)
    is_state = {path: os.path.exists(path / MANIFEST) for path in (a, b)}
    if not any(is_state.values()):
        return of_runs.difference(load(a), load(b))
    if not is_state[a]:
        a = _at(a, Stored(b).step)
    elif not is_state[b]:
        b = _at(b, Stored(a).step)
    return of_states.difference(Stored(a), Stored(b))


def _at(run: Path, step: int) -> Path:
    """The checkpoint of a step of a run."""
    from distdyn.run.checkpoint import CHECKPOINTS
    from distdyn.run.checkpoint.writing import kept

    found = dict(kept(run / CHECKPOINTS))
    if step not in found:
        raise CheckpointError(
            f'"{run}" has no checkpoint of step {step}, as the other is; it has those of: '
            f"{', '.join(map(str, sorted(found))) or 'none'}."
        )
    return found[step]

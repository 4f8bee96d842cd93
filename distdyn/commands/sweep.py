"""`distdyn sweep`: a parameter sweep from the command line.

distdyn sweep LIF --grid I_e=0:600:50 --duration 500 --measure rate --out s.h5 --devices 2
distdyn sweep brunel --set n=2500 --grid g=3:8:6 --grid eta=1,2,4 --duration 500 --out s.h5
distdyn sweep --merge --out s.h5                        # after jobs of an array
"""

import argparse
import functools
import json
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from distdyn.analysis.sweep import Sweep, merge, sweep
from distdyn.commands.named import NETWORK, VALUE, assignment, found, recorded
from distdyn.core.ode import ODE
from distdyn.errors import ExitCode, ParameterError
from distdyn.parallel import launch
from distdyn.run.agreement import agreed
from distdyn.run.interrupt import outlive_usr1


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add("system", nargs="?", help=f"a model by name, or {NETWORK}")
    add("--set", action="append", default=[], metavar=VALUE, help="an argument of it")
    add("--grid", action="append", default=[], metavar="NAME=A:B:N", help="or NAME=A,B,...")
    add("--duration", type=float, metavar="MS", help="of model time, to be measured")
    add("--warmup", type=float, default=0.0, metavar="MS", help="run first, not measured")
    add("--dt", type=float, default=0.1, metavar="MS", help="time step (default 0.1)")
    add("--measure", nargs="+", default=["rate"], metavar="NAME", help="or FILE.py:FUNCTION")
    add("--every", type=float, metavar="MS", help="samples that a function of a model is given")
    add("--record", nargs="+", default=["spikes"], metavar="NAME", help="of a network")
    add("--seed", type=int, default=0, metavar="N", help="of all random numbers (default 0)")
    add("--precision", metavar="float32|float64", help="by default 64 of models, 32 of networks")
    add("--devices", metavar="N|auto", help="of each rank, which share the points of a model")
    add("--platform", metavar="cpu|gpu", help="by default that of JAX")
    add("--out", metavar="FILE", help="the table (HDF5); what it holds is not done again")
    add("--overwrite", action="store_true", help="begin anew, whatever OUT holds")
    add("--share", metavar="K/N", help="the K-th of N shares; in a job array that of the job")
    add("--merge", action="store_true", help="only join what jobs have written beside OUT")
    add("--strict", action="store_true", help="end with the first point that fails")
    add("--progress", default="auto", metavar="auto|bar|lines|off", help="on stderr")
    add("--quiet", action="store_true", help="print nothing but errors and the JSON")
    add("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Run a model or a network at many points of its parameters, and measure each."""
    world, began = launch.world(), time.perf_counter()
    outlive_usr1(world)
    with agreed(world):
        arguments, record = dict(map(assignment, options.set)), recorded(options.record)
    table = _merged(options) if options.merge else _swept(options, arguments, record)
    if world.rank == 0 and not options.quiet:
        print(table, flush=True)
    if world.rank == 0 and options.json:
        print(json.dumps(_summary(table, options, time.perf_counter() - began)), flush=True)
    return ExitCode.OK


def _merged(options: argparse.Namespace) -> Sweep:
    if options.out is None:
        raise ParameterError("--merge joins the files beside OUT. Say which: --out FILE.")
    return merge(options.out)


def _swept(options: argparse.Namespace, arguments: dict[str, Any], record: list[Any]) -> Sweep:
    for name in ("system", "duration"):
        if getattr(options, name) is None:
            raise ParameterError(f"sweep: no {name} is given. See distdyn sweep --help.")
    system = found(options.system)
    if isinstance(system, type) and issubclass(system, ODE):
        system = system(**arguments)
    elif arguments:
        system = functools.partial(system, **arguments)
    return sweep(
        system,
        dict(axis(text) for text in options.grid),
        [found(name) if ":" in name else name for name in options.measure],
        duration=options.duration,
        dt=options.dt,
        warmup=options.warmup,
        every=options.every,
        seed=options.seed,
        precision=options.precision,
        record=record,
        devices=options.devices,
        platform=options.platform,
        out=options.out,
        overwrite=options.overwrite,
        strict=options.strict,
        share=_share(options.share),
        progress="off" if options.quiet else options.progress,
    )


def _summary(table: Sweep, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    measures = {
        name: {"min": _number(np.nanmin, column), "max": _number(np.nanmax, column)}
        for name, column in table.values.items()
    }
    known, failed = int(table.is_known.sum()), len(table.reasons)
    return {
        "system": options.system,
        "points": len(table),
        "done": known - failed,
        "failed": failed,
        "waiting": len(table) - known,
        "ranks": launch.world().size,
        "seconds": round(seconds, 3),
        "out": options.out,
        "measures": measures,
        "sha256": table.sha256,
    }


def _number(function: Callable[[Any], Any], column: np.ndarray) -> float | None:
    return float(function(column)) if np.isfinite(column).any() else None


def axis(text: str) -> tuple[str, np.ndarray]:
    """A parameter and its values: `I_e=0:2:50`, both ends included, or `I_e=0,1,2.5`."""
    name, equals, values = text.partition("=")
    try:
        if equals and values.count(":") == 2:
            first, last, n = values.split(":")
            found = np.linspace(float(first), float(last), int(n))
            is_whole = _is_integer(first) and _is_integer(last) and (found == found.round()).all()
            return name, found.astype(np.int64) if is_whole else found
        words = values.split(",")
        if equals and all(map(_is_integer, words)):
            return name, np.array([int(word) for word in words])
        if equals:
            return name, np.array([float(word) for word in words])
    except ValueError:
        pass
    raise ParameterError(
        f"--grid {text} is not understood. Use NAME=FIRST:LAST:NUMBER or NAME=A,B,..., e.g. "
        "--grid I_e=0:2:50."
    )


def _is_integer(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+", text.strip()) is not None


def _share(text: str | None) -> Any:
    if text is None:
        return "auto"
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None:
        raise ParameterError(
            f"--share {text} is not understood. Use K/N, from 0/N on: --share 0/4."
        )
    return int(found[1]), int(found[2])

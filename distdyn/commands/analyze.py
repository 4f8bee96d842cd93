"""`distdyn analyze`: one question to the equations of a model, from the command line.

distdyn analyze FitzHughNagumo --continuation I_e=0:2 --limit-cycles --plot diagram.png
distdyn analyze MorrisLecar --set I_e=60 --fixed-points V=-80:60 w=0:1 --json
distdyn analyze my_model.py:Cell --phase-plane V=-3:3 w=-1:3 --out plane.h5
mpirun -n 4 distdyn analyze HodgkinHuxley --continuation I_e=0:160 E_K=-80:-60
"""

import argparse
import ast
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distdyn.analysis.analyzer import DSAnalyzer
from distdyn.commands.named import NETWORK, VALUE, found, made
from distdyn.errors import ExitCode, ParameterError
from distdyn.parallel import launch
from distdyn.run.agreement import agreed

RANGE = "NAME=A:B"
ALL = ("fixed_points", "phase_plane", "continuation", "lyapunov")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add("model", help=f"a model by name, or {NETWORK}; a function may make it too")
    add("--set", action="append", default=[], metavar=VALUE, help="an argument of it")
    ask = parser.add_mutually_exclusive_group(required=True).add_argument
    ask("--fixed-points", nargs="+", metavar=RANGE, help="all in a box of these variables")
    ask("--phase-plane", nargs="+", metavar=RANGE, help="of two variables, or the line of one")
    ask("--continuation", nargs="+", metavar=RANGE,
        help="rest over a parameter; of two: curves of bifurcations in their plane")  # fmt: skip
    ask("--lyapunov", type=float, metavar="MS", help="exponents of a trajectory of this length")
    add("--limit-cycles", action="store_true", help="with --continuation: cycles over it too")
    add("--box", nargs="+", default=[], metavar=RANGE, help="where to search for rest")
    add("--start", nargs="+", default=[], metavar=VALUE,
        help="a state: that of --lyapunov, or one that goes to a cycle")  # fmt: skip
    add("--fixed", nargs="+", default=[], metavar=VALUE, help="variables held in --phase-plane")
    add("--steady", nargs="+", default=[], metavar="NAME", help="those that follow at once")
    add("--seed", type=int, default=0, metavar="N", help="of what a network draws, and of searches")
    add("--devices", type=int, metavar="N", help="of each rank, which share searches")
    add("--plot", metavar="FILE", help="a picture of the answer")
    add("--out", metavar="FILE", help="all of it (HDF5); cycles beside it, in FILE.cycles.h5")
    add("--quiet", action="store_true", help="print nothing but errors and the JSON")
    add("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Ask the equations of a model: where it rests, how that changes, which cycles there are."""
    world, began = launch.world(), time.perf_counter()
    with agreed(world):
        _check(options)
        analyzer = DSAnalyzer(
            made(options.model, found(options.model), options.set), seed=options.seed
        )
    answers = _answers(analyzer, options)
    with agreed(world):
        if world.rank == 0:
            _keep(answers, options)
    if world.rank == 0 and not options.quiet:
        print(*answers.values(), sep="\n", flush=True)
    if world.rank == 0 and options.json:
        said = _summary(answers, options, time.perf_counter() - began)
        print(json.dumps(said), flush=True)
    return ExitCode.OK


def _check(options: argparse.Namespace) -> None:
    """What options do not fit together, before anything is computed."""
    asked = next(name for name in ALL if getattr(options, name) is not None)
    for name, fits in (
        ("limit_cycles", ("continuation",)), ("box", ("continuation",)),
        ("start", ("continuation", "lyapunov")), ("fixed", ("phase_plane",)),
        ("steady", ("phase_plane",)), ("devices", ("fixed_points", "phase_plane")),
    ):  # fmt: skip
        if getattr(options, name) and asked not in fits:
            where = " or ".join(_option(each) for each in fits)
            raise ParameterError(f"{_option(name)} belongs to {where}, not to {_option(asked)}.")
    if asked == "continuation":
        if len(options.continuation) > 2 or (len(options.continuation) == 2 and options.start):
            raise ParameterError(
                f"--continuation {' '.join(options.continuation)}: give one parameter, or two "
                "without --start: --continuation I_e=0:2."
            )
        if len(options.continuation) == 2 and options.limit_cycles:
            raise ParameterError("--limit-cycles goes over one parameter: --continuation I_e=0:2.")
        if options.start and not options.limit_cycles:
            raise ParameterError("--start is where a cycle is reached from: add --limit-cycles.")


def _answers(analyzer: DSAnalyzer, options: argparse.Namespace) -> dict[str, Any]:
    """The answer by the name of the question; of a continuation also its cycles. Collective."""
    seed, devices = options.seed, options.devices
    if options.fixed_points is not None:
        box = _ranges("--fixed-points", options.fixed_points)
        return {"fixed_points": analyzer.fixed_points(box, seed=seed, devices=devices)}
    if options.phase_plane is not None:
        box, fixed = _ranges("--phase-plane", options.phase_plane), _values(options.fixed)
        plane = analyzer.phase_plane(box=box, fixed=fixed, steady=options.steady, devices=devices)
        return {"phase_plane": plane}
    start = _values(options.start) if options.start else None
    if options.lyapunov is not None:
        return {"lyapunov": analyzer.lyapunov_spectrum(options.lyapunov, start=start)}
    ranges = list(_ranges("--continuation", options.continuation).items())
    search = {"box": _ranges("--box", options.box) if options.box else None, "seed": seed}
    if len(ranges) == 2:
        return {"continuation": analyzer.continuation2(*ranges, **search)}
    (parameter,) = ranges
    rest = analyzer.continuation(*parameter, **search)
    if not options.limit_cycles:
        return {"continuation": rest}
    given = {"points": rest.points("H")} if start is None else {"start": start}
    return {"continuation": rest, "limit_cycles": analyzer.limit_cycles(*parameter, **given)}


def _keep(answers: Mapping[str, Any], options: argparse.Namespace) -> None:
    first, *others = answers.values()
    if options.out:
        first.save(options.out)
        for cycles in others:
            cycles.save(cycles_beside(options.out))
    if options.plot:
        figure = first.plot()
        for cycles in others:
            cycles.plot(ax=figure.axes[0])
        try:
            figure.savefig(options.plot)
        except (OSError, ValueError) as error:
            raise ParameterError(
                f"--plot {options.plot}: it cannot be written: {error}. Give a file such as a.png "
                "in a directory that exists."
            ) from error


def cycles_beside(out: str) -> Path:
    """The file of the cycles: `diagram.cycles.h5` of `diagram.h5`."""
    path = Path(out)
    return path.with_name(f"{path.stem}.cycles{path.suffix}")


def _summary(
    answers: Mapping[str, Any], options: argparse.Namespace, seconds: float
) -> dict[str, Any]:
    found = {name: _told(name, answer) for name, answer in answers.items()}
    return {
        "model": options.model,
        **found,
        "ranks": launch.world().size,
        "seconds": round(seconds, 3),
        "out": options.out,
        "plot": options.plot,
    }


def _told(question: str, answer: Any) -> Any:
    """An answer in numbers and words for JSON."""
    if question == "lyapunov":
        return {
            "exponents": answer.exponents.tolist(),
            "error": answer.error.tolist(),
            "kaplan_yorke": _number(answer.kaplan_yorke),
        }
    if question in ("continuation", "limit_cycles"):
        return {
            "branches": [{"points": len(b), "ends": list(b.ends)} for b in answer],
            "special": [_point(point) for point in answer.points()],
        }
    points = answer.fixed_points if question == "phase_plane" else answer
    return [
        {
            "state": _numbers({name: value[k] for name, value in points.state.items()}),
            "stability": points.stability[k],
            "eigenvalues": [[z.real, z.imag] for z in points.eigenvalues[k].tolist()],
        }
        for k in range(len(points))
    ]


def _point(point: Any) -> dict[str, Any]:
    said = {
        "kind": point.kind,
        "value": np.asarray(point.value).tolist(),
        "state": _numbers(point.state),
    }
    for name in ("omega", "period", "coefficients"):
        if getattr(point, name, None):
            said[name] = getattr(point, name)
    return said


def _numbers(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in state.items()}


def _number(x: float) -> float | None:
    return x if np.isfinite(x) else None


def _ranges(option: str, words: Iterable[str]) -> dict[str, tuple[float, float]]:
    """`V=-3:3 w=-1:3` by name."""
    found = {}
    for word in words:
        name, equals, ends = word.partition("=")
        try:
            low, high = map(float, ends.split(":"))
        except ValueError:
            equals = ""
        if not equals or not name or name in found:
            raise ParameterError(
                f"{option} {word} is not understood. Use {RANGE} once per name, e.g. {option} "
                "I_e=0:2."
            )
        found[name] = low, high
    return found


def _values(words: Iterable[str]) -> dict[str, Any]:
    """`V=-60 w=0.1` by name; arrays as lists."""
    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        try:
            value = np.asarray(ast.literal_eval(text), np.float64)
        except (ValueError, SyntaxError, TypeError):
            equals = ""
        if not equals or not name:
            raise ParameterError(f"{word} is not understood. Use {VALUE}, e.g. V=-60.")
        found[name] = value
    return found


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"

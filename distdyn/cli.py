"""The command line.

    distdyn run microcircuit --set scale=0.1 --duration 1000 --out runs/a
    distdyn run my_net.py:Balanced --set n=8000 --duration 1000 --record E.spikes
    distdyn run their_package.networks:Balanced --duration 1000
    distdyn plan microcircuit --ranks 64 --devices 4 --nodes 8
    distdyn sbatch microcircuit --duration 1000 --nodes 2 --ranks-per-node 8
    distdyn train yinyang --seed 1 --devices 2 --out trained.h5
    distdyn train yinyang --seed 1 --checkpoint runs/a.h5
    distdyn sweep LIF --grid I_e=0:600:50 --duration 500 --measure rate --out s.h5
    distdyn analyze FitzHughNagumo --continuation I_e=0:2 --limit-cycles --plot diagram.png
    distdyn compare runs/a runs/b
    distdyn diff runs/a runs/b
    distdyn verify runs/a
    distdyn plot runs/a
    distdyn describe AdEx
    distdyn doctor

Wrong input ends with exit status 2 and one message; a broken installation or run with 1.
"""

import argparse
import ast
import importlib
import importlib.util
import inspect
import json
import math
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from distdyn import sbatch
from distdyn.commands import analyze, compare, diff, sweep, verify
from distdyn.errors import (
    DistDynError,
    ExitCode,
    NameLookupError,
    NetworkError,
    ParameterError,
    Stopped,
    suggestion,
)
from distdyn.jobscript import script
from distdyn.network.network import Network, graph
from distdyn.parallel import launch
from distdyn.parallel.launch.leave import is_echo
from distdyn.run import report
from distdyn.run.agreement import agreed
from distdyn.run.interrupt import Notice
from distdyn.run.provenance import peak_rss
from distdyn.run.record import every
from distdyn.run.recording import Recording
from distdyn.run.runner import DSRunner
from distdyn.units import printable

VARIABLE = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
NETWORK = "a published network by name, FILE.py:CLASS, or PACKAGE.MODULE:CLASS of what is installed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words, argparse.Namespace(words=words))
    try:
        return options.command(options)
    except DistDynError as error:
        return _end(ExitCode.WRONG_INPUT, f"distdyn: {type(error).__name__}: {error}", error)
    except BrokenPipeError:  # whoever read our output wants no more of it, as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KeyboardInterrupt as error:
        return _end(ExitCode.INTERRUPTED, "distdyn: interrupted", error)


def _end(code: int, message: str, error: BaseException) -> int:
    """Say why this process ends; of several ranks that end for one reason, one says it."""
    message = printable(message)
    if launch.world.cache_info().currsize and launch.world().size > 1:
        return launch.world().leave(code, message, key=str(error), is_echo=is_echo(error))
    print(message, file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distdyn", description="Simulate, train and analyse brain dynamics."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="simulate a network", description=_run.__doc__))
    _add_train(commands.add_parser("train", help="learn a task", description=_train.__doc__))
    _add_plan(commands.add_parser("plan", help="tell memory, traffic and balance before a run"))
    batch = commands.add_parser(
        "sbatch", help="write a run as a job script for Slurm", allow_abbrev=False
    )
    _add_run(batch)
    sbatch.add_options(batch)
    batch.set_defaults(command=_sbatch)
    grid = commands.add_parser("sweep", help="vary parameters", description=_sweep.__doc__)
    sweep.add_options(grid, NETWORK)
    grid.set_defaults(command=_sweep)
    ask = commands.add_parser(
        "analyze", help="find where a model rests, or cycles", description=_analyze.__doc__
    )
    analyze.add_options(ask, NETWORK)
    ask.set_defaults(command=_analyze)
    two = commands.add_parser("compare", help="tell how two runs differ")
    compare.add_options(two)
    verify.add_options(commands.add_parser("verify", help="look whether a run is whole"))
    diff.add_options(commands.add_parser("diff", help="tell where two runs begin to differ"))
    plot = commands.add_parser(
        "plot", help="draw a run: raster and rates", description=_plot.__doc__
    )
    plot.add_argument("directory", help="a run directory")
    plot.add_argument("-o", "--output", help="the picture; DIRECTORY/raster.png by default")
    plot.add_argument("--window", nargs=2, type=float, metavar="MS", help="first and last time")
    plot.set_defaults(command=_plot)
    tell = commands.add_parser(
        "describe", help="print equations, parameters and source", description=_describe.__doc__
    )
    tell.add_argument(
        "name",
        nargs="?",
        help="a model, a published network, FILE.py:CLASS or PACKAGE.MODULE:CLASS; all by default",
    )
    tell.add_argument("--markdown", action="store_true", help="for a page")
    tell.set_defaults(command=_describe)
    doctor = commands.add_parser("doctor", help="check that everything needed works")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("network", help=NETWORK)
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of the network",
    )
    run.add_argument(
        "--duration", type=float, required=True, metavar="MS", help="of model time, to be recorded"
    )
    run.add_argument(
        "--warmup", type=float, default=0.0, metavar="MS", help="run first, outside all results"
    )
    run.add_argument("--dt", type=float, default=0.1, metavar="MS", help="time step (default 0.1)")
    run.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of all random numbers (default 0)"
    )
    run.add_argument("--out", metavar="DIRECTORY", help="where spikes, traces and run.json go")
    run.add_argument("--overwrite", action="store_true", help="replace a run that OUT holds")
    run.add_argument(
        "--checkpoint-every",
        metavar="TIME",
        help="write a checkpoint to OUT: 50ms (of the model), or 30s, 10min, 1h (of the wall)",
    )
    run.add_argument(
        "--keep", type=int, default=3, metavar="N", help="how many checkpoints stay (default 3)"
    )
    run.add_argument(
        "--resume",
        default="never",
        metavar="auto|CHECKPOINT",
        help="go on: from the newest checkpoint in OUT if there is one, or from this one",
    )
    run.add_argument(
        "--max-wall", metavar="TIME", help="stop with a checkpoint after 90s, 50min or 23h"
    )
    run.add_argument(
        "--record",
        nargs="+",
        default=["spikes"],
        metavar="NAME",
        help='"E.spikes", "E.V@1" (every 1 ms), "spikes" (all; the default) or "none"',
    )
    run.add_argument(
        "--no-merge",
        dest="merge",
        action="store_false",
        help="leave the files of the ranks as they are, and one that shows them",
    )
    run.add_argument(
        "--devices", metavar="N|auto", help="of each rank, a part of the network on each"
    )
    run.add_argument("--platform", metavar="cpu|gpu", help="by default that of JAX")
    run.add_argument(
        "--precision",
        default="float32",
        metavar="float32|float64",
        help="of states (default float32)",
    )
    run.add_argument(
        "--progress", default="auto", metavar="auto|bar|lines|off", help="how to tell how far it is"
    )
    run.add_argument(
        "--overlap", action="store_true", help="compute while spikes travel between nodes"
    )
    run.add_argument(
        "--share-gpu", action="store_true", help="let ranks have the same GPU if they are more"
    )
    run.add_argument(
        "--watchdog",
        type=float,
        metavar="S",
        help="seconds after which a job whose ranks make no progress is ended (default 60)",
    )
    run.add_argument(
        "--max-rate",
        type=float,
        metavar="HZ",
        help="end the run if a population fires faster, mean over its cells and 20 ms",
    )
    run.add_argument(
        "--decomposition", metavar="FILE", help="who owns which neurons, from plan --save FILE"
    )
    run.add_argument("--quiet", action="store_true", help="print nothing but errors and the JSON")
    run.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    run.set_defaults(command=_run)


def _add_train(train: argparse.ArgumentParser) -> None:
    train.add_argument("task", help="a task by name, as yinyang")
    train.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers")
    train.add_argument("--epochs", type=int, metavar="N", help="as many as it takes by default")
    train.add_argument("--devices", metavar="N", help='of each rank, or "auto"')
    train.add_argument(
        "--mesh", nargs=2, type=int, metavar=("DATA", "NEURON"),
        help="how many devices, of a rank or of all, share the trials, and how many the neurons",
    )  # fmt: skip
    train.add_argument("--platform", choices=("cpu", "gpu"))
    train.add_argument("--precision", choices=("float32", "float64"), default="float32")
    train.add_argument("--out", metavar="FILE", help="where what was trained goes (HDF5)")
    train.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="keep the training there, and go on from it if it is there",
    )
    train.add_argument(
        "--checkpoint-every", metavar="S", help="30s, 10min or 1h; after every epoch by default"
    )
    train.add_argument("--resume", metavar="FILE", help="begin with what a training has written")
    train.add_argument("--quiet", action="store_true", help="only what was asked for")
    train.add_argument("--json", action="store_true", help="the last line is a JSON object")
    train.add_argument(
        "--progress", choices=("auto", "bar", "lines", "off"), default="auto", help="on stderr"
    )
    train.set_defaults(command=_train)


def _train(options: argparse.Namespace) -> int:
    """Train the network of a task and say how well it does on data of which it has seen none."""
    world = launch.world()
    if options.checkpoint is None:
        _survive_usr1(world)
        return _trained(options, world)
    with Notice():  # from now on: building takes a while
        return _trained(options, world)


def _trained(options: argparse.Namespace, world: launch.World) -> int:
    from distdyn.train import recipes

    with agreed(world):
        every = options.checkpoint_every and _seconds(
            "--checkpoint-every", options.checkpoint_every
        )
        recipe = recipes.named(options.task)(seed=options.seed)
    devices = options.devices
    trainer = recipe.trainer(
        devices=int(devices) if devices and devices.isdigit() else devices,
        mesh=tuple(options.mesh) if options.mesh else None,
        platform=options.platform,
        precision=options.precision,
        progress="off" if options.quiet else options.progress,
    )
    if options.resume:
        trainer.load(options.resume)
    epochs = recipe.epochs if options.epochs is None else options.epochs
    history = trainer.fit(
        recipe.task,
        max(0, epochs - trainer.epoch),
        checkpoint=options.checkpoint,
        checkpoint_every=every,
    )
    if options.out:
        trainer.save(options.out)
    score = trainer.evaluate(recipe.testing)
    result = {
        "task": options.task,
        "seed": options.seed,
        "ranks": world.size,
        "devices": len(trainer.devices),
        "epochs": trainer.epoch,
        "updates": trainer.updates,
        "loss": score.loss,
        "accuracy": score.accuracy,
        "seconds": sum(history.seconds),
        "weights_sha256": trainer.digest,
    }
    if world.rank == 0 and not options.quiet:
        print(report.trained(result), flush=True)
    if world.rank == 0 and options.json:
        print(json.dumps(result), flush=True)
    return ExitCode.OK


def _seconds(option: str, text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|min|h)", text)
    if found is None:
        raise ParameterError(f"{option} {text} is not a time. Use 30s, 10min or 1h.")
    return float(found[1]) * {"s": 1.0, "min": 60.0, "h": 3600.0}[found[2]]


def _add_plan(plan: argparse.ArgumentParser) -> None:
    plan.description = _plan.__doc__
    plan.add_argument("network", help=NETWORK)
    plan.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of the network",
    )
    plan.add_argument(
        "--ranks", type=int, default=1, metavar="R", help="MPI ranks in all (default 1)"
    )
    plan.add_argument(
        "--devices", type=int, default=1, metavar="D", help="of each rank (default 1)"
    )
    where = plan.add_mutually_exclusive_group()
    where.add_argument("--nodes", type=int, metavar="N", help="that share the ranks (default 1)")
    where.add_argument("--ranks-per-node", type=int, metavar="K", help="in place of --nodes")
    plan.add_argument("--dt", type=float, default=0.1, metavar="MS", help="time step (default 0.1)")
    plan.add_argument(
        "--precision",
        default="float32",
        metavar="float32|float64",
        help="of states (default float32)",
    )
    plan.add_argument(
        "--rate",
        type=float,
        default=8.0,
        metavar="HZ",
        help="at which cells fire, a guess (default 8)",
    )
    plan.add_argument(
        "--method",
        default="round_robin",
        metavar="NAME",
        help="round_robin (what run does), contiguous, weighted, by_area or multilevel",
    )
    plan.add_argument(
        "--memory-per-rank", metavar="SIZE", help="such as 64G; this machine's by default"
    )
    plan.add_argument(
        "--save", metavar="FILE", help="keep who owns what, for run --decomposition FILE"
    )
    plan.add_argument("--json", action="store_true", help="print the plan as one line of JSON")
    plan.set_defaults(command=_plan)


def _version() -> str:
    import distdyn

    return f"distdyn {distdyn.__version__}"


# --- run -----------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    """Simulate a network and say how fast it ran and how fast its neurons fired."""
    world = launch.world()
    _sign_warnings(world)
    if options.out is None:
        _survive_usr1(world)
        return _ran(options, world)
    with Notice(signal.SIGUSR1, signal.SIGTERM):  # from now on: building takes a while
        try:
            return _ran(options, world)
        except Stopped as stopped:
            if world.rank == 0 and not options.quiet:
                print("distdyn: stopped at a checkpoint; --resume auto goes on", file=sys.stderr)
            return int(stopped.code or 0)


def _ran(options: argparse.Namespace, world: launch.World) -> int:
    with agreed(world):
        network = network_of(options.network, options.set)
        record = _record(options.record)
    devices = options.devices
    runner = DSRunner(
        network,
        dt=options.dt,
        seed=options.seed,
        record=record,
        devices=int(devices) if devices and devices.isdigit() else devices,
        platform=options.platform,
        precision=options.precision,
        out=options.out,
        overwrite=options.overwrite,
        merge=options.merge,
        checkpoint_every=options.checkpoint_every,
        keep=options.keep,
        resume=options.resume,
        max_wall=options.max_wall,
        max_rate=options.max_rate,
        progress="off" if options.quiet else options.progress,
        watchdog=options.watchdog,
        overlap=options.overlap,
        share_gpu=options.share_gpu,
        decomposition=options.decomposition,
    )
    speaks = world.rank == 0
    with runner:
        if speaks and not options.quiet:
            print(runner.banner(), flush=True)
        runner.warm_up(options.warmup)
        recording = runner.run(options.duration)
        phases = runner.all_phases()
        result = summary(runner, recording, options, phases)
        runner.update_provenance(**result)
    if speaks and not options.quiet:
        print(report.results(result))
        print(report.phase_table(phases), flush=True)
    if speaks and options.json:
        print(json.dumps(result), flush=True)
    return ExitCode.OK


def summary(
    runner: DSRunner,
    recording: Recording,
    options: argparse.Namespace,
    phases: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """What `--json` prints; `rtf` leaves out build, compilation and warm-up.

    Phases are those of the rank that took longest. Collective.

    Args:
        runner: has run.
        recording: of the run.
        options: of the command.
        phases: seconds of each rank in each phase.
    """
    longest = report.most(phases)
    is_silent = bool(recording.header.spiking) and not recording.header.spikes
    return {
        "network": options.network,
        "neurons": runner.graph.size,
        "synapses": runner.synapses,
        "ranks": runner.world.size,
        "devices": len(runner.devices),
        "dt": runner.dt,
        "duration": recording.duration,
        "seed": options.seed,
        "rtf": longest["run"] / (recording.duration * 1e-3) if recording.duration else None,
        "phases": {name: round(seconds, 6) for name, seconds in longest.items()},
        "bytes_per_synapse": runner.bytes_per_synapse,
        "peak_rss": runner.world.sum(peak_rss()),
        "spikes": None if is_silent else recording.counts(),
        "rates": None if is_silent else recording.rates() if recording.duration else {},
        "spikes_sha256": recording.spikes_sha256(),
        "counters": runner.counters(),
    }


def _survive_usr1(world: launch.World) -> None:
    """Go on when a job script tells that its time limit is near; a process would die of that."""

    def note(*_: object) -> None:
        if world.rank == 0:
            print("distdyn: SIGUSR1: the run goes on, without a checkpoint", file=sys.stderr)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, note)


def _sign_warnings(world: launch.World) -> None:
    """Let a warning say which rank it is of."""
    if world.size > 1:
        plain = warnings.formatwarning
        warnings.formatwarning = lambda *a, **k: f"[r{world.rank}] {plain(*a, **k)}"


def _record(names: Sequence[str]) -> list[Any]:
    if list(names) == ["none"]:
        return []
    record: list[Any] = []
    for name in names:
        variable, at, interval = name.partition("@")
        if at:
            try:
                record.append(every(float(interval), variable))
            except ValueError as error:
                raise ParameterError(
                    f'--record {name}: "{interval}" is not an interval in ms. Use {variable}@1.'
                ) from error
        else:
            record.append(name)
    return record


def network_of(name: str, assignments: Sequence[str] = ()) -> Network:
    """A published network by name, or a class of one's own, with `NAME=VALUE` arguments."""
    factory = _from_user(name) if ":" in name or name.endswith(".py") else _from_zoo(name)
    found = _made(name, factory, assignments)
    if not isinstance(found, Network):
        raise NetworkError(f'"{name}" makes a {type(found).__name__}, no network.')
    return found


def _made(name: str, factory: Any, assignments: Sequence[str]) -> Any:
    """What a class or function makes of `NAME=VALUE` arguments."""
    arguments: dict[str, Any] = {}
    for key, value in map(_assignment, assignments):
        if key in arguments:
            raise ParameterError(f"--set {key} is given twice. Give it once.")
        arguments[key] = value
    known = _parameters(name, factory)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    for key in arguments:
        if key not in known and not takes_any:
            raise NameLookupError(
                f'{name} has no argument "{key}" (--set). {suggestion(key, known)}'
            )
    needed = (k for k, p in known.items() if p.default is p.empty and p.kind not in VARIABLE)
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise ParameterError(f"{name} needs {', '.join(missing)}. Use --set {missing[0]}=VALUE.")
    try:
        return factory(**arguments)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, DistDynError) or factory.__module__.partition(".")[0] != "distdyn":
            raise  # of a user's own network the place counts
        said = ", ".join(assignments)
        raise ParameterError(f"{name} takes no {said}: {error}. See distdyn describe.") from error


def _parameters(name: str, factory: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except ValueError:  # of some that are not written in Python
        raise NetworkError(f'"{name}" is no network.') from None


def _describe(options: argparse.Namespace) -> int:
    """Print what a model is: equations, parameters with units and defaults, state, source."""
    from distdyn import catalogue
    from distdyn.core.describe import describe

    name, families = options.name, catalogue.models()
    if name is None:
        lines = [
            f"{module.rpartition('.')[2]}: {', '.join(names)}" for module, names in families.items()
        ]
        print(catalogue.page() if options.markdown else "\n".join([*lines, ""]), end="")
        return ExitCode.OK
    description = describe(_found(name))
    print(description.markdown() if options.markdown else description)
    return ExitCode.OK


def _found(name: str) -> Any:
    """A model or a published network by name, or a class of one's own."""
    from distdyn import catalogue
    from distdyn.zoo import CLASSES

    if ":" in name or name.endswith(".py"):
        return _from_user(name)
    if name in CLASSES:
        return _from_zoo(name)
    known = {name: model for names in catalogue.models().values() for name, model in names.items()}
    if name not in known:
        raise NameLookupError(f'There is no "{name}". {suggestion(name, [*known, *CLASSES])}')
    return known[name]


def _from_zoo(name: str) -> Any:
    from distdyn.zoo import by_name

    return by_name(name)


def _from_user(text: str) -> Any:
    """A class of a file, `FILE.py:CLASS`, or of an installed package, `PACKAGE.MODULE:CLASS`."""
    place, _, name = text.rpartition(":") if ":" in text else (text, "", "")
    is_module = not place.endswith(".py") and all(map(str.isidentifier, place.split(".")))
    module = _module(text, place) if is_module else _file(text, place)
    top = module.__name__.partition(".")[0]  # a package may say in one module what another defines
    classes = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type)
        and issubclass(value, Network)
        and value.__module__.partition(".")[0] == top
    }
    if not name and len(classes) == 1:
        return next(iter(classes.values()))
    found = getattr(module, name, None) if name else None
    if not callable(found):
        raise NameLookupError(
            f'network "{text}": "{place}" has no network "{name}". {suggestion(name, classes)}'
        )
    return found


def _module(text: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise NetworkError(
                f'network "{text}": there is no module "{missing}". Install its package into the '
                f"environment of {sys.executable}, or use FILE.py:CLASS."
            ) from error
        raise NetworkError(
            f'network "{text}": "{name}" cannot be imported: {error}. Make `import {name}` work.'
        ) from error


def _file(text: str, file: str) -> ModuleType:
    path = Path(file)
    if not path.is_file():
        raise NetworkError(
            f'network "{text}": there is no file "{file}". Use FILE.py:CLASS, or '
            "PACKAGE.MODULE:CLASS."
        )
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise NetworkError(f'network "{text}": "{file}" is not a Python file. Use FILE.py:CLASS.')
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise NetworkError(f'network "{text}": "{file}" cannot be read: {error}.') from error
    return module


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ParameterError(f"--set {text}: use NAME=VALUE, e.g. --set scale=0.1.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):  # of what is nested too deep
        return name, value


# --- plan ----------------------------------------------------------------------------------------


def _plan(options: argparse.Namespace) -> int:
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
    return 0


# --- sweep, sbatch, plot, doctor -----------------------------------------------------------------


def _sweep(options: argparse.Namespace) -> int:
    """Run a model or a network at many points of its parameters, and measure each."""
    world = launch.world()
    _survive_usr1(world)
    with agreed(world):
        arguments, record = dict(map(_assignment, options.set)), _record(options.record)
    return sweep.run(options, _found, arguments, record)


def _analyze(options: argparse.Namespace) -> int:
    """Ask the equations of a model: where it rests, how that changes, which cycles there are."""
    return analyze.run(options, lambda: _made(options.model, _found(options.model), options.set))


def _sbatch(options: argparse.Namespace) -> int:
    """Write the job script of a run, with the memory and the time that it is expected to need."""
    job = sbatch.job_of(options, sbatch.run_words(options.words[1:]))
    plan = sbatch.plan_of(job, graph(network_of(options.network, options.set)), options)
    sbatch.write(script(sbatch.with_needs(job, plan, options)), options.output)
    return 0


def _plot(options: argparse.Namespace) -> int:
    """Draw the spikes, rates and activity of a run."""
    from distdyn.plot import plot_run

    window = tuple(options.window) if options.window else None
    print(plot_run(options.directory, options.output, window=window))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    """Look whether everything that is needed works."""
    from distdyn.doctor import examine

    return examine()

"""The command line.

    distdyn run microcircuit --set scale=0.1 --duration 1000 --out runs/a
    distdyn run my_net.py:Balanced --set n=8000 --duration 1000 --record E.spikes
    distdyn plot runs/a
    distdyn doctor

Wrong input ends with exit status 2 and one message; a broken installation or run with 1.
"""

import argparse
import ast
import importlib.util
import inspect
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distdyn.errors import DistDynError, NameLookupError, NetworkError, ParameterError, suggestion
from distdyn.network.network import Network
from distdyn.run.provenance import peak_rss
from distdyn.run.record import every
from distdyn.run.recording import Recording
from distdyn.run.runner import DSRunner


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except DistDynError as error:
        print(f"distdyn: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("distdyn: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="distdyn", description="Simulate, train and analyse brain dynamics."
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="simulate a network", description=_run.__doc__))
    plot = commands.add_parser(
        "plot", help="draw a run: raster and rates", description=_plot.__doc__
    )
    plot.add_argument("directory", help="a run directory")
    plot.add_argument("-o", "--output", help="the picture; DIRECTORY/raster.png by default")
    plot.add_argument("--window", nargs=2, type=float, metavar="MS", help="first and last time")
    plot.set_defaults(command=_plot)
    doctor = commands.add_parser("doctor", help="look whether everything that is needed works")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("network", help="a published network by name, or FILE.py:CLASS")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument of the network",
    )
    run.add_argument("--duration", type=float, required=True, metavar="MS")
    run.add_argument(
        "--warmup", type=float, default=0.0, metavar="MS", help="run first, outside all results"
    )
    run.add_argument("--dt", type=float, default=0.1, metavar="MS")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--out", metavar="DIRECTORY", help="where spikes and run.json are written")
    run.add_argument("--overwrite", action="store_true", help="replace a run that OUT holds")
    run.add_argument(
        "--record",
        nargs="+",
        default=["spikes"],
        metavar="NAME",
        help='"E.spikes", "E.V@1" (every 1 ms), "spikes" (all; the default) or "none"',
    )
    run.add_argument("--devices", metavar="N", help="how many local devices")
    run.add_argument("--platform", metavar="cpu|gpu")
    run.add_argument("--precision", default="float32", metavar="float32|float64")
    run.add_argument("--progress", default="auto", metavar="auto|bar|lines|off")
    run.add_argument("--quiet", action="store_true", help="print nothing but errors and the JSON")
    run.add_argument("--json", action="store_true", help="print the result as one line of JSON")
    run.set_defaults(command=_run)


def _version() -> str:
    import distdyn

    return f"distdyn {distdyn.__version__}"


# --- run -----------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> int:
    """Simulate a network and say how fast it ran and how fast its neurons fired."""
    network = network_of(options.network, options.set)
    devices = options.devices
    runner = DSRunner(
        network,
        dt=options.dt,
        seed=options.seed,
        record=_record(options.record),
        devices=int(devices) if devices and devices.isdigit() else devices,
        platform=options.platform,
        precision=options.precision,
        out=options.out,
        overwrite=options.overwrite,
        progress="off" if options.quiet else options.progress,
    )
    with runner:
        if not options.quiet:
            print(runner, flush=True)
        runner.warm_up(options.warmup)
        recording = runner.run(options.duration)
        result = summary(runner, recording, options)
        runner.update_provenance(**result)
    if not options.quiet:
        print(_report(result))
    if options.json:
        print(json.dumps(result), flush=True)
    return 0


def summary(runner: DSRunner, recording: Recording, options: argparse.Namespace) -> dict[str, Any]:
    """What `--json` prints; `rtf` leaves out build, compilation and warm-up."""
    return {
        "network": options.network,
        "neurons": runner.graph.size,
        "synapses": runner.synapses,
        "ranks": 1,
        "devices": 1,
        "dt": runner.dt,
        "duration": recording.duration,
        "seed": options.seed,
        "rtf": runner.phases["run"] / (recording.duration * 1e-3) if recording.duration else None,
        "phases": {name: round(seconds, 6) for name, seconds in runner.phases.items()},
        "bytes_per_synapse": runner.bytes_per_synapse,
        "peak_rss": peak_rss(),
        "spikes": recording.counts(),
        "rates": recording.rates() if recording.duration else {},
        "spikes_sha256": recording.spikes_sha256(),
    }


def _report(result: dict[str, Any]) -> str:
    lines = [
        f"{result['duration']:g} ms in {result['phases']['run']:.2f} s"
        + (f": real-time factor {result['rtf']:.3g}" if result["rtf"] is not None else "")
    ]
    lines += [
        f"  {path:16} {result['spikes'][path]:10,} spikes {rate:9.3f} Hz"
        for path, rate in result["rates"].items()
    ]
    return "\n".join(lines)


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
    """A published network by name, or a class of a file, with `NAME=VALUE` arguments."""
    factory = _from_file(name) if ":" in name or name.endswith(".py") else _from_zoo(name)
    arguments = dict(_assignment(text) for text in assignments)
    known = inspect.signature(factory).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values())
    for key in arguments:
        if key not in known and not takes_any:
            raise NameLookupError(
                f'{name} has no argument "{key}" (--set). {suggestion(key, known)}'
            )
    return factory(**arguments)


def _from_zoo(name: str) -> Any:
    from distdyn.zoo import by_name

    return by_name(name)


def _from_file(text: str) -> Any:
    file, _, name = text.rpartition(":") if ":" in text else (text, "", "")
    path = Path(file)
    if not path.is_file():
        raise NetworkError(f'network "{text}": there is no file "{file}". Use FILE.py:CLASS.')
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise NetworkError(f'network "{text}": "{file}" is not a Python file. Use FILE.py:CLASS.')
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    classes = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Network) and value.__module__ == path.stem
    }
    if not name and len(classes) == 1:
        return next(iter(classes.values()))
    found = getattr(module, name, None) if name else None
    if not callable(found):
        raise NameLookupError(
            f'network "{text}": "{file}" has no network "{name}". {suggestion(name, classes)}'
        )
    return found


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ParameterError(f"--set {text}: use NAME=VALUE, e.g. --set scale=0.1.")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


# --- plot, doctor --------------------------------------------------------------------------------


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

"""`distdyn run`: simulate a network.

distdyn run microcircuit --set scale=0.1 --duration 1000 --out runs/a
distdyn run my_net.py:Balanced --set n=8000 --duration 1000 --record E.spikes
mpirun -n 2 distdyn run microcircuit --duration 1000 --out runs/b --checkpoint-every 10min
"""

import argparse
import json
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from distdyn.commands.named import add_network, network_of, recorded
from distdyn.errors import ExitCode, Stopped
from distdyn.parallel import launch
from distdyn.run import report
from distdyn.run.agreement import agreed
from distdyn.run.interrupt import Notice, outlive_usr1
from distdyn.run.provenance import peak_rss
from distdyn.run.recording import Recording
from distdyn.run.runner import DSRunner


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add_network(parser)
    add("--duration", type=float, required=True, metavar="MS", help="of model time, to be recorded")
    add("--warmup", type=float, default=0.0, metavar="MS", help="run first, outside all results")
    add("--dt", type=float, default=0.1, metavar="MS", help="time step (default 0.1)")
    add("--seed", type=int, default=0, metavar="N", help="of all random numbers (default 0)")
    add("--out", metavar="DIRECTORY", help="where spikes, traces and run.json go")
    add("--overwrite", action="store_true", help="replace a run that OUT holds")
    add(
        "--checkpoint-every",
        metavar="TIME",
        help="write a checkpoint to OUT: 50ms (of the model), or 30s, 10min, 1h (of the wall)",
    )
    add("--keep", type=int, default=3, metavar="N", help="how many checkpoints stay (default 3)")
    add(
        "--resume",
        default="never",
        metavar="auto|CHECKPOINT",
        help="go on: from the newest checkpoint in OUT if there is one, or from this one",
    )
    add("--max-wall", metavar="TIME", help="stop with a checkpoint after 90s, 50min or 23h")
    add(
        "--record",
        nargs="+",
        default=["spikes"],
        metavar="NAME",
        help='"E.spikes", "E.V@1" (every 1 ms), "spikes" (all; the default) or "none"',
    )
    add(
        "--no-merge",
        dest="merge",
        action="store_false",
        help="leave the files of the ranks as they are, and one that shows them",
    )
    add("--devices", metavar="N|auto", help="of each rank, a part of the network on each")
    add("--platform", metavar="cpu|gpu", help="by default that of JAX")
    add(
        "--precision",
        default="float32",
        metavar="float32|float64",
        help="of states (default float32)",
    )
    add(
        "--progress", default="auto", metavar="auto|bar|lines|off", help="how to tell how far it is"
    )
    add("--overlap", action="store_true", help="compute while spikes travel between nodes")
    add("--share-gpu", action="store_true", help="let ranks have the same GPU if they are more")
    add(
        "--watchdog",
        type=float,
        metavar="S",
        help="seconds after which a job whose ranks make no progress is ended (default 60)",
    )
    add(
        "--max-rate",
        type=float,
        metavar="HZ",
        help="end the run if a population fires faster, mean over its cells and 20 ms",
    )
    add("--decomposition", metavar="FILE", help="who owns which neurons, from plan --save FILE")
    add("--quiet", action="store_true", help="print nothing but errors and the JSON")
    add("--json", action="store_true", help="print the result as one line of JSON")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Simulate a network and say how fast it ran and how fast its neurons fired."""
    world = launch.world()
    _sign_warnings(world)
    if options.out is None:
        outlive_usr1(world)
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
        record = recorded(options.record)
    runner = DSRunner(
        network,
        dt=options.dt,
        seed=options.seed,
        record=record,
        devices=options.devices,
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


def _sign_warnings(world: launch.World) -> None:
    """Let a warning say which rank it is of."""
    if world.size > 1:
        plain = warnings.formatwarning
        warnings.formatwarning = lambda *a, **k: f"[r{world.rank}] {plain(*a, **k)}"

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

Wrong input ends with exit status 2 and one message; a run that fails, or a broken installation,
with 1.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import distdyn
from distdyn.commands import (
    analyze,
    compare,
    describe,
    diff,
    doctor,
    plan,
    plot,
    run,
    sbatch,
    sweep,
    train,
    verify,
)
from distdyn.errors import DistDynError, ExitCode
from distdyn.parallel import launch
from distdyn.parallel.launch.leave import is_echo
from distdyn.units import printable

COMMANDS = {
    "run": (run, "simulate a network"),
    "train": (train, "learn a task"),
    "plan": (plan, "tell memory, traffic and balance before a run"),
    "sbatch": (sbatch, "write a run as a job script for Slurm"),
    "sweep": (sweep, "vary parameters"),
    "analyze": (analyze, "find where a model rests, or cycles"),
    "compare": (compare, "tell how two runs differ"),
    "verify": (verify, "look whether a run is whole"),
    "diff": (diff, "tell where two runs begin to differ"),
    "plot": (plot, "draw a run: raster and rates"),
    "describe": (describe, "print equations, parameters and source"),
    "doctor": (doctor, "check that everything needed works"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(words, argparse.Namespace(words=words))
    try:
        return options.command(options)
    except DistDynError as error:
        return _end(error.exit_code, f"distdyn: {type(error).__name__}: {error}", error)
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


def parser() -> argparse.ArgumentParser:
    """That of all commands; what it finds has the function of its command as `command`."""
    found = argparse.ArgumentParser(
        prog="distdyn", description="Simulate, train and analyse brain dynamics."
    )
    found.add_argument("--version", action="version", version=f"distdyn {distdyn.__version__}")
    commands = found.add_subparsers(required=True, metavar="COMMAND")
    for name, (command, does) in COMMANDS.items():
        # What sbatch does not know itself it passes on: no word may be taken for another.
        abbreviates = command is not sbatch
        command.add_options(commands.add_parser(name, help=does, allow_abbrev=abbreviates))
    return found

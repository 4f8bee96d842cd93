"""`distdyn sbatch`: the options of a job, and the memory and time that its plan needs.

    distdyn sbatch microcircuit --duration 1000 --nodes 2 --ranks-per-node 8 --output job.sh

What is not an option of the job is one of `distdyn run`.
"""

import argparse
import dataclasses
import math
import os
from collections.abc import Sequence

import numpy as np

from distdyn.commands import run as simulate
from distdyn.commands.named import network_of
from distdyn.errors import ExitCode, ParameterError
from distdyn.jobscript import Job, script
from distdyn.network.network import Graph, graph
from distdyn.parallel.launch.devices import automatic, checked
from distdyn.parallel.plan.plan import Plan, make_plan, topology

BUILD = 30e-9  # s of one core per synapse
STEP = 30e-6  # s that a step takes besides its work: exchange, and what the parts do not share
START = 60.0  # s of imports, MPI and compilation
FACTOR = 3.0  # of time: for another machine, and other rates than the plan's
LEAST = 600.0  # s
LONGEST = 1e12  # ms of a model
UNITS = "KMGT"
MARGIN = 1.25  # of memory

TAKEN = (
    *("nodes", "ranks_per_node", "cpus_per_rank", "gpus_per_node"),
    *("array", "partition", "account", "name", "mpi"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command: those of `distdyn run`, and those of a job."""
    simulate.add_options(parser)
    _add_job(parser)
    parser.description = run.__doc__
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Write the job script of a run, with the memory and the time that it is expected to need."""
    job = job_of(options, run_words(options.words[1:]))
    plan = plan_of(job, graph(network_of(options.network, options.set)), options)
    write(script(with_needs(job, plan, options)), options.output)
    return ExitCode.OK


def _add_job(parser: argparse.ArgumentParser) -> None:
    job = parser.add_argument_group("the job")
    job.add_argument("--nodes", type=int, default=1, metavar="N")
    job.add_argument("--ranks-per-node", type=int, default=1, metavar="N")
    job.add_argument("--cpus-per-rank", type=int, default=1, metavar="N")
    job.add_argument("--gpus-per-node", type=int, default=0, metavar="N")
    job.add_argument("--mem", metavar="16G", help="of a node; by default from the plan")
    job.add_argument("--time", metavar="1:30:00", help="the limit; by default from the plan")
    job.add_argument("--array", default="", metavar="0-99%10", help="seeds: one job for each")
    job.add_argument("--partition", default="", metavar="NAME")
    job.add_argument("--account", default="", metavar="NAME")
    job.add_argument("--name", default="distdyn", help="of the job")
    job.add_argument("--mpi", default="pmix", help="of srun; srun --mpi=list shows what there is")
    job.add_argument("--output", metavar="FILE", help="where the script is written; else printed")


def run_words(words: Sequence[str]) -> tuple[str, ...]:
    """Of the words after `distdyn sbatch`, those that are meant for `distdyn run`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_job(parser)
    return tuple(parser.parse_known_args(list(words))[1])


def job_of(options: argparse.Namespace, words: Sequence[str]) -> Job:
    """The job that these options ask for, but for memory and time."""
    return Job(tuple(words), **{name: getattr(options, name) for name in TAKEN})


def write(text: str, output: str | None) -> None:
    """Print a script, or write it to a file that is not there yet."""
    if output is None:
        print(text, end="")
        return
    try:
        with open(output, "x") as file:
            file.write(text)
        os.chmod(output, 0o755)
    except FileExistsError as error:
        raise ParameterError(f"--output {output}: there is a file already. Remove it.") from error
    except OSError as error:
        raise ParameterError(f"--output {output} cannot be written: {error.strerror}.") from error


# --- memory and time ------------------------------------------------------------------------------


def with_needs(job: Job, plan: Plan, options: argparse.Namespace) -> Job:
    """The job with the memory and the time that were given, or else that its plan needs.

    Raises:
        CapacityError: the plan does not fit into the memory that was given.
    """
    job = dataclasses.replace(job, memory=options.mem or slurm_memory(bytes_for(plan)))
    if nbytes := slurm_bytes(job.memory):  # 0 is all that a node has
        plan.check(nbytes / job.ranks_per_node)
    duration = options.duration + options.warmup
    if not 0 <= duration < LONGEST:
        raise ParameterError(
            f"--duration {options.duration:g} and --warmup {options.warmup:g} ms are not possible. "
            f"Use times from 0 to {LONGEST:g} ms."
        )
    seconds = seconds_for(plan, duration)
    size = f"Expected: {plan.synapses.sum():,.0f} synapses, {bytes_for(plan) / MARGIN / 1e9:.2g} GB"
    speed = f"{duration:g} ms of model time on {plan.topology.parts} cores of ours"
    measured = " (no GPU was measured)" if job.gpus_per_node else ""
    minutes = f"{seconds / FACTOR / 60:.2g} minutes{measured}, times {FACTOR:g}."
    reasons = [f"{size} on each node at most.", f"{speed}: {minutes}"]
    return dataclasses.replace(
        job,
        time=options.time or slurm_time(seconds),
        reasons=tuple(reasons[: 1 if options.time else 2]),
    )


def plan_of(job: Job, network: Graph, options: argparse.Namespace) -> Plan:
    """What the job will hold and do, on the devices that it will have."""
    wanted = checked(options.devices)
    auto = automatic(job.cpus_per_rank, network.size, job.ranks)
    devices = wanted if isinstance(wanted, int) else job.gpus_per_node // job.ranks_per_node or auto
    where = topology(job.ranks, devices, ranks_per_node=job.ranks_per_node)
    return make_plan(network, where, dt=options.dt, precision=options.precision)


def seconds_for(plan: Plan, duration: float) -> float:
    """How long the run of so many ms may take: FACTOR times what is expected, at least LEAST."""
    stepping = float(plan.work.max()) * duration * 1e-3 + duration / plan.dt * STEP
    return max(LEAST, FACTOR * (START + float(plan.synapses.max()) * BUILD + stepping))


def bytes_for(plan: Plan) -> float:
    """How much memory a node may need."""
    nodes = np.array(plan.topology.node_of)
    return MARGIN * float(np.bincount(nodes, weights=plan.per_rank).max())


def slurm_time(seconds: float) -> str:
    """Rounded up to five minutes: `00:10:00`, `1-02:05:00`."""
    days, minutes = divmod(5 * math.ceil(seconds / 300), 1440)
    clock = f"{minutes // 60:02}:{minutes % 60:02}:00"
    return f"{days}-{clock}" if days else clock


def slurm_bytes(text: str) -> float:
    """Bytes of `3G`; Slurm takes a bare number as MiB."""
    unit = text[-1] if text[-1] in UNITS else "M"
    return float(text.rstrip(UNITS)) * 1024.0 ** (UNITS.index(unit) + 1)


def slurm_memory(nbytes: float) -> str:
    """Rounded up to GiB: `3G`."""
    return f"{max(1, math.ceil(nbytes / 2**30))}G"

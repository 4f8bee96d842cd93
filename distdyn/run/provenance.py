"""Where a run comes from: what `run.json` says about the program, the machine and the arguments."""

import json
import math
import os
import platform
import resource
import socket
import stat
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from distdyn.units import shown

PACKAGES = ("distdyn", "jax", "jaxlib", "numpy", "scipy", "numba", "h5py", "mpi4py")
_LARGEST_JSON = 1 << 26  # bytes
_MOST_VALUES = 1 << 21  # of which each may become some 100 bytes


def describe_run(
    *,
    network: str,
    neurons: int,
    synapses: int,
    seed: int,
    precision: str,
    platform: str,
    arguments: Mapping[str, Any] | None = None,
    command_line: list[str] | None = None,
) -> dict:
    """What is known about a run before its first step.

    Args:
        network: name of the network.
        neurons: how many it has.
        synapses: how many it has.
        seed: the seed of all draws.
        precision: the type of the states.
        platform: the kind of device that it runs on.
        arguments: of the network and the runner, as they were given.
        command_line: by default that of this process.
    """
    return {
        "network": network,
        "neurons": neurons,
        "synapses": synapses,
        "seed": seed,
        "precision": precision,
        "platform": platform,
        "arguments": dict(arguments or {}),
        "command_line": list(sys.argv if command_line is None else command_line),
        "environment": environment(),
        "start_time": now(),
    }


def environment() -> dict:
    """The program and the machine: versions of the packages, host, processor, cores we may use."""
    return {
        "python": platform.python_version(),
        "versions": {package: version_of(package) for package in PACKAGES},
        "host": socket.gethostname(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "cores": _cores(),
        "pid": os.getpid(),
    }


def now() -> str:
    """The time of day: UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def peak_rss() -> int:
    """The most memory that this process has held so far, in bytes.

    `getrusage` starts from the peak of the parent that launched us, so it is asked last.
    """
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file so that it is always complete: whoever reads sees the old or the new one.

    What JSON does not know becomes the nearest thing: short arrays become lists, other
    objects and numbers that are not finite become text.

    Raises:
        OSError: the directory cannot be written or the disk is full; the old file is still there.
    """
    text = json.dumps(plain(content), indent=1) + "\n"
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.unlink(missing_ok=True)  # of a process that had our number; or a link of others
        with open(draft, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Any:
    """What `write_json` wrote, however large what stands there in its place would become.

    Raises:
        OSError: there is no such file.
        ValueError: it is none of ours.
    """
    found = path.stat()
    if (
        not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_JSON
    ):  # a pipe would be waited for
        raise ValueError(f"{found.st_size} bytes are more than any such file has")
    text = path.read_text(encoding="ascii")
    if text.count(",") > _MOST_VALUES or text.count("[") + text.count("{") > _MOST_VALUES:
        raise ValueError("it has more values than any such file has")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is too deep") from None


def plain(value: Any) -> Any:
    """What JSON will hold of a value."""
    if isinstance(value, np.ndarray | np.generic) and value.size <= 100:
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return shown(value)


def version_of(package: str) -> str | None:
    """The version of a package as it was installed; None if it was not."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

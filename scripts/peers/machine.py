"""Facts of the machine that a figure was measured on."""

import json
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
PACKAGES = ("distdyn", "jax", "jaxlib", "numpy", "numba", "llvmlite")


def machine() -> dict:
    """Processor, cores that we may use, caches, memory, system, versions, and who else is there."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "cores_of_the_machine": os.cpu_count(),
        "caches": _caches(),
        "memory": _field("/proc/meminfo", "MemTotal"),
        "memory_free": _field("/proc/meminfo", "MemAvailable"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
        "load_average_at_start": os.getloadavg(),
    }


def busy(seconds: float = 0.5) -> float | None:
    """The part of all cores that is in use now, watched for a while; None where it is not told."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if before is None or after is None or after[0] <= before[0]:
        return None
    return round(1 - (after[1] - before[1]) / (after[0] - before[0]), 3)


def _ticks() -> tuple[int, int] | None:
    """All ticks of all cores since the start, and those that were idle."""
    try:
        words = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    ticks = [int(word) for word in words]
    return sum(ticks[:8]), ticks[3] + ticks[4]


def _field(file: str, name: str) -> str | None:
    try:
        lines = Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = (line.split(":", 1)[1].strip() for line in lines if line.startswith(name))
    return next(found, None)


def _caches() -> dict[str, str]:
    """`{"L1 Data": "32K, cores 0-1"}`, of the first core."""
    found = {}
    for place in sorted(CACHES.glob("index*")):
        level, kind, size, shared = (
            (place / name).read_text().strip()
            for name in ("level", "type", "size", "shared_cpu_list")
        )
        found[f"L{level} {kind}"] = f"{size}, cores {shared}"
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def report(benchmark: str, facts: dict, **content: object) -> None:
    """Print the one JSON object of a benchmark; `facts` are those of the start."""
    print(json.dumps({"benchmark": benchmark, "machine": facts, **content}, indent=1))

"""Which JAX devices this process computes on: `devices` and `platform` of a runner.

    None      one on CPU; all GPUs of the host, shared out over its ranks
    3         so many of this rank
    "auto"    on CPU the cores of this rank, but at most one per 2,000 neurons; else as None

CPU devices can be as many as one likes, but only before JAX first computes something.

Ranks share a GPU only if `share_gpu` says so. JAX takes three quarters of the memory of every GPU
that it sees when it starts; of k ranks that share one each takes an equal part of that, unless
XLA_PYTHON_CLIENT_MEM_FRACTION or XLA_PYTHON_CLIENT_PREALLOCATE is set.
"""

import operator
import os
from collections.abc import Mapping
from typing import Any, Literal

import jax

from distdyn._jax import backend_has_started, number_of_cpu_devices
from distdyn.errors import PlatformError
from distdyn.parallel.launch import World, cores
from distdyn.units import shown

NEURONS_PER_DEVICE = 2000
MOST_CPU_DEVICES = 64  # or four per core: more is a slip of the finger, and JAX would hang
CURE = 'Use an integer >= 1, e.g. devices=2, or "auto".'
GPU_MEMORY = 0.75  # of a GPU's, which JAX takes at its start by default
MEMORY_VARIABLES = (
    "XLA_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
)


def local_devices(
    devices: int | str | None,
    platform: str | None,
    us: World,
    *,
    neurons: int = 0,
    share_gpu: bool = False,
) -> list[Any]:
    """The devices of this process, as many on every rank. Collective.

    Args:
        devices: see above; text such as "2" counts as the number.
        platform: "cpu", "gpu", or None for that of JAX.
        us: the ranks of the job.
        neurons: of the whole network, for "auto".
        share_gpu: whether ranks may have the same GPU, if there are more ranks than GPUs.

    Raises:
        PlatformError: on all ranks, if one of them cannot have what is asked for.
    """
    error, found = None, []
    auto = automatic(cores.look(us).per_rank, neurons, us.size)
    has_own = has_own_gpus(_of_host(us, gpu_environment(os.environ)))
    try:
        wanted = checked(devices)
        if platform not in (None, "cpu", "gpu"):
            raise PlatformError(f'platform = {shown(platform)} is unknown. Use "cpu" or "gpu".')
        number = None if wanted == "auto" else wanted
        on_cpu = auto if wanted == "auto" else number or 1
        found = _devices(number, on_cpu, platform, us, has_own, share_gpu)
    except PlatformError as caught:
        error = caught
    us.agree(error)
    counts = us.allgather(len(found))
    if len(set(counts)) > 1:
        raise PlatformError(
            f"ranks have different numbers of devices: {counts}. Ask for a number that each of "
            f"them has: devices={min(counts)}."
        )
    return found


def checked(devices: Any) -> int | Literal["auto"] | None:
    """A number of devices >= 1, "auto" or None, of what a user wrote."""
    if devices is None:
        return None
    if isinstance(devices, str) and devices == "auto":
        return "auto"
    if isinstance(devices, str) and devices.strip().isdecimal():
        devices = int(devices)
    if isinstance(devices, bool | str) or not hasattr(devices, "__index__"):
        raise PlatformError(f"devices = {shown(devices)} is not possible. {CURE}")
    number = operator.index(devices)
    if number < 1:
        raise PlatformError(f"devices = {number} is not possible: a rank needs one. {CURE}")
    return number


def automatic(cores: int, neurons: int, ranks: int) -> int:
    """How many CPU devices are worth it: a device with few neurons waits more than it works."""
    return max(1, min(cores, neurons // (NEURONS_PER_DEVICE * ranks)))


def _devices(
    wanted: int | None,
    on_cpu: int,
    platform: str | None,
    us: World,
    has_own: bool,
    share_gpu: bool,
) -> list[Any]:
    if platform != "gpu":
        _make_cpu_devices(on_cpu, must=platform == "cpu")
    if platform != "cpu":
        _hide_other_gpus(us, has_own, share_gpu)
    try:
        present = jax.local_devices(backend=platform)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise PlatformError(
            f'platform = "{platform}": JAX finds no such device ({reason}). Use platform="cpu", or '
            "install distdyn[cuda12] on a machine with a GPU."
        ) from error
    if present[0].platform == "cpu":
        return _cpu_devices(on_cpu, present)
    is_alone = us.host_size == 1 or has_own or _is_hidden()
    rank, size = (0, 1) if is_alone else (us.host_rank, us.host_size)
    share = share_of_gpus(wanted, len(present), rank, size, may_share=share_gpu)
    return [present[k] for k in share]


# --- CPU -----------------------------------------------------------------------------------------


def _make_cpu_devices(number: int, *, must: bool) -> None:
    """Have at least so many CPU devices, if JAX has not started them yet."""
    most = max(MOST_CPU_DEVICES, 4 * (os.cpu_count() or 1))
    if number > most:
        if not must and _gpu_count(os.environ):
            return  # GPUs will say it better
        raise PlatformError(
            f"devices = {number} is more than {most}, and this machine has {os.cpu_count()} cores. "
            "Use at most one device per core."
        )
    if number > max(1, number_of_cpu_devices()) and not backend_has_started():
        jax.config.update("jax_num_cpu_devices", number)


def _cpu_devices(number: int, present: list[Any]) -> list[Any]:
    if number > len(present):
        raise PlatformError(
            f"devices = {number}, but JAX has started with {len(present)} CPU "
            f"device{'s' * (len(present) > 1)} in this process and makes no more. Make the first "
            "runner, with the largest number of devices, before anything else computes with JAX, "
            f"or set JAX_NUM_CPU_DEVICES={number} before Python starts."
        )
    return present[:number]


# --- GPU -----------------------------------------------------------------------------------------


def share_of_gpus(
    wanted: int | None, gpus: int, host_rank: int, host_size: int, *, may_share: bool
) -> list[int]:
    """Which of the GPUs that all ranks of a host see are this rank's.

    Args:
        wanted: per rank; None: all, dealt evenly.
        gpus: how many the host shows to each of its ranks.
        host_rank: of this rank among those of its host.
        host_size: how many those are.
        may_share: whether ranks may have the same GPU.
    """
    each = wanted or max(1, gpus // host_size)
    if each * host_size <= gpus:
        return list(range(host_rank * each, (host_rank + 1) * each))
    if may_share and each <= gpus:
        return [(host_rank * each + k) % gpus for k in range(each)]
    s = "s" * (gpus != 1)
    if host_size == 1:
        raise PlatformError(
            f"devices = {each}, but JAX finds {gpus} GPU{s}. Use devices={gpus}, or look at "
            "CUDA_VISIBLE_DEVICES."
        )
    raise PlatformError(
        f"{host_size} ranks of this host want {each} GPU{'s' * (each > 1)} each, it has {gpus}. "
        f"Start {max(1, gpus // each)} rank{'s' * (gpus // each > 1)} per node, or let ranks share "
        "them with --share-gpu, share_gpu=True (slow without MPS)."
    )


def has_own_gpus(environments: list[Mapping[str, str | None]]) -> bool:
    """Whether the launcher gave every rank of a host GPUs that the others do not see.

    Args:
        environments: `gpu_environment` of each rank of the host.
    """
    if any(each["SLURM_GPUS_PER_TASK"] for each in environments):
        return True  # each may see its own as number 0
    sets = [set((each["CUDA_VISIBLE_DEVICES"] or "").split(",")) for each in environments]
    return len(sets) > 1 and all(sets) and len(set().union(*sets)) == sum(map(len, sets))


def gpu_environment(environment: Mapping[str, str]) -> dict[str, str | None]:
    """The variables that say which GPUs this rank sees."""
    names = ("CUDA_VISIBLE_DEVICES", "SLURM_GPUS_PER_TASK")
    return {name: environment.get(name) for name in names}


def memory_fraction(gpus: int, host_size: int) -> float:
    """How much of its GPU's memory a rank may take, of ranks that share the GPUs of a host."""
    return GPU_MEMORY / max(1, -(-host_size // gpus))


def _hide_other_gpus(us: World, has_own: bool, share_gpu: bool) -> None:
    """Let JAX see this rank's share only: it takes memory on every GPU that it sees."""
    gpus = _gpu_count(os.environ)
    if us.host_size == 1 or not gpus or has_own or _is_hidden() or backend_has_started():
        return
    own = share_of_gpus(None, gpus, us.host_rank, us.host_size, may_share=share_gpu)
    if us.host_size > gpus and not any(name in os.environ for name in MEMORY_VARIABLES):
        fraction = memory_fraction(gpus, us.host_size)
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{fraction:.3f}"
    jax.config.update("jax_cuda_visible_devices", ",".join(map(str, own)))


def _is_hidden() -> bool:
    return jax.config.values["jax_cuda_visible_devices"] != "all"


def _of_host(us: World, value: Any) -> list[Any]:
    """The values of the ranks of this rank's host. Collective."""
    return [other for host, other in us.allgather((us.host, value)) if host == us.host]


def _gpu_count(environment: Mapping[str, str]) -> int:
    """NVIDIA GPUs that this process may use, without starting anything on them."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    try:
        present = len(os.listdir("/proc/driver/nvidia/gpus"))
    except OSError:
        return 0
    return present if visible is None else len([name for name in visible.split(",") if name])

"""Roads: which kernels compute here; the platform decides, or DISTDYN_KERNELS.

    cpu          machine code, on CPU alone
    gpu          the kernels for GPUs; on CPU the same steps with their references: for tests
    reference    plain jax.numpy, on any platform, slowly

All ranks of a job must take the same road: they round in different ways.
"""

from collections.abc import Mapping
from typing import NamedTuple

from distdyn.errors import PlatformError
from distdyn.ops.deliver import kernels_work
from distdyn.units import shown

VARIABLE = "DISTDYN_KERNELS"
CHOICES = ("cpu", "gpu", "reference")


class Choice(NamedTuple):
    """What runs the steps.

    Attributes:
        kernels: whether machine code for CPUs does.
        gpu: whether the kernels for GPUs do; the reference if there are neither.
        platform: of the devices.
    """

    kernels: bool
    gpu: bool
    platform: str

    def __str__(self) -> str:
        if self.kernels:
            return "CPU kernels"
        if not self.gpu:
            return "plain reference"
        return "GPU kernels" if self.platform == "gpu" else "GPU kernels' references"


def choose(platform: str, environment: Mapping[str, str], *, is_spanning: bool = False) -> Choice:
    """The road of a process whose devices are of a platform of JAX.

    Args:
        platform: "cpu", "gpu" or another.
        environment: of the process.
        is_spanning: whether one program spans all ranks.

    Raises:
        PlatformError: DISTDYN_KERNELS asks for what is not possible here.
    """
    asked = environment.get(VARIABLE) or None
    if asked not in (None, *CHOICES):
        raise PlatformError(f"{VARIABLE}={shown(asked)} is unknown. Use {', '.join(CHOICES)}.")
    is_cpu = platform == "cpu"
    if asked == "cpu" and (not is_cpu or is_spanning):
        where = (
            "one program that spans all ranks" if is_cpu else f'devices of platform "{platform}"'
        )
        raise PlatformError(
            f"{VARIABLE}=cpu, but machine code for CPUs does not run on {where}. "
            'Use platform="cpu" without DISTDYN_COLLECTIVES, or unset it.'
        )
    gpu = asked == "gpu" or (asked is None and platform == "gpu")
    kernels = asked in (None, "cpu") and is_cpu and not is_spanning and kernels_work()
    return Choice(kernels, gpu, platform)

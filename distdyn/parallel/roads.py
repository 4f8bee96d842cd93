"""Roads: which kernels compute here; the platform decides, or DISTDYN_KERNELS.

    cpu          machine code, on CPU alone
    gpu          the kernels for GPUs; on CPU the interpreter runs them, slowly: for tests
    reference    plain jax.numpy, on any platform, slowly

All ranks of a job must take the same road: they round in different ways.
"""

from collections.abc import Mapping
from typing import NamedTuple

from distdyn.errors import PlatformError
from distdyn.ops.deliver import kernels_work
from distdyn.ops.gpu import Road
from distdyn.units import shown

VARIABLE = "DISTDYN_KERNELS"
CHOICES = ("cpu", "gpu", "reference")
INTERPRETED = Road(interpret=True, events=64, lanes=1024)


class Choice(NamedTuple):
    """What runs the steps.

    Attributes:
        kernels: whether machine code for CPUs does.
        road: the kernels for GPUs, or None; the reference if there are neither.
    """

    kernels: bool
    road: Road | None

    def __str__(self) -> str:
        if self.kernels:
            return "CPU kernels"
        if self.road is None:
            return "plain reference"
        return "GPU kernels, interpreted" if self.road.interpret else "GPU kernels"


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
    if asked == "gpu":
        return Choice(False, INTERPRETED if is_cpu else Road())
    if asked is None and platform == "gpu":
        return Choice(False, Road())
    return Choice(asked != "reference" and is_cpu and not is_spanning and kernels_work(), None)

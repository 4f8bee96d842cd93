"""The names of JAX that are not its stable public interface; nothing else touches them."""

from typing import Any

import jax
from jax.extend.core import Literal as Literal


def number_of_cpu_devices() -> int:
    """How many JAX is told to make (JAX_NUM_CPU_DEVICES); -1: nothing is said, it makes one."""
    return jax.config.values["jax_num_cpu_devices"]


def backend_has_started() -> bool:
    """Whether JAX has made its devices in this process; it says so only when one changes them."""
    number = number_of_cpu_devices()
    try:
        jax.config.update("jax_num_cpu_devices", max(1, number) + 1)
    except RuntimeError:
        return True
    jax.config.update("jax_num_cpu_devices", number)
    return False


def pallas() -> tuple[Any, Any]:
    """Pallas, in which kernels for GPUs are written, and what of it is Triton's; slow to import."""
    from jax.experimental import pallas
    from jax.experimental.pallas import triton

    return pallas, triton

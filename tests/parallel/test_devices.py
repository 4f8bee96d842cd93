"""`devices` and `platform`: which JAX devices a process gets, and what it is told if it cannot."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

from distdyn.errors import PlatformError
from distdyn.parallel.launch import World
from distdyn.parallel.launch.devices import (
    automatic,
    checked,
    gpu_environment,
    has_own_gpus,
    local_devices,
    memory_fraction,
    share_of_gpus,
)  # fmt: skip

ROOT = Path(__file__).parents[2]


def fresh(code: str, **env: str) -> str:
    """What a new process prints; JAX has not started in it."""
    begin = "import jax\nfrom distdyn.parallel.launch.devices import local_devices as devices\n"
    begin += "from distdyn.parallel.launch import World\nus = World()\n"
    run = subprocess.run(
        [sys.executable, "-c", begin + code], cwd=ROOT, capture_output=True, text=True,
        timeout=60, check=False, env={"PATH": "", "JAX_PLATFORMS": "cpu"} | env,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_cpu_devices_are_made_before_jax_starts():
    assert fresh("print(len(devices('3', None, us)), len(devices(2, 'cpu', us)))") == "3 2"


def test_later_they_are_an_error_with_the_cure():
    code = "jax.numpy.zeros(1)\nfrom distdyn.errors import PlatformError\n"
    code += "try: devices(2, None, us)\nexcept PlatformError as error: print(error)"
    text = fresh(code)
    assert "started with 1 CPU device in this process" in text and "JAX_NUM_CPU_DEVICES=2" in text
    assert (
        fresh("jax.numpy.zeros(1)\nprint(len(devices(2, None, us)))", JAX_NUM_CPU_DEVICES="2")
        == "2"
    )


def test_one_device_leaves_jax_as_it_is():
    code = "devices(1, None, us)\nfrom distdyn._jax import number_of_cpu_devices as n\nprint(n())"
    assert fresh(code) == "-1"


@pytest.mark.parametrize(
    "devices", ["0", 0, "-1", -1, "1.5", 1.5, "two", "", True, [2], "10000", 10**6, "Auto"]
)
def test_what_is_not_a_number_of_devices(devices):
    with pytest.raises(PlatformError, match=r"devices = .*Use"):
        local_devices(devices, "cpu", World())


@pytest.mark.parametrize("platform", ["tpu", "", 1])
def test_an_unknown_platform(platform):
    with pytest.raises(PlatformError, match='Use "cpu" or "gpu"'):
        local_devices(1, platform, World())


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is a GPU")
def test_a_platform_that_is_not_there():
    with pytest.raises(PlatformError, match="JAX finds no such device"):
        local_devices(None, "gpu", World())


def test_the_default_is_one_on_cpu():
    assert local_devices(None, "cpu", World()) == jax.local_devices(backend="cpu")[:1]


def test_numbers_as_text():
    assert (checked(None), checked("auto"), checked(" 4 "), checked(4)) == (None, "auto", 4, 4)


@pytest.mark.parametrize(
    "cores, neurons, ranks, number",
    [
        (8, 0, 1, 1),
        (8, 1999, 1, 1),
        (8, 8000, 1, 4),
        (8, 10**6, 1, 8),
        (8, 8000, 2, 2),
        (2, 8000, 1, 2),
    ],
)
def test_automatic(cores, neurons, ranks, number):
    assert automatic(cores, neurons, ranks) == number


# --- GPUs ----------------------------------------------------------------------------------------


def dealt(wanted, gpus, ranks, *, may_share=False):
    return [share_of_gpus(wanted, gpus, rank, ranks, may_share=may_share) for rank in range(ranks)]


def test_gpus_are_dealt_to_the_ranks_of_a_host():
    assert dealt(None, 4, 1) == [[0, 1, 2, 3]]
    assert dealt(None, 4, 2) == [[0, 1], [2, 3]]
    assert dealt(None, 4, 3) == [[0], [1], [2]]
    assert dealt(1, 4, 2) == [[0], [1]]
    assert dealt(None, 2, 4, may_share=True) == [[0], [1], [0], [1]]


def test_ranks_that_share_a_gpu_share_its_memory():
    assert memory_fraction(1, 2) == 0.375
    assert memory_fraction(2, 3) == 0.375
    assert memory_fraction(4, 2) == 0.75


def test_jax_is_told_which_gpu_and_how_much_of_its_memory():
    """Two ranks of a host with one GPU, as far as it goes without one."""
    code = "import os\nfrom distdyn.parallel.launch import devices as d\n"
    code += "d._gpu_count = lambda env: 1\nus.host_size, us.host_rank = 2, 1\n"
    code += "d._hide_other_gpus(us, False, True)\n"
    code += "print(jax.config.values['jax_cuda_visible_devices'], "
    code += "os.environ.get('XLA_PYTHON_CLIENT_MEM_FRACTION'))"
    assert fresh(code) == "0 0.375"
    assert fresh(code, XLA_PYTHON_CLIENT_PREALLOCATE="false") == "0 None"
    with pytest.raises(AssertionError, match=r"PlatformError: 2 ranks of this host.*--share-gpu"):
        fresh(code.replace("False, True", "False, False"))


@pytest.mark.parametrize(
    "wanted, gpus, ranks, words",
    [
        (None, 2, 3, "3 ranks of this host want 1 GPU each, it has 2.*--share-gpu"),
        (2, 2, 2, "2 ranks of this host want 2 GPUs each, it has 2. Start 1 rank per node"),
        (3, 2, 1, "devices = 3, but JAX finds 2 GPUs. Use devices=2"),
    ],
)
def test_more_ranks_than_gpus(wanted, gpus, ranks, words):
    with pytest.raises(PlatformError, match=words):
        dealt(wanted, gpus, ranks)


@pytest.mark.parametrize(
    "environments, is_own",
    [
        ([{}, {}], False),
        ([{"CUDA_VISIBLE_DEVICES": "0,1"}] * 2, False),
        ([{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}], True),
        ([{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "1,2"}], False),
        ([{"CUDA_VISIBLE_DEVICES": "0", "SLURM_GPUS_PER_TASK": "1"}] * 2, True),
        ([{"CUDA_VISIBLE_DEVICES": "0"}], False),
    ],
)
def test_gpus_that_the_launcher_has_dealt_already(environments, is_own):
    assert has_own_gpus([gpu_environment(each) for each in environments]) == is_own

"""What every test starts from."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Figures are drawn into files: a machine without a screen runs the tests too.
os.environ["MPLBACKEND"] = "Agg"

# Tests start hundreds of processes: with its sources compiled anew in each, the package takes twice
# as long to import.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# CPU devices cost nothing until they are used; they cannot be made once JAX runs.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")


THOROUGH = Path(__file__).with_name("thorough.txt")  # see `durations.py`


def has_gpu() -> bool:
    """Whether JAX finds one; asked only if a test needs it."""
    import jax

    try:
        return bool(jax.devices("gpu"))
    except RuntimeError:
        return False


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several workers one runs all that starts ranks: ranks wait for each other on the cores.

    What needs a GPU is skipped where JAX finds none. What takes long is marked.
    """
    takes_long = frozenset(THOROUGH.read_text().splitlines())
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if on_gpu and not has_gpu():
        for item in on_gpu:
            item.add_marker(pytest.mark.skip(reason="JAX finds no GPU on this machine"))
    for item in items:
        if item.nodeid in takes_long:
            item.add_marker(pytest.mark.thorough)
        if item.get_closest_marker("mpi"):
            item.add_marker(pytest.mark.xdist_group("mpi"))


@pytest.fixture
def seed() -> int:
    """The one seed of the tests: a test that needs another one says why."""
    return 20230901


@pytest.fixture(scope="module", autouse=True)
def nothing_compiled_is_kept() -> Iterator[None]:
    """Thousands of programs that are never called again take gigabytes, and time of each test."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()

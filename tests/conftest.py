"""What every test starts from."""

import os

import pytest

# Figures are drawn into files: a machine without a screen runs the tests too.
os.environ["MPLBACKEND"] = "Agg"

# CPU devices cost nothing until they are used; they cannot be made once JAX runs.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "8")


@pytest.fixture
def seed() -> int:
    """The one seed of the tests: a test that needs another one says why."""
    return 20230901

"""What every test starts from."""

import os

import pytest

# Figures are drawn into files: a machine without a screen runs the tests too.
os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture
def seed() -> int:
    """The one seed of the tests: a test that needs another one says why."""
    return 20230901

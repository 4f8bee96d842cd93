"""`distdyn doctor` starts two ranks and says what is wrong if they do not find each other."""

import sys
from pathlib import Path

import pytest

from distdyn.commands import doctor

SCRIPT = "#!/bin/sh\nshift 2\n"


@pytest.fixture
def mpirun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put another program in the place of this environment's mpirun."""

    def replace(text: str) -> Path:
        path = tmp_path / "mpirun"
        path.write_text(SCRIPT + text)
        path.chmod(0o755)
        monkeypatch.setattr(doctor, "own_mpirun", lambda: str(path))
        return path

    return replace


@pytest.mark.mpi
def test_two_ranks_are_well():
    if doctor.own_mpirun() is None:
        pytest.skip("this environment has no mpirun: pip install mpich")
    assert "they exchange values and share memory" in list(doctor._mpi())[-1]


@pytest.mark.mpi
def test_a_launcher_of_another_mpi_is_broken(mpirun):
    mpirun('PMI_SIZE=2 PMI_RANK=0 "$@"\n')  # each copy is rank 0 of 1
    with pytest.raises(doctor.Sick, match=r"LaunchError.*PMI_SIZE=2"):
        list(doctor._mpi())


def test_a_launcher_that_fails_is_broken(mpirun):
    mpirun("echo 'no slots' >&2; exit 3\n")
    with pytest.raises(doctor.Sick, match="no slots"):
        list(doctor._mpi())


def test_what_hangs_is_ended():
    with pytest.raises(doctor.Sick, match=r"no answer within 0\.5 s"):
        doctor._answer([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.5)

"""What a run says about itself, and who says it."""

import numpy as np
import pytest

from distdyn.run.progress import Progress
from distdyn.run.report import Census, exchanges, hardware, most, phase_table, shown_count

PHASES = [{"build": 1.0, "run": 4.0}, {"build": 3.0, "run": 4.0, "wait": 0.5}]


def test_hardware_is_one_phrase():
    text = "3 ranks x 2 cpu devices (2 cores per rank, disjoint)"
    assert hardware(3, 2, "cpu", "2 cores per rank, disjoint") == text
    assert hardware(1, 1, "gpu", "2 cores") == "1 gpu device (2 cores)"


def test_exchanges_are_said_where_there_are_any():
    said = exchanges((15, 50), 0.1)
    assert "inside a node every 1.5 ms (15 steps)" in said
    assert "between nodes every 5 ms (50 steps)" in said
    assert exchanges((1, None), 0.1).endswith("every 0.1 ms (1 step)")
    assert exchanges((None, None), 0.1) == exchanges(None, 0.1) == ""


def test_census_is_about_all_ranks():
    census = Census(np.array([10, 12]), np.array([100, 300]), np.array([400, 1200]))
    assert census.n_synapses == 400 and census.bytes_per_synapse == 4.0
    assert str(census) == "neurons/rank 10-12, synapses/rank max/mean 1.50"
    empty = Census(np.array([1]), np.array([0]), np.array([0]))
    assert empty.bytes_per_synapse == 0.0 and "max/mean 1.00" in str(empty)


@pytest.mark.parametrize(
    "n, text", [(77169, "77169"), (299_000_000, "299.0 M"), (10**13, "10.0 T")]
)
def test_large_counts_are_short(n, text):
    assert shown_count(n) == text


def test_phases_of_many_ranks_are_least_mean_and_most():
    lines = [line.split() for line in phase_table(PHASES).splitlines()]
    assert lines[0][-3:] == ["min", "mean", "max"]
    assert lines[1] == ["build", "1.000", "2.000", "3.000"]
    assert lines[3] == ["wait", "0.000", "0.250", "0.500"]
    assert most(PHASES) == {"build": 3.0, "run": 4.0, "wait": 0.5}
    assert phase_table(PHASES[:1]).splitlines()[1].split() == ["build", "1.000"]


def test_of_several_ranks_one_tells_its_progress_and_in_lines(capfd, monkeypatch):
    from distdyn.run import progress

    monkeypatch.setattr(progress, "QUIET", 0.0)
    monkeypatch.setattr(progress, "BETWEEN", 0.0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    for mode in ("auto", "bar", "lines"):
        for rank in (0, 1):
            speaker = Progress(mode, 100.0, rank=rank, is_launched=True)
            speaker.at(50.0)
            speaker.close()
        written = capfd.readouterr().err
        assert written.count("50 of 100 ms") == 1 and "%" not in written
    Progress("off", 100.0, rank=0, is_launched=True).at(50.0)
    assert not capfd.readouterr().err

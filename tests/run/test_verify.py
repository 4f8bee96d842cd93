"""`distdyn verify`: a byte of a checkpoint or a spike of a recording that is not as written."""

import json
import os

import h5py
import numpy as np
import pytest

from distdyn.cli import main
from distdyn.errors import RunDirectoryError
from distdyn.parallel.launch import World
from distdyn.run.store import write_arrays
from distdyn.run.verify import verify
from tests.run import written


@pytest.fixture
def a(tmp_path):
    """A run with two checkpoints."""
    path = written.run(tmp_path / "a")
    for step in (500, 1000):
        written.checkpoint(path / "checkpoints", step)
    return path


def faults(path) -> list[str | None]:
    return [verdict.fault for verdict in verify(path, World())]


def said(capsys, *words, status=0) -> dict:
    assert main(["verify", *map(str, words), "--json", "--quiet"]) == status
    return json.loads(capsys.readouterr().out)


def test_a_run_is_whole_with_all_its_checkpoints(a, capsys):
    found = said(capsys, a)
    assert found["is_whole"]
    assert [one["kind"] for one in found["found"]] == ["recording", "checkpoint", "checkpoint"]
    recording, newer, older = (one["about"] for one in found["found"])
    assert recording["spikes"] == 1000 and recording["ended"] == "completed"
    assert (newer["step"], older["step"]) == (1000, 500)
    assert newer["rows"] == 80 + 20 + 300 and newer["network"] == "Pair" and newer["seed"] == "7"
    assert newer["bytes"] == (a / "checkpoints/step-000000001000/part-0000.h5").stat().st_size


@pytest.mark.parametrize("place", ["checkpoints", "checkpoints/step-000000000500"])
def test_checkpoints_alone(a, place, capsys):
    assert main(["verify", str(a / place)]) == 0
    assert capsys.readouterr().out.count("whole    checkpoint") == 1 + (place == "checkpoints")


def test_every_byte_of_a_checkpoint_counts(a, seed):
    """C6: one bit, wherever it is."""
    path = a / "checkpoints/step-000000000500"
    rng = np.random.default_rng(seed)
    for file in (path / "part-0000.h5", path / "manifest.json"):
        content = file.read_bytes()
        for at in (0, len(content) - 1, *rng.integers(0, len(content), 40)):
            changed = bytearray(content)
            changed[at] ^= 1 << int(rng.integers(8))
            file.write_bytes(changed)
            (fault,) = faults(path)
            whitespace = bytes(content[at : at + 1]).isspace() and fault is None
            assert whitespace or fault, (file.name, at)
        file.write_bytes(content)
    assert faults(path) == [None]


@pytest.mark.parametrize("left", [0.99, 0.5, 0.01, 0.0])
@pytest.mark.parametrize("name", ["part-0000.h5", "manifest.json"])
def test_a_file_of_a_checkpoint_that_was_cut(a, name, left, capsys):
    """C5, C6."""
    file = a / "checkpoints/step-000000000500" / name
    os.truncate(file, int(left * file.stat().st_size))
    assert main(["verify", str(a)]) == 1
    out = capsys.readouterr().out
    assert out.count("DAMAGED") == 1 and name in out and out.count("whole") == 2


@pytest.mark.parametrize("name", ["part-0000.h5", "manifest.json"])
def test_a_file_of_a_checkpoint_that_is_missing_or_of_another_step(a, name):
    older, newer = (a / f"checkpoints/step-{step:012}" for step in (500, 1000))
    (older / name).unlink()
    assert name in faults(older)[0]
    for file in newer.iterdir():  # all that is there is of step 1000, under the name of step 500
        (older / file.name).write_bytes(file.read_bytes())
    assert "is of step 1000" in faults(older)[0]


def test_a_spike_that_is_not_as_written(a):
    with h5py.File(a / "spikes.h5", "r+") as file:
        ids = file["spikes/E/node_ids"]
        ids[7] = (int(ids[7]) + 1) % 80
    assert "hash of its spikes" in faults(a)[0] or "out of order" in faults(a)[0]


@pytest.mark.parametrize(
    ("name", "row", "value"),
    [("node_ids", 5, 80), ("node_ids", 5, 2**64 - 1), ("timestamps", 5, np.nan),
     ("timestamps", 5, 0.1), ("timestamps", 0, -7.0), ("timestamps", 499, 1e300)],
)  # fmt: skip
def test_a_spike_of_no_neuron_or_no_time(a, name, row, value):
    with h5py.File(a / "spikes.h5", "r+") as file:
        file[f"spikes/E/{name}"][row] = value
    assert "damaged" in faults(a)[0]


def test_a_run_that_still_goes_has_no_hash_to_compare(a):
    run = json.loads((a / "run.json").read_text())
    (a / "run.json").write_text(json.dumps(run | {"exit_reason": "running"}))
    with h5py.File(a / "spikes.h5", "r+") as file:
        file["committed"][1:] = [400, 200, 200]
    assert faults(a)[0] is None


def test_a_file_of_arrays(tmp_path):
    path = tmp_path / "trained.h5"
    write_arrays(path, {"exc.weight": np.arange(9.0)}, epoch=3)
    assert faults(path) == [None]
    with h5py.File(path, "r+") as file:
        file["exc.weight"][3] = 0.0
    assert "not those that were written" in faults(path)[0]


def test_what_is_none_of_these_is_wrong_input(tmp_path, capsys):
    for path in (tmp_path, tmp_path / "missing", tmp_path / ("long" * 1000)):
        with pytest.raises(RunDirectoryError, match="is no checkpoint"):
            verify(path, World())
        assert main(["verify", str(path)]) == 2
    assert "is no checkpoint" in capsys.readouterr().err

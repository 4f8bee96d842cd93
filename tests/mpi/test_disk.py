"""The disk of one rank is full: all ranks end with its cause, and what was there is whole."""

import json

import pytest

import distdyn as dd
from distdyn.parallel.launch import World
from distdyn.run.checkpoint.writing import kept
from distdyn.run.verify import verify

pytestmark = pytest.mark.mpi

FULL = """
import resource, sys
import distdyn as dd
from distdyn.parallel.launch import world
from distdyn.zoo import by_name

with dd.DSRunner(
    by_name("brunel")(n=200), dt=0.1, seed=1, record="spikes", out=sys.argv[1], progress="off",
    checkpoint_every=10.0, keep=2, watchdog=20.0,
) as runner:
    runner.run(20.0)
    if world().rank == 1:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    runner.run(1e6)
"""


def test_a_full_disk_of_one_rank_ends_all(ranks, tmp_path):
    """C8, and `verify` and `diff` on two ranks; the file of that rank grows no more."""
    out = tmp_path / "run"
    ended = ranks(2, FULL, str(out), ok=False, limit=120.0)
    assert ended.code not in (0, 139), ended
    assert ended.err.count("RunDirectoryError: cannot write") == 1, ended.err
    assert "File too large" in ended.err and str(out) in ended.err, ended.err
    assert [step for step, _ in kept(out / "checkpoints")] == [200, 100]
    assert not [path.name for path in (out / "checkpoints").iterdir() if path.name[0] == "."]
    assert all(verdict.fault is None for verdict in verify(out, World()))
    assert 200 <= dd.load(out).stop <= 300
    found = ranks(2, ["-m", "distdyn", "verify", str(out), "--json", "--quiet"])
    said = json.loads(found.out)
    assert said["is_whole"] and [one["kind"] for one in said["found"]][1:] == ["checkpoint"] * 2
    assert said["found"][1]["about"]["parts"] == 2 and said["found"][1]["about"]["rows"] == 200
    part = out / "checkpoints/step-000000000100/part-0001.h5"
    part.write_bytes(part.read_bytes()[:-1])
    found = ranks(2, ["-m", "distdyn", "verify", str(out)], ok=False)
    assert found.code == 1 and found.out.count("DAMAGED") == 1 and found.err == "", found
    older, newer = (str(path) for _, path in reversed(kept(out / "checkpoints")))
    assert ranks(2, ["-m", "distdyn", "diff", newer, newer]).out == "the same state\n"
    found = ranks(2, ["-m", "distdyn", "diff", older, newer], ok=False)
    assert found.code == 2 and found.err.count("CheckpointError") == 1, found

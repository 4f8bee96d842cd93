"""Disks that are full, read-only or taken: what was there stays, and the cause is said.

C8, C9, C11 and C12 of the checks of robustness. A full disk is a limit on the size of files in a
process of its own, and where that is allowed a small file system in memory.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from distdyn.errors import CheckpointError, RunDirectoryError
from distdyn.parallel.launch import World
from distdyn.run.checkpoint.stored import Stored, newest
from distdyn.run.checkpoint.writing import kept
from distdyn.run.directory import RunDirectory
from distdyn.run.reader import load, read_run
from distdyn.run.store import write_arrays
from distdyn.run.verify import verify
from tests.run import written

ROOT = Path(__file__).parents[2]
FULL = ("No space left", "File too large", "are needed")

# What writes until it meets the limit; then it must end as any other error does.
WRITE = """
import resource, sys
sys.path.insert(0, ".")
from distdyn.errors import DistDynError
from tests.run import written
from distdyn.run import store
import numpy as np
from pathlib import Path

folder, limit = Path(sys.argv[1]), int(sys.argv[2])

def many(path, step, id):
    return np.repeat(step, 400), np.repeat(id, 400)

def large(name, fields):
    return {**fields, "large": np.zeros((len(next(iter(fields.values()))), 4000))}

deeds = {
    "run": lambda: written.run(folder / "run", 10_000, many, every=0.0),
    "checkpoint": lambda: written.checkpoint(folder / "checkpoints", 600, change=large),
    "manifest": lambda: written.checkpoint(
        folder / "checkpoints", 600, of={**written.OF, "much": "x" * 9_000_000}
    ),
    "arrays": lambda: store.write_arrays(folder / "arrays.h5", {"x": np.zeros(10**6)}),
}
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for what, act in deeds.items():
    try:
        act()
    except DistDynError as error:
        print(f"{what} {type(error).__name__}: {error}", flush=True)
    print(*sorted(path.name for path in (folder / "checkpoints").iterdir()), flush=True)
"""


@pytest.fixture(params=["limit", "small disk"])
def full(request, tmp_path):
    """A folder with a checkpoint and a file of arrays, and how many bytes a file may have."""
    folder = tmp_path / "full"
    folder.mkdir()
    if request.param == "small disk":
        mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(folder)]
        if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("only root can mount a small disk")
    written.checkpoint(folder / "checkpoints", 500)
    write_arrays(folder / "arrays.h5", {"x": np.arange(9.0)})
    yield folder, 1 << 20 if request.param == "limit" else 0
    if request.param == "small disk":
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_with_its_cause_and_leaves_what_was_there(full):
    """C8: an error and no signal; it names the file; what is there is whole and is gone on with."""
    folder, limit = full
    ended = subprocess.run(
        [sys.executable, "-c", WRITE, str(folder), str(limit)], cwd=ROOT, text=True,
        capture_output=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ended.returncode == 0 and not ended.stderr, ended
    lines = ended.stdout.splitlines()
    for what, said, names in zip(
        ("run", "checkpoint", "manifest", "arrays"), lines[::2], lines[1::2], strict=True
    ):
        assert said.startswith(f'{what} RunDirectoryError: cannot write "{folder}'), said
        assert any(words in said for words in FULL), said
        assert names == "step-000000000500", (what, names)
    stored = newest(folder / "checkpoints", World())
    assert stored is not None and stored.step == 500
    assert [verdict.fault for verdict in verify(folder / "arrays.h5", World())] == [None]
    assert not [*folder.glob(".*")], [*folder.glob(".*")]
    recording = load(folder / "run")  # up to the last write that was whole
    assert read_run(folder / "run")["exit_reason"] != "completed"
    assert 0 < recording.stop < 10_000 and recording.spikes_sha256()


READ_ONLY = """
import os, sys
sys.path.insert(0, ".")
from distdyn.errors import DistDynError
from distdyn.run.directory import RunDirectory
from distdyn.run.store import write_arrays
from tests.run import written
from pathlib import Path
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
folder = Path(sys.argv[1])
for act in (lambda: RunDirectory(folder / "a"), lambda: RunDirectory(folder),
            lambda: written.checkpoint(folder / "checkpoints"),
            lambda: write_arrays(folder / "a.h5", {})):
    try:
        act()
        print("no error")
    except DistDynError as error:
        print(type(error).__name__, error)
"""


def test_a_directory_that_is_read_only_is_refused_before_anything_is_built(tmp_path):
    """C9: also for root, who becomes somebody else for it."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    for above in [tmp_path, *tmp_path.parents]:
        if above.stat().st_uid == os.geteuid() and above != Path("/") and above != Path("/tmp"):
            above.chmod(above.stat().st_mode | 0o055)
    ended = subprocess.run(
        [sys.executable, "-c", READ_ONLY, str(folder)], cwd=ROOT, text=True, capture_output=True,
        timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    lines = ended.stdout.splitlines()
    if ended.returncode:
        pytest.skip(f"the package cannot be read by others: {ended.stderr.splitlines()[-1]}")
    assert len(lines) == 4 and list(folder.iterdir()) == []
    for line in lines:
        assert line.startswith("RunDirectoryError") and "Permission denied" in line, line
        assert str(folder) in line


def test_what_drafts_were_left_behind_goes(tmp_path):
    """C4, C12: of checkpoints and of files; what is no draft of ours stays."""
    folder = tmp_path / "checkpoints"
    written.checkpoint(folder, 500)
    for name in (".step-000000000600.draft", ".step-000000000700.draft"):
        (folder / name).mkdir()
        (folder / name / "part-0000.h5").write_bytes(b"half")
    (folder / "notes").mkdir()
    (folder / ".step-7.draft").mkdir()
    written.checkpoint(folder, 600)
    names = {path.name for path in folder.iterdir()}
    assert names == {"step-000000000500", "step-000000000600", "notes", ".step-7.draft"}
    stale = tmp_path / f".a.h5.{os.getpid()}"  # of a process that had our number
    stale.write_bytes(b"half")
    write_arrays(tmp_path / "a.h5", {"x": np.arange(3.0)})
    assert not stale.exists() and verify(tmp_path / "a.h5", World())[0].fault is None


def test_two_runs_do_not_share_a_directory(tmp_path):
    """C12: the second is refused, and says who is there; the first does not notice."""
    holder = """
import sys
sys.path.insert(0, ".")
from tests.run.written import HEADER, RunDirectory
writer = RunDirectory(sys.argv[1]).create(HEADER)
print("ready", flush=True)
sys.stdin.read()
writer.finish(0)
writer.close()
"""
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "a")], cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as first:  # fmt: skip
        assert first.stdin and first.stdout and first.stdout.readline() == "ready\n"
        for options in ({}, {"overwrite": True}, {"goes_on": True}):
            with pytest.raises(RunDirectoryError, match=f"process {first.pid} on host"):
                RunDirectory(tmp_path / "a", **options)
        first.stdin.close()
        assert first.wait(30) == 0
    assert load(tmp_path / "a").stop == 0


KILLED = """
import sys, time
sys.path.insert(0, ".")
import numpy as np
from tests.run import written
writer = written.RunDirectory(sys.argv[1]).create(written.HEADER, every=0.0)
writer.begin(0)
for step in range(1, 10**9):
    writer.append_spikes("E", np.full(3, step), np.arange(3))
    writer.flush(step)
    print(step, flush=True)
"""


def test_plain_h5py_reads_to_the_last_flush_while_it_runs_and_after_it_was_killed(tmp_path):
    """C11."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "a")], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as writer:  # fmt: skip
        assert writer.stdout

        def rows(step):
            with h5py.File(tmp_path / "a/spikes.h5", "r", locking=False) as file:
                count = int(file["committed"][2])
                ids, times = (file[f"spikes/E/{x}"][:count] for x in ("node_ids", "timestamps"))
            assert count >= 3 * step
            assert np.array_equal(np.rint(times / 0.1), 1 + np.arange(count) // 3)
            assert np.array_equal(ids, np.arange(count) % 3)

        for _ in range(20):
            step = int(writer.stdout.readline())
        seen = 0
        for _ in range(20):  # HDF5 promises nothing to who reads in the middle of a write
            try:
                rows(step)
                seen += 1
            except (OSError, KeyError, RuntimeError):
                time.sleep(0.01)
        assert seen
        writer.send_signal(signal.SIGKILL)
        last = int((writer.stdout.read().split() or [str(step)])[-1])
    rows(last)
    assert load(tmp_path / "a").stop >= last


def test_a_checkpoint_that_cannot_be_read_is_no_reason_to_begin_anew(tmp_path):
    """C5: with none that is whole it says so; with an older one it goes on from that."""
    folder = tmp_path / "checkpoints"
    for step in (500, 600):
        written.checkpoint(folder, step)
    (folder / "step-000000000600/part-0000.h5").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"part-0000\.h5.*An older checkpoint is taken"):
        stored = newest(folder, World())
    assert stored is not None and stored.step == 500
    assert [step for step, _ in kept(folder)] == [600, 500], "it is not removed"
    (folder / "step-000000000500/manifest.json").write_text(json.dumps({}))
    with pytest.warns(UserWarning), pytest.raises(CheckpointError, match="none of the checkpoints"):
        newest(folder, World())
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        Stored(folder / "step-000000000500")

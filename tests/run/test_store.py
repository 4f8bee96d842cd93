"""The run directory: what is written is what is read, whatever happens to the writer."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from distdyn.errors import RunDirectoryError
from distdyn.run.directory import RunDirectory
from distdyn.run.lock import Lock
from distdyn.run.memory import Memory
from distdyn.run.provenance import describe_run
from distdyn.run.reader import load, read_run, trace_files
from distdyn.run.recording import Header, Sampling, concatenate

ROOT = Path(__file__).parents[2]
HEADER = Header(
    dt=0.1,
    sizes={"E": 80, "cortex.I": 20, "silent": 5},
    offsets={"E": 0, "cortex.I": 80, "silent": 100},
    spikes=("E", "cortex.I", "silent"),
    traces={
        "E.V": Sampling(np.array([3, 1]), 10, "mV", "float64"),
        "cortex.I.exc.g": Sampling(np.arange(20), 5, "nS", "float32"),
    },
)


def play(sink, seed: int, start: int, stop: int):
    """One call of `run`: spikes of two populations and two traces, in chunks of 50 steps."""
    sink.begin(start)
    for first in range(start, stop, 50):
        rng = np.random.default_rng([seed, first])
        for path in sink.header.spikes:
            if path != "silent":
                size = sink.header.sizes[path]
                key = rng.permutation(50 * size)[:9]
                sink.append_spikes(path, first + 1 + key // size, key % size)
        for path, how in sink.header.traces.items():
            step = np.arange(first + how.interval, first + 51, how.interval)
            value = rng.normal(size=(len(step), len(how.id))).astype(how.dtype)
            sink.append_trace(path, step, how.id, value)
        sink.flush(first + 50)
    return sink.finish(stop)


def assert_same(a, b) -> None:
    assert (a.start, a.stop, a.dt, dict(a.sizes)) == (b.start, b.stop, b.dt, dict(b.sizes))
    assert list(a.spikes) == list(b.spikes) and list(a.traces) == list(b.traces)
    for path in a.spikes:
        for name in ("step", "time", "id"):
            one, two = getattr(a.spikes[path], name), getattr(b.spikes[path], name)
            assert one.dtype == two.dtype and np.array_equal(one, two)
    for path in a.traces:
        assert a.traces[path].unit == b.traces[path].unit
        for name in ("time", "id", "value"):
            one, two = getattr(a.traces[path], name), getattr(b.traces[path], name)
            assert one.dtype == two.dtype and np.array_equal(one, two)


@pytest.fixture
def stored(tmp_path, seed):
    """The directory of a run of 1000 steps."""
    writer = RunDirectory(tmp_path / "a").create(HEADER)
    play(writer, seed, 0, 1000)
    writer.close()
    return tmp_path / "a"


@pytest.mark.parametrize("every", [0.0, 1000.0])
def test_directory_and_memory_hold_the_same(tmp_path, seed, every):
    writer = RunDirectory(tmp_path / "a").create(HEADER, every=every)
    recording = play(writer, seed, 0, 1000)
    expected = play(Memory(HEADER), seed, 0, 1000)
    assert_same(recording, expected)
    assert_same(load(tmp_path / "a"), expected)
    assert recording.spikes_sha256() == expected.spikes_sha256()
    assert read_run(tmp_path / "a")["spikes_sha256"] == expected.spikes_sha256()


def test_time_of_step_0_is_kept(tmp_path):
    header = Header(dt=0.1, sizes={"E": 3}, offsets={"E": 0}, spikes=("E",), t0=1e6)
    writer = RunDirectory(tmp_path / "a").create(header)
    writer.begin(0)
    step = np.array([1, 2, 10**9])
    writer.append_spikes("E", step, np.array([0, 1, 2]))
    writer.finish(10**9)
    assert np.array_equal(load(tmp_path / "a").spikes["E"].step, step)


def test_further_runs_append_and_return_their_own_part(tmp_path, seed):
    writer, memory = RunDirectory(tmp_path / "a").create(HEADER), Memory(HEADER)
    parts, expected = [], []
    for start, stop in ((0, 50), (50, 50), (50, 400), (400, 1000)):
        parts.append(play(writer, seed, start, stop))
        expected.append(play(memory, seed, start, stop))
    for one, two in zip(parts, expected, strict=True):  # also the early ones, after later runs
        assert_same(one, two)
    whole = concatenate(expected)
    assert_same(load(tmp_path / "a"), whole)
    assert_same(concatenate(parts), whole)
    assert read_run(tmp_path / "a")["spikes_sha256"] == whole.spikes_sha256()


def test_part_of_a_stored_recording_is_read_alone(stored, seed):
    expected = play(Memory(HEADER), seed, 0, 1000)
    assert_same(load(stored).between(20.0, 70.0), expected.between(20.0, 70.0))


def test_run_after_a_reset_is_refused(tmp_path, seed):
    writer = RunDirectory(tmp_path / "a").create(HEADER)
    play(writer, seed, 0, 100)
    with pytest.raises(RunDirectoryError, match=r"holds the steps up to 100.*begins at step 0"):
        writer.begin(0)


def test_warmup_that_was_not_recorded_is_no_part_of_it(tmp_path, seed):
    writer = RunDirectory(tmp_path / "a").create(HEADER)
    play(writer, seed, 500, 1000)
    recording = load(tmp_path / "a")
    assert (recording.start, recording.stop) == (500, 1000)
    assert recording.rates()["E"] == pytest.approx(90 / 80 / 0.05)


def test_files_have_the_sonata_layout(stored):
    with h5py.File(stored / "spikes.h5") as file:
        assert file.attrs["magic"] == 0x0A7A and file.attrs["magic"].dtype == np.uint32
        assert file.attrs["version"].tolist() == [0, 1]
        assert set(file["spikes"]) == {"E", "cortex.I", "silent"}
        group = file["spikes/cortex.I"]
        assert group["timestamps"].dtype == "f8" and group["node_ids"].dtype == "u8"
        assert group["timestamps"].attrs["units"] == "ms"
        assert group["timestamps"].compression is None
        assert h5py.check_enum_dtype(group.attrs.get_id("sorting").dtype)["by_time"] == 2
        assert group.attrs["sorting"] == 2
        assert np.all(np.diff(group["timestamps"]) >= 0)
        assert file["spikes/silent/timestamps"].shape == (0,)
    with h5py.File(stored / "E.V.h5") as file:
        group = file["report/E"]
        assert group["data"].shape == (100, 2) and group["data"].attrs["units"] == "mV"
        assert group["mapping/node_ids"][...].tolist() == [3, 1]
        assert group["mapping/time"][...] == pytest.approx([1.0, 101.0, 1.0])


def test_libsonata_reads_our_files(stored, seed):
    libsonata = pytest.importorskip("libsonata")
    expected = play(Memory(HEADER), seed, 0, 1000)
    spikes = libsonata.SpikeReader(str(stored / "spikes.h5"))
    assert set(spikes.get_population_names()) == set(HEADER.sizes)
    found = spikes["E"].get()
    assert [id for id, _ in found] == expected.spikes["E"].id.tolist()
    assert [time for _, time in found] == expected.spikes["E"].time.tolist()
    report = libsonata.ElementReportReader(str(stored / "cortex.I.exc.g.h5"))["cortex.I"]
    assert np.array_equal(report.get().data, expected.traces["cortex.I.exc.g"].value)
    assert report.get().times == pytest.approx(expected.traces["cortex.I.exc.g"].time)


def test_run_json_says_where_it_comes_from_and_how_it_ended(tmp_path, seed):
    run = describe_run(
        network="coba", neurons=105, synapses=7, seed=seed, precision="float32", platform="cpu"
    )
    writer = RunDirectory(tmp_path / "a").create(HEADER, run)
    assert read_run(tmp_path / "a")["exit_reason"] == "running"
    play(writer, seed, 0, 100)
    writer.update(phases={"build": 1.5, "run": 2.5})
    found = read_run(tmp_path / "a")
    assert found["exit_reason"] == "completed" and found["steps"] == 100 and found["seed"] == seed
    assert found["populations"]["cortex.I"] == {"size": 20, "offset": 80}
    assert found["phases"] == {"build": 1.5, "run": 2.5}
    assert found["spikes"] == {"E": 18, "cortex.I": 18, "silent": 0}
    assert found["environment"]["versions"]["h5py"] == h5py.__version__
    assert found["start_time"] <= found["end_time"] and found["peak_rss"] > 0


def test_failure_keeps_the_complete_chunks_and_its_reason(tmp_path, seed):
    writer = RunDirectory(tmp_path / "a").create(HEADER)
    play(writer, seed, 0, 100)
    writer.begin(100)
    writer.append_spikes("E", np.array([120]), np.array([7]))
    writer.flush(150)
    writer.fail(ValueError("V is not finite"))
    writer.close()
    assert read_run(tmp_path / "a")["exit_reason"] == "ValueError: V is not finite"
    recording = load(tmp_path / "a")
    assert recording.stop == 150 and recording.spikes["E"].id[-1] == 7


def test_existing_run_is_refused_and_left_alone(stored):
    before = {path: path.read_bytes() for path in stored.iterdir()}
    with pytest.raises(RunDirectoryError, match=r"holds a run already.*--overwrite"):
        RunDirectory(stored)
    assert {path: path.read_bytes() for path in stored.iterdir()} == before


def test_overwrite_replaces_the_files_of_the_run_and_nothing_else(stored, seed):
    (stored / "notes.txt").write_text("mine")
    directory = RunDirectory(stored, overwrite=True)
    assert load(stored).stop == 1000  # still there: the build of the new run may fail
    header = Header(dt=0.5, sizes={"E": 80}, offsets={"E": 0}, spikes=("E",))
    play(directory.create(header), seed, 0, 100)
    names = {path.name for path in stored.iterdir()}
    assert names == {"notes.txt", "run.json", "spikes.h5", "lock"}
    assert load(stored).dt == 0.5


def test_file_of_someone_else_is_not_overwritten(tmp_path):
    (tmp_path / "E.V.h5").write_text("mine")
    directory = RunDirectory(tmp_path, overwrite=True)
    with pytest.raises(RunDirectoryError, match=r"E\.V\.h5"):
        directory.create(HEADER)
    assert (tmp_path / "E.V.h5").read_text() == "mine"


@pytest.mark.parametrize("name", ["missing/a", "file/a", "file", ""])
def test_directory_that_cannot_be_made_is_refused_at_once(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirectoryError, match="out: "):
        RunDirectory(tmp_path / name if name else "")


def test_read_only_directory_is_refused_at_once(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("nothing is read-only for root")
    tmp_path.chmod(0o500)
    with pytest.raises(RunDirectoryError, match="Permission denied"):
        RunDirectory(tmp_path / "a")
    with pytest.raises(RunDirectoryError, match="Permission denied"):
        RunDirectory(tmp_path)


def test_claim_that_led_to_nothing_leaves_nothing(tmp_path):
    RunDirectory(tmp_path / "a").close()
    assert list(tmp_path.iterdir()) == []


# ---- one run per directory


def test_second_run_in_one_directory_is_refused(tmp_path):
    first = RunDirectory(tmp_path / "a")
    with pytest.raises(RunDirectoryError, match="earlier run of this process"):
        RunDirectory(tmp_path / "a")
    first.close()
    RunDirectory(tmp_path / "a").close()


def test_runner_that_is_gone_holds_no_lock(tmp_path, seed):
    writer = RunDirectory(tmp_path / "a").create(HEADER)
    play(writer, seed, 0, 50)
    del writer
    RunDirectory(tmp_path / "a", overwrite=True).close()


def test_run_that_was_replaced_in_this_process_writes_no_more(tmp_path, seed):
    old = RunDirectory(tmp_path / "a").create(HEADER)
    play(old, seed, 0, 50)
    new = RunDirectory(tmp_path / "a", overwrite=True).create(HEADER)
    with pytest.raises(RunDirectoryError, match="another run took"):
        play(old, seed, 50, 100)
    play(new, seed, 0, 100)
    old.close()
    assert new.directory.holds_lock
    assert load(tmp_path / "a").stop == 100


def test_lock_of_another_process_names_it(tmp_path):
    code = (
        "import sys, pathlib; from distdyn.run.lock import Lock;"
        "lock = Lock(pathlib.Path(sys.argv[1])); print('ready', flush=True); sys.stdin.read()"
    )
    with child(code, str(tmp_path)) as other:
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(RunDirectoryError, match=f"process {other.pid} on host"):
            Lock(tmp_path, take_own=True)
        other.kill()
    assert (tmp_path / "lock").exists()
    Lock(tmp_path).release()  # it is dead: taken over
    assert list(tmp_path.iterdir()) == []


def test_lock_of_another_host_or_of_nobody_known_is_respected(tmp_path):
    for text in ('{"pid": 1, "host": "elsewhere"}', "", "[]", "\x00\xff" * 1000):
        (tmp_path / "lock").write_text(text)
        with pytest.raises(RunDirectoryError, match=r"is writing to.*delete"):
            Lock(tmp_path)


def test_lock_of_an_earlier_process_with_our_number_is_taken_over(tmp_path):
    first = Lock(tmp_path)
    holder = json.loads((tmp_path / "lock").read_text())
    if holder["started"] is None:
        pytest.skip("this system does not tell when a process started")
    first.release()
    (tmp_path / "lock").write_text(json.dumps(holder | {"started": holder["started"] - 1}))
    assert Lock(tmp_path).is_held


# ---- the end of the writer

WRITE_FOREVER = """
import sys
sys.path.insert(0, "tests/run")
from test_store import HEADER, RunDirectory, play

writer = RunDirectory(sys.argv[1]).create(HEADER, every=0.0)
for start in range(0, 10**9, 50):
    play(writer, 7, start, start + 50)
    print(start + 50, flush=True)
"""


def child(code: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )


@pytest.mark.parametrize("lines", [3, 40])
def test_killed_run_is_readable_to_the_last_flush(tmp_path, lines):
    with child(WRITE_FOREVER, str(tmp_path / "a")) as writer:
        for _ in range(lines):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        stop = int((writer.stdout.read().split() or [str(50 * lines)])[-1])
    expected = play(Memory(HEADER), 7, 0, stop)
    with h5py.File(tmp_path / "a" / "spikes.h5") as file:  # plain h5py
        found = file["spikes/E/timestamps"][: len(expected.spikes["E"])]
        assert np.array_equal(found, expected.spikes["E"].time)
    recording = load(tmp_path / "a")
    assert recording.stop >= stop
    assert_same(recording.part(0, stop), expected)
    assert read_run(tmp_path / "a")["exit_reason"] in ("running", "completed")
    RunDirectory(tmp_path / "a", overwrite=True).close()  # the lock of the dead is no obstacle


def test_what_lies_beyond_the_last_flush_is_not_read(stored, seed):
    with h5py.File(stored / "spikes.h5", "r+") as file:  # as if it died within a write
        for name in ("timestamps", "node_ids"):
            file[f"spikes/E/{name}"].resize(10_000, axis=0)
        file["committed"][1] = 900
    with h5py.File(stored / "E.V.h5", "r+") as file:
        file["report/E/data"].resize(101, axis=0)
    recording = load(stored)
    expected = play(Memory(HEADER), seed, 0, 1000)
    assert len(recording.spikes["E"]) == len(expected.spikes["E"])
    assert recording.traces["E.V"].time[-1] == pytest.approx(90.0)


FULL_DISK = """
import resource, sys
import numpy as np
from distdyn.errors import RunDirectoryError
from distdyn.run.directory import RunDirectory
from distdyn.run.recording import Header

header = Header(dt=.1, sizes={"E": 10}, offsets={"E": 0}, spikes=("E",))
writer = RunDirectory(sys.argv[1]).create(header, every=0.)
writer.begin(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    for step in range(100):
        many = np.full(10_000, 1 + step), np.arange(10_000) % 10
        writer.append_spikes("E", *many)
        writer.flush(step + 1)
except RunDirectoryError as error:
    print(step, error, flush=True)
    writer.fail(error)
    writer.close()
"""


def test_full_disk_ends_the_run_with_path_and_cause(tmp_path):
    with child(FULL_DISK, str(tmp_path / "a")) as writer:
        out, err = writer.communicate(timeout=60)
    assert writer.returncode == 0, err
    step, message = out.split(" ", 1)
    assert "spikes.h5" in message and "File too large" in message and int(step) > 1
    assert read_run(tmp_path / "a")["exit_reason"].startswith("RunDirectoryError: ")
    recording = load(tmp_path / "a")
    assert recording.stop == int(step)
    assert np.array_equal(
        recording.spikes["E"].step, np.repeat(np.arange(1, int(step) + 1), 10_000)
    )
    assert not (tmp_path / "a" / "lock").exists()


def test_nearly_full_disk_is_noticed_before_it_is_full(tmp_path, seed, monkeypatch):
    writer = RunDirectory(tmp_path / "a").create(HEADER)
    play(writer, seed, 0, 100)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Disk", (), {"total": 9, "free": 1}))
    with pytest.raises(RunDirectoryError, match="1 bytes are free"):
        play(writer, seed, 100, 200)
    assert load(tmp_path / "a").stop == 100


# ---- reading what is missing, damaged or hostile


@pytest.mark.parametrize("name", ["run.json", "spikes.h5", "E.V.h5"])
def test_missing_file_is_named(stored, name):
    (stored / name).unlink()
    with pytest.raises(RunDirectoryError, match=name.replace(".", r"\.")):
        load(stored)


@pytest.mark.parametrize("content", [b"", b"\x00" * 4096, b"{}", b'{"format": 99}', b"[" * 100_000])
@pytest.mark.parametrize("name", ["run.json", "spikes.h5", "E.V.h5"])
def test_damaged_file_is_named(stored, name, content):
    (stored / name).write_bytes(content)
    with pytest.raises(RunDirectoryError, match=name.replace(".", r"\.")):
        load(stored)


def test_truncated_file_is_named(stored):
    whole = (stored / "spikes.h5").read_bytes()
    (stored / "spikes.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunDirectoryError, match=r"spikes\.h5"):
        load(stored)


def test_directory_without_a_run_is_named(tmp_path):
    with pytest.raises(RunDirectoryError, match="holds no run"):
        load(tmp_path)
    with pytest.raises(RunDirectoryError, match="is not a directory"):
        load(tmp_path / "missing")


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("dt",), 0.0),
        (("dt",), "fast"),
        (("populations",), None),
        (("recorded", "spikes"), ["../E"]),
        (("recorded", "spikes"), ["nobody"]),
        (("recorded", "traces"), {"../../etc/E.V": {"interval": 1, "unit": "mV"}}),
        (("recorded", "traces"), {"E.V": {"interval": 0, "unit": "mV"}}),
    ],
)
def test_nonsense_in_run_json_is_named(stored, where, value):
    run = json.loads((stored / "run.json").read_text())
    inner = run
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    (stored / "run.json").write_text(json.dumps(run))
    with pytest.raises(RunDirectoryError, match=r"run\.json"):
        load(stored)


def link_away(group, name, secret):
    group[name] = h5py.ExternalLink(str(secret), "/spikes/E/node_ids")


def link_to_itself(group, name, secret):
    group[name] = h5py.SoftLink(f"{group.name}/{name}")


def store_outside(group, name, secret):
    group.create_dataset(name, (100,), "u8", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def map_another_file(group, name, secret):
    layout = h5py.VirtualLayout(shape=(1000,), dtype="u8")
    layout[:] = h5py.VirtualSource(str(secret), "/x", shape=(1000,))
    group.create_virtual_dataset(name, layout)


def compress(group, name, secret):
    group.create_dataset(name, data=np.zeros(1000, "u8"), compression="gzip")


def claim_too_much(group, name, secret):
    group.create_dataset(name, (10**15,), "u8", chunks=(1000,))


def claim_large_chunks(group, name, secret):
    group.create_dataset(name, (1000,), "u8", maxshape=(None,), chunks=(2**28,))


def store_text(group, name, secret):
    group.create_dataset(name, data=np.array([b"x"] * 1000))


HOSTILE = [
    link_away,
    link_to_itself,
    store_outside,
    map_another_file,
    compress,
    claim_too_much,
    claim_large_chunks,
    store_text,
]


@pytest.mark.parametrize("plant", HOSTILE)
def test_hostile_file_is_refused_before_it_is_read(stored, tmp_path, plant):
    (tmp_path / "secret").write_bytes(b"\x01" * 8000)
    with h5py.File(stored / "spikes.h5", "r+") as file:
        del file["spikes/E/node_ids"]
        plant(file["spikes/E"], "node_ids", tmp_path / "secret")
    with pytest.raises(RunDirectoryError, match=r"spikes\.h5.*node_ids"):
        load(stored)


def test_names_of_trace_files_stay_apart():
    names = list(trace_files(["E.V", "E.v", "a" * 300, "a" * 300 + "b", "spikes"]).values())
    assert len({name.lower() for name in names}) == 5 and max(map(len, names)) < 120
    assert names[0] == "E.V.h5" and "spikes.h5" not in names


def test_names_of_a_single_cell_are_bare(tmp_path, seed):
    header = Header(
        dt=0.1,
        sizes={"cell": 1},
        offsets={"cell": 0},
        spikes=("cell",),
        traces={"V": Sampling(np.array([0]), 1, "mV")},
    )
    recording = play(RunDirectory(tmp_path / "a").create(header), seed, 0, 100)
    assert_same(load(tmp_path / "a"), recording)
    with h5py.File(tmp_path / "a" / "V.h5") as file:
        assert list(file["report"]) == ["cell"]


def test_integers_and_no_columns_can_be_recorded(tmp_path, seed):
    header = Header(
        dt=0.1,
        sizes={"E": 3, "none": 0},
        offsets={"E": 0, "none": 3},
        traces={
            "E.count": Sampling(np.arange(3), 1, "", "int32"),
            "none.V": Sampling(np.zeros(0, np.int64), 1, "mV"),
        },
    )
    recording = play(RunDirectory(tmp_path / "a").create(header), seed, 0, 100)
    assert_same(recording, play(Memory(header), seed, 0, 100))
    assert_same(load(tmp_path / "a"), recording)
    assert recording.spikes_sha256() is None and read_run(tmp_path / "a")["spikes_sha256"] is None

"""What many ranks record: gathered in memory, merged or linked in files, readable after a crash."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from distdyn.errors import RunDirectoryError
from distdyn.run.directory import RunDirectory
from distdyn.run.reader import load, read_run

pytestmark = pytest.mark.mpi

# Every rank knows all that happens, and records what is of its own neurons: blocks of 8 in turn.
PLAY = '''
import json, os, sys
from pathlib import Path
import numpy as np
from distdyn.errors import RunDirectoryError
from distdyn.parallel.launch import world
from distdyn.run import collect, joined
from distdyn.run.directory import RunDirectory
from distdyn.run.memory import Memory
from distdyn.run.reader import load
from distdyn.run.recording import Header, Sampling, Share, concatenate

HEADER = Header(
    dt=0.1,
    sizes={"E": 80, "cortex.I": 20, "silent": 5},
    offsets={"E": 0, "cortex.I": 80, "silent": 100},
    spikes=("E", "cortex.I", "silent"),
    spiking=("E", "cortex.I", "silent"),
    traces={
        "E.V": Sampling(np.array([33, 1, 79, 33, 8]), 10, "mV", "float64"),
        "cortex.I.g": Sampling(np.arange(20), 5, "nS", "float32"),
        "silent.V": Sampling(np.array([2]), 5, "mV", "float32"),  # on rank 0 alone
    },
)
us = world()


def owned(path):
    id = np.arange(HEADER.sizes[path])
    return id[id // 8 % us.size == us.rank]


def of(trace):
    return trace.rpartition(".")[0]


SHARE = Share(
    us, HEADER, {path: owned(path) for path in HEADER.spikes},
    {name: np.flatnonzero(np.isin(how.id, owned(of(name)))) for name, how in HEADER.traces.items()},
)


def play(sink, start, stop, share=None, many=300, finish=True):
    """One call of `run`, of all neurons or of this rank's, in chunks of 50 steps."""
    sink.begin(start)
    for first in range(start, stop, 50):
        rng = np.random.default_rng([7, first])
        for path in HEADER.spikes:
            if path != "silent":
                size = HEADER.sizes[path]
                key = rng.permutation(50 * size)[:many]
                if first == 100:
                    key = np.arange(size)  # all neurons in one step
                step, id = first + 1 + key // size, key % size
                mine = np.isin(id, share.id[path]) if share else slice(None)
                sink.append_spikes(path, step[mine], id[mine])
        for name, how in HEADER.traces.items():
            step = np.arange(first + how.interval, first + 51, how.interval)
            value = rng.normal(size=(len(step), HEADER.sizes[of(name)])).astype(how.dtype)
            value = value[:, sink.header.traces[name].id]
            sink.append_trace(name, step, sink.header.traces[name].id, value)
        sink.flush(first + 50)
    return sink.finish(stop) if finish else None


def assert_same(a, b):
    assert (a.start, a.stop, list(a.spikes)) == (b.start, b.stop, list(b.spikes))
    for path in a.spikes:
        for x in ("step", "time", "id"):
            one, two = getattr(a.spikes[path], x), getattr(b.spikes[path], x)
            assert one.dtype == two.dtype and np.array_equal(one, two), (path, x)
    for path in a.traces:
        for x in ("time", "id", "value"):
            one, two = getattr(a.traces[path], x), getattr(b.traces[path], x)
            assert one.dtype == two.dtype and np.array_equal(one, two), (path, x)


def assert_share(recording, whole):
    """What a rank holds is what is of its neurons, in the order of the whole."""
    for path in HEADER.spikes:
        mine = np.isin(whole.spikes[path].id, owned(path))
        assert np.array_equal(recording.spikes[path].step, whole.spikes[path].step[mine])
        assert np.array_equal(recording.spikes[path].id, whole.spikes[path].id[mine])
    for name in HEADER.traces:
        column = SHARE.column[name]
        assert np.array_equal(recording.traces[name].value, whole.traces[name].value[:, column])


def claim(path, every=1.0, **options):
    """As a runner does it: rank 0 first."""
    for rank in (0, 1):
        if min(us.rank, 1) == rank:
            directory = RunDirectory(path, world=us, **options)
            directory.clear()
        us.barrier()
    return directory.create(HEADER, {"network": "play"}, every=every, share=SHARE)
'''
WIDTHS = pytest.mark.parametrize("n", [2, 3])


def test_one_rank_plays_too(ranks):
    """The script itself: what the others are compared with."""
    ranks(None, PLAY + "assert len(play(Memory(HEADER), 0, 500).spikes['E']) > 2500", light=True)


@WIDTHS
def test_recordings_in_memory_are_gathered(ranks, n):
    script = """
collect.TOTAL = 1  # the smallest blocks
sink = Memory(HEADER, SHARE)
parts = [play(sink, start, stop, SHARE) for start, stop in ((0, 0), (0, 150), (150, 1000))]
mine = concatenate(parts)
alone = Memory(HEADER)
expected = [play(alone, start, stop) for start, stop in ((0, 0), (0, 150), (150, 1000))]
whole = concatenate(expected)
assert_share(mine, whole)
for one, two in zip([*parts, mine], [*expected, whole]):
    assert one.counts() == two.counts() and one.rates() == two.rates()
    assert one.spikes_sha256() == two.spikes_sha256()
    found = one.gather()
    assert (found is None) == (us.rank > 0)
    if found:
        assert_same(found, two)
        assert found.gather() is found and "rank" not in repr(found)
cut = mine.between(20.0, 50.0)
assert cut.spikes_sha256() == whole.between(20.0, 50.0).spikes_sha256()
if us.rank == 0:
    assert f"the share of rank 0 of {us.size}" in repr(mine)  # not collective
import pickle
assert_share(pickle.loads(pickle.dumps(mine)), whole)
"""
    ranks(n, PLAY + script, light=True)


@WIDTHS
def test_files_become_those_of_one_rank(ranks, tmp_path, n):
    """Byte by byte; and what was handed out before goes on working."""
    script = """
writer = claim(sys.argv[1], every=0.0)
parts = [play(writer, start, stop, SHARE) for start, stop in ((0, 150), (150, 1000))]
before = parts[0].gather()
alone = Memory(HEADER)
expected = [play(alone, start, stop) for start, stop in ((0, 150), (150, 1000))]
hashes = [part.spikes_sha256() for part in parts]
assert hashes == [part.spikes_sha256() for part in expected]
assert_share(parts[0], expected[0])
if us.rank == 0:
    files = {each.name for each in Path(sys.argv[1]).iterdir()}
    assert "spikes.rank-0001.h5" in files and "spikes.h5" not in files, files
    assert_same(before, expected[0])
    assert_same(load(sys.argv[1]), concatenate(expected))
writer.close()
writer.close()
for one, two in zip(parts, expected):
    assert_share(one, two)
    assert one.counts() == two.counts() and one.spikes_sha256() == two.spikes_sha256()
    whole = one.gather()
    if us.rank == 0:
        assert_same(whole, two)
        assert_same(whole.between(5.0, 10.0) if one is parts[0] else whole,
                    two.between(5.0, 10.0) if one is parts[0] else two)
if us.rank == 0:
    assert_same(before, expected[0])
    alone = RunDirectory(sys.argv[2]).create(HEADER, {"network": "play"})
    for start, stop in ((0, 150), (150, 1000)):
        play(alone, start, stop)
    alone.close()
"""
    many, one = tmp_path / "many", tmp_path / "one"
    ranks(n, PLAY + script, str(many), str(one), light=True)
    names = {"run.json", "spikes.h5", "E.V.h5", "cortex.I.g.h5", "silent.V.h5"}
    assert {file.name for file in many.iterdir()} == names
    found, expected = read_run(many), read_run(one)
    for key in ("spikes", "rates", "spikes_sha256", "steps", "exit_reason", "recorded"):
        assert found[key] == expected[key], key
    assert found["peak_rss"] > 1.5 * expected["peak_rss"]
    for name in ("E.V.h5", "cortex.I.g.h5", "silent.V.h5"):
        with h5py.File(many / name) as a, h5py.File(one / name) as b:
            population = next(iter(a["report"]))
            for what in ("data", "mapping/node_ids", "mapping/index_pointers", "mapping/time"):
                x, y = (file[f"report/{population}/{what}"] for file in (a, b))
                assert x.dtype == y.dtype and np.array_equal(x, y), (name, what)
    with h5py.File(many / "spikes.h5") as a, h5py.File(one / "spikes.h5") as b:
        assert list(a["spikes"]) == list(b["spikes"])
        assert a["committed"][...].tolist() == b["committed"][...].tolist()
        for path in a["spikes"]:
            assert a[f"spikes/{path}"].attrs["sorting"] == 2
            for what in ("timestamps", "node_ids"):
                assert np.array_equal(a[f"spikes/{path}/{what}"], b[f"spikes/{path}/{what}"])


@WIDTHS
def test_files_that_are_not_merged_are_shown_as_one(ranks, tmp_path, monkeypatch, n):
    script = """
writer = claim(sys.argv[1], merge=False)
recording = play(writer, 0, 1000, SHARE)
writer.close()
expected = play(Memory(HEADER), 0, 1000)
assert_share(recording, expected)
if us.rank == 0:
    assert_same(load(sys.argv[1]), expected)
    assert load(sys.argv[1]).spikes_sha256() == expected.spikes_sha256()
    assert_same(load(sys.argv[1]).between(20.0, 50.0), expected.between(20.0, 50.0))
    joined.TOTAL = 1  # the index of the smallest blocks
    for path in HEADER.spikes:
        rows = load(sys.argv[1]).spike_rows[path]
        for first, last in ((0, 1), (0, 0), (1000, 1001), (5, 2000), (7, 5007)):
            last = min(last, rows.count)
            step, id = rows.read(min(first, last), last)
            here = slice(min(first, last), last)
            assert np.array_equal(step, expected.spikes[path].step[here])
            assert np.array_equal(id, expected.spikes[path].id[here])
"""
    ranks(n, PLAY + script, str(tmp_path / "run"), light=True)
    monkeypatch.chdir("/")  # the files name each other without directories
    (tmp_path / "run").rename(tmp_path / "moved")
    recording = load(tmp_path / "moved")
    with h5py.File(tmp_path / "moved" / "spikes.h5") as file:
        for path in recording.spikes:
            group = file[f"spikes/{path}"]
            time, id = group["timestamps"][...], group["node_ids"][...]
            assert group["node_ids"].is_virtual or not len(id)
            order = np.lexsort((id, time))
            assert np.array_equal(time[order], recording.spikes[path].time)
            assert np.array_equal(id[order], recording.spikes[path].id)
    with h5py.File(tmp_path / "moved" / "cortex.I.g.h5") as file:
        group = file["report/cortex.I"]
        order = np.argsort(group["mapping/node_ids"])
        assert np.array_equal(group["data"][...][:, order], recording.traces["cortex.I.g"].value)


@WIDTHS
def test_run_that_died_is_readable_up_to_the_step_that_all_have_written(ranks, tmp_path, n):
    script = """
# Every rank dies in the middle of its run; rank 1 has not written since the first call.
writer = claim(sys.argv[1], every=1e9 if us.rank == 1 else 0.0)
play(writer, 0, 200, SHARE)
play(writer, 200, 400, SHARE, finish=False)
writer.update(exit_reason="running")
us.barrier()
if us.rank == 0:
    expected = play(Memory(HEADER), 0, 200)
    found = load(sys.argv[1])
    assert found.stop == 200, found.stop
    assert_same(found, expected)
    assert found.spikes_sha256() == expected.spikes_sha256()
us.barrier()
os.kill(os.getpid(), 9)
"""
    directory = tmp_path / "run"
    ended = ranks(n, PLAY + script, str(directory), light=True, ok=False)
    assert ended.code and "Error" not in ended.err, ended.err
    assert (directory / "spikes.rank-0001.h5").exists() and not (directory / "spikes.h5").exists()
    recording = load(directory)
    assert (recording.start, recording.stop) == (0, 200)
    assert recording.traces["cortex.I.g"].value.shape == (40, 20)
    assert sum(recording.counts().values()) > 500
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        RunDirectory(directory)
    (directory / "notes.rank-0000.h5").write_text("mine")
    again = RunDirectory(directory, overwrite=True)  # the lock of the dead is no obstacle
    again.clear()
    assert {file.name for file in directory.iterdir()} == {"lock", "notes.rank-0000.h5"}


def test_missing_file_of_a_rank_is_named(ranks, tmp_path):
    script = "play(claim(sys.argv[1]), 0, 100, SHARE)"
    directory = tmp_path / "run"
    ranks(2, PLAY + script, str(directory), light=True)
    assert load(directory).stop == 100
    (directory / "E.V.rank-0001.h5").unlink()
    with pytest.raises(RunDirectoryError, match=r'each of 5 columns of "E\.V"'):
        load(directory)
    (directory / "spikes.rank-0001.h5").unlink()
    with pytest.raises(RunDirectoryError, match=r"spikes\.rank-0001\.h5"):
        load(directory)
    run = json.loads((directory / "run.json").read_text())
    (directory / "run.json").write_text(json.dumps(run | {"rank_files": "many"}))
    with pytest.raises(RunDirectoryError, match="rank_files"):
        load(directory)


def test_what_one_rank_cannot_write_is_an_error_on_all(ranks, tmp_path):
    script = """
writer = claim(sys.argv[1])
play(writer, 0, 100, SHARE)
if us.rank == 1:
    (Path(sys.argv[1]) / "spikes.rank-0001.h5").unlink()
try:
    play(writer, 100, 200, SHARE)
except RunDirectoryError as error:
    assert "spikes.rank-0001.h5" in str(error)
    writer.fail(error)
    writer.close()
    print("all is known")
"""
    ended = ranks(2, PLAY + script, str(tmp_path / "run"), light=True)
    assert ended.out.count("all is known") == 2
    assert read_run(tmp_path / "run")["exit_reason"].startswith("RunDirectoryError")
    assert not (tmp_path / "run" / "lock").exists()


def test_merge_that_fails_keeps_the_files_of_the_ranks(ranks, tmp_path):
    script = """
from distdyn.run.store import recording, unusable
writer = claim(sys.argv[1])
play(writer, 0, 100, SHARE)
def full(path, size):
    raise unusable(path, "w", OSError("the disk is full"))
recording.check_free = full
try:
    writer.close()
except RunDirectoryError as error:
    assert "the disk is full" in str(error)
    print("all is known")
if us.rank == 0:
    assert_same(load(sys.argv[1]), play(Memory(HEADER), 0, 100))
"""
    ended = ranks(2, PLAY + script, str(tmp_path / "run"), light=True)
    assert ended.out.count("all is known") == 2
    assert not [f.name for f in (tmp_path / "run").iterdir() if "draft" in f.name]


# --- whole runs ----------------------------------------------------------------------------------

NETWORK = """
import hashlib, sys
import numpy as np
import distdyn as dd
from distdyn.parallel.launch import world


class Balanced(dd.Network):
    def __init__(self, n=200):
        cell = dd.LIF(C_m=200.0, tau_m=20.0, E_L=-60.0, V_reset=-60.0, t_ref=5.0, I_e=200.0)
        self.E = dd.Population(int(0.8 * n), cell, V=dd.Normal(-55.0, 5.0))
        self.I = dd.Population(n - self.E.size, cell, V=dd.Normal(-55.0, 5.0))
        everyone, rule = (self.E, self.I), dd.FixedProb(0.2)
        delay = dd.Uniform(0.1, 2.0)
        self.exc = dd.Projection(
            self.E, everyone, rule, dd.Exponential(tau=5.0), dd.COBA(E=0.0), weight=6.0, delay=delay
        )
        self.inh = dd.Projection(
            self.I, everyone, rule, dd.Exponential(tau=10.0), dd.COBA(E=-80.0), weight=30.0,
            delay=delay,
        )


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in arrays)).hexdigest()


def build(**options):
    record = ["spikes", dd.every(1.0, "E.V", ids=[70, 3, 159, 3]), "I.exc.g"]
    return dd.DSRunner(Balanced(), **{"dt": 0.1, "seed": 1, "record": record} | options)
"""
RUN = """
with build(out=sys.argv[1] if len(sys.argv) > 1 else None) as runner:
    first = runner.run(20.0)
    edges = runner["exc"].edges(pre=range(3))
    runner["E"].I_e = np.linspace(200.0, 300.0, 160)
    runner["I"].V = -60.0
    runner["exc"].weight = 5.0
    second = runner.run(30.0)
    found = [digest(runner["E"].V, runner["exc"].g, runner["E"].I_e), digest(*edges)]
found += [first.spikes_sha256(), second.spikes_sha256(), sorted(second.counts().items())]
whole = [recording.gather() for recording in (first, second)]
if runner.world.rank == 0:
    for each in whole:
        found += [digest(t.time, t.id, t.value) for t in each.traces.values()]
        found += [digest(s.step, s.time, s.id) for s in each.spikes.values()]
    found += [runner.synapses, repr(whole[0])]
    print("RESULT", found)
else:
    assert whole == [None, None]
"""


def result(ended) -> list[str]:
    return [line for line in ended.out.splitlines() if line.startswith("RESULT")]


@pytest.mark.slow
@pytest.mark.parametrize("n, files", [(2, True), (3, False)])
def test_a_run_on_ranks_is_that_of_one_process(ranks, tmp_path, n, files):
    """Recordings, states, parameters and edges, with and without a directory."""
    alone = ranks(None, NETWORK + RUN, limit=120.0)
    out = [str(tmp_path / "run")] if files else []
    assert len(result(alone)) == 1
    assert result(ranks(n, NETWORK + RUN, *out, limit=240.0)) == result(alone)
    if files:
        assert sorted(f.name for f in (tmp_path / "run").iterdir()) == [
            "E.V.h5", "I.exc.g.h5", "run.json", "spikes.h5"
        ]  # fmt: skip


@pytest.mark.slow
def test_interrupt_of_one_rank_stops_all_at_the_same_step(ranks, tmp_path):
    script = """
import signal, threading
runner = build(record="spikes", out=sys.argv[1] if len(sys.argv) > 1 else None)
if runner.world.rank == 1:
    def press():
        while runner.step < 3000:
            pass
        signal.raise_signal(signal.SIGINT)
    threading.Thread(target=press, daemon=True).start()
try:
    with runner:
        runner.run(1e6)
    raise SystemExit("it was not interrupted")
except KeyboardInterrupt:
    pass
assert len(set(runner.world.allgather(runner.step))) == 1
assert runner.recording.stop == runner.step > 3000
digest = runner.recording.spikes_sha256()
assert len(set(runner.world.allgather(digest))) == 1
if runner.world.rank == 0:
    print("RESULT", runner.step, digest)
"""
    for out in ([], [str(tmp_path / "run")]):
        (line,) = result(ranks(2, NETWORK + script, *out, limit=120.0))
        _, step, digest = line.split()
        again = f"""
r = build(record="spikes").run({int(step)} * 0.1)
print("RESULT", r.spikes_sha256())
"""
        assert result(ranks(None, NETWORK + again, limit=120.0)) == [f"RESULT {digest}"]
    assert read_run(tmp_path / "run")["exit_reason"] == "KeyboardInterrupt"
    assert load(tmp_path / "run").spikes_sha256() == digest
    assert not list((tmp_path / "run").glob("*rank*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options, word",
    [
        ("seed=world().rank", "seed"),
        ("dt=0.1 * (1 + world().rank)", "dt"),
        ("record=['spikes', 'E.V'][: 1 + world().rank]", "record"),
        ("precision=['float32', 'float64'][world().rank]", "precision"),
    ],
)
def test_ranks_that_were_started_differently_all_hear_in_what(ranks, options, word):
    script = f"""
try:
    build({options})
except dd.errors.DistDynError as error:
    assert type(error).__name__ == "AgreementError" and {word!r} in str(error), error
    print("it is known")
"""
    import_errors = "import distdyn.errors\n"
    ended = ranks(2, NETWORK + import_errors + script, limit=60.0)
    assert ended.out.count("it is known") == 2


@pytest.mark.slow
def test_error_of_one_rank_in_the_arguments_is_one_on_all(ranks, tmp_path):
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "run.json").write_text("{}")
    script = """
from distdyn.errors import DistDynError
for options in ({"out": sys.argv[1]}, {"progress": "loud" if world().rank else "off"}):
    try:
        build(**options)
    except DistDynError as error:
        print("it is known", type(error).__name__)
"""
    ended = ranks(2, NETWORK + script, str(tmp_path / "held"), limit=60.0)
    # The ranks' words may be mixed.
    assert ended.out.count("RunDirectoryError") == ended.out.count("ParameterError") == 2


def test_command_line_speaks_once(ranks, tmp_path):
    """Banner, table and JSON from rank 0 alone."""
    words = ["-m", "distdyn", "run", "brunel", "--set", "n=200", "--duration", "30", "--seed", "3"]
    ended = ranks(2, [*words, "--json", "--out", str(tmp_path / "run")], limit=240.0)
    lines = ended.out.splitlines()
    found = json.loads(lines[-1])
    assert (found["ranks"], found["devices"], found["neurons"]) == (2, 1, 200)
    assert len([line for line in lines if line.startswith("distdyn")]) == 1
    assert "2 ranks x 1 cpu device" in lines[0] and "neurons/rank" in lines[1]
    table = lines.index(next(line for line in lines if line.split()[-3:] == ["min", "mean", "max"]))
    names = {line.split()[0] for line in lines[table + 1 : -1]}
    assert {"build", "compile", "run", "record", "update", "deliver", "wait"} <= names
    assert {"build", "compile", "run"} <= set(found["phases"])
    assert found["spikes_sha256"] == load(tmp_path / "run").spikes_sha256()
    kept = json.loads(Path(tmp_path / "run" / "run.json").read_text())
    assert kept["ranks"] == 2 and kept["spikes_sha256"] == found["spikes_sha256"]

"""Recordings: what they say, how they are cut and joined, and the hash of their spikes."""

import hashlib
import pickle
import time

import numpy as np
import pytest

from distdyn.errors import NameLookupError, RecordError, TimeError
from distdyn.ops.listing import merge
from distdyn.run.memory import Memory
from distdyn.run.provenance import describe_run, environment, peak_rss, write_json
from distdyn.run.recording import Header, Recording, Sampling, concatenate
from distdyn.run.rows import HeldRows
from distdyn.run.spike_hash import spikes_sha256

HEADER = Header(
    dt=0.1,
    sizes={"E": 80, "cortex.I": 20},
    offsets={"E": 0, "cortex.I": 80},
    spikes=("E", "cortex.I"),
    traces={"E.V": Sampling(np.array([3, 1]), 10, "mV", "float64")},
)


def spikes_of(rng: np.random.Generator, size: int, start: int, stop: int, n: int):
    """At most n spikes, in any order, no neuron twice in a step."""
    key = np.unique(rng.integers((start + 1) * size, (stop + 1) * size, n))
    rng.shuffle(key)
    return key // size, key % size


def feed(sink, rng: np.random.Generator, start: int, stop: int, chunk: int = 50) -> Recording:
    """One call of `run` with random spikes and samples."""
    sink.begin(start)
    for first in range(start, stop, chunk):
        last = min(first + chunk, stop)
        for path in sink.header.spikes:
            for _ in range(2):  # two parts of one population
                sink.append_spikes(path, *spikes_of(rng, sink.header.sizes[path], first, last, 7))
        for path, how in sink.header.traces.items():
            step = np.arange(first + 1, last + 1)
            step = step[step % how.interval == 0]
            value = rng.normal(size=(len(step), len(how.id))).astype(how.dtype)
            sink.append_trace(path, step, how.id, value)
        sink.flush(last)
    return sink.finish(stop)


def same(a: Recording, b: Recording) -> bool:
    """Whether two recordings hold the same, to the bit."""
    heads = [
        (r.start, r.stop, r.dt, r.sizes, r.offsets, list(r.spikes), list(r.traces)) for r in (a, b)
    ]
    spikes = [
        np.array_equal(getattr(a.spikes[path], name), getattr(b.spikes[path], name))
        for path in a.spikes
        for name in ("step", "time", "id")
    ]
    traces = [
        np.array_equal(getattr(a.traces[path], name), getattr(b.traces[path], name))
        for path in a.traces
        for name in ("time", "id", "value")
    ]
    return heads[0] == heads[1] and all(spikes) and all(traces)


def naive_sha256(recording: Recording) -> str:
    lines = sorted(
        (int(step), int(id) + recording.offsets[path])
        for path, spikes in recording.spikes.items()
        for step, id in zip(spikes.step, spikes.id, strict=True)
    )
    return hashlib.sha256("".join(f"{s},{g}\n" for s, g in lines).encode()).hexdigest()


@pytest.fixture
def recording(seed: int) -> Recording:
    return feed(Memory(HEADER), np.random.default_rng(seed), 0, 1000)


def test_spikes_are_sorted_by_step_and_id(recording):
    spikes = recording.spikes["cortex.I"]
    assert len(spikes) == len(spikes.step) > 100
    key = spikes.step * 20 + spikes.id
    assert np.all(key[1:] >= key[:-1])
    assert spikes.step.dtype == spikes.id.dtype == np.int64
    assert spikes.time.dtype == np.float64
    assert np.array_equal(spikes.time, spikes.step * 0.1)


def test_time_counts_from_t0():
    header = Header(dt=0.5, sizes={"E": 1}, offsets={"E": 0}, spikes=("E",), t0=100.0)
    sink = Memory(header)
    sink.append_spikes("E", np.array([3]), np.array([0]))
    recording = sink.finish(10)
    assert recording.spikes["E"].time.tolist() == [101.5]
    assert len(recording.between(101.0, 101.5).spikes["E"]) == 1


def test_traces_have_time_ids_and_values(recording):
    trace = recording.traces["E.V"]
    assert trace.value.shape == (100, 2) and trace.value.dtype == np.float64
    assert trace.id.tolist() == [3, 1] and trace.unit == "mV"
    assert np.array_equal(trace.time, np.arange(10, 1001, 10) * 0.1)


def test_columns_other_than_announced_are_refused():
    with pytest.raises(RecordError, match="order of the header"):
        Memory(HEADER).append_trace("E.V", np.array([10]), np.array([1, 3]), np.zeros((1, 2)))


def test_sink_keeps_nothing_that_the_caller_may_change():
    sink = Memory(HEADER)
    step, id, value = np.array([1]), np.array([2]), np.zeros((1, 2))
    sink.append_spikes("E", step, id)
    sink.append_trace("E.V", np.array([10]), np.array([3, 1]), value)
    step[:], id[:], value[:] = 9, 9, 9.0
    recording = sink.finish(10)
    assert recording.spikes["E"].step.tolist() == [1] and recording.spikes["E"].id.tolist() == [2]
    assert not recording.traces["E.V"].value.any()


def test_rates_are_spikes_per_neuron_and_second(recording):
    counts = {path: len(spikes) for path, spikes in recording.spikes.items()}
    assert recording.counts() == counts
    assert recording.rates() == {"E": counts["E"] / 8.0, "cortex.I": counts["cortex.I"] / 2.0}


def test_empty_run_and_empty_population_have_rate_zero():
    header = Header(dt=0.1, sizes={"E": 0}, offsets={"E": 0}, spikes=("E",))
    assert Memory(header).finish(0).rates() == {"E": 0.0}


def test_gather_is_the_recording_itself_in_one_process(recording):
    assert recording.gather() is recording


def test_unknown_population_is_named_with_the_nearest(recording):
    with pytest.raises(NameLookupError, match=r'no population "cortex.E".*Did you mean "cortex.I"'):
        recording.spikes["cortex.E"]
    with pytest.raises(NameLookupError, match=r'"E.v" is not in.*Did you mean "E.V"'):
        recording.traces["E.v"]
    assert "E" in recording.spikes and recording.spikes.get("nobody") is None


def test_population_that_was_not_recorded_says_how_to_record_it():
    header = Header(dt=0.1, sizes={"E": 8, "I": 2}, offsets={"E": 0, "I": 8}, spikes=("E",))
    with pytest.raises(NameLookupError, match=r'has those of: E\. Add "I.spikes" to record='):
        Memory(header).finish(0).spikes["I"]


def test_print_says_what_it_is(recording):
    lines = str(recording).splitlines()
    assert lines[0] == "Recording of 100 ms: steps 0 to 1000, dt = 0.1 ms, 100 neurons"
    assert len(lines) == 4 and "cortex.I" in lines[2] and "every 1 ms, in mV" in lines[3]
    nothing = Header(dt=0.1, sizes={"E": 1}, offsets={"E": 0})
    assert "nothing was recorded" in str(Memory(nothing).finish(0))


def test_between_cuts_spikes_and_samples(recording):
    part = recording.between(20.0, 50.0)
    assert (part.start, part.stop, part.duration) == (200, 500, pytest.approx(30.0))
    whole = recording.spikes["E"]
    inside = (whole.step > 200) & (whole.step <= 500)
    assert np.array_equal(part.spikes["E"].id, whole.id[inside])
    assert np.array_equal(part.traces["E.V"].value, recording.traces["E.V"].value[20:50])
    assert part.between(20.0, 20.0).counts() == {"E": 0, "cortex.I": 0}


def test_between_refuses_times_outside_and_off_the_grid(recording):
    with pytest.raises(RecordError, match="goes from 0 to 100 ms"):
        recording.between(50.0, 100.1)
    with pytest.raises(RecordError):
        recording.between(50.0, 40.0)
    with pytest.raises(TimeError):
        recording.between(0.0, 40.05)


def test_consecutive_recordings_join_to_the_whole(seed):
    rng = np.random.default_rng(seed)
    sink = Memory(HEADER)
    parts = [feed(sink, rng, start, stop) for start, stop in ((0, 150), (150, 150), (150, 1000))]
    whole = feed(Memory(HEADER), np.random.default_rng(seed), 0, 1000)
    assert same(concatenate(parts), whole)
    assert concatenate(parts).spikes_sha256() == whole.spikes_sha256()
    with pytest.raises(RecordError, match="ends at step 1000 and the next begins at step 150"):
        concatenate(parts[::-1])
    with pytest.raises(RecordError, match="at least one"):
        concatenate([])


def test_recordings_of_different_networks_do_not_join(recording):
    other = Header(dt=0.1, sizes={"E": 1}, offsets={"E": 0}, spikes=("E",))
    sink = Memory(other)
    sink.begin(1000)
    with pytest.raises(RecordError, match="differ"):
        concatenate([recording, sink.finish(1100)])


def test_recording_can_be_pickled(recording):
    assert same(pickle.loads(pickle.dumps(recording)), recording)


def test_hash_is_that_of_the_sorted_lines(recording):
    assert recording.spikes_sha256() == naive_sha256(recording)


@pytest.mark.parametrize("block", [1, 2, 50, 10**6])
def test_hash_does_not_depend_on_how_it_is_read(recording, block):
    assert spikes_sha256(recording.spike_rows, recording.offsets, block=block) == naive_sha256(
        recording
    )


@pytest.mark.parametrize("n", [1, 100_000])
def test_hash_of_numbers_of_any_length(n, seed):
    rng = np.random.default_rng(seed)
    step = 10 ** rng.integers(0, 16, n) - rng.integers(0, 2, n)
    id = 10 ** rng.integers(0, 3, n) - 1
    rows = HeldRows(*merge([(step, id)]))
    header = Header(dt=0.1, sizes={"E": 1000}, offsets={"E": 123_456_789_012}, spikes=("E",))
    recording = Recording(header, 0, 10**16, {"E": rows}, {})
    assert recording.spikes_sha256() == naive_sha256(recording)


def test_hash_of_silence_is_that_of_no_lines():
    assert Memory(HEADER).finish(100).spikes_sha256() == hashlib.sha256(b"").hexdigest()


def test_there_is_no_hash_without_all_spikes():
    sizes, offsets = {"E": 8, "I": 2}, {"E": 0, "I": 8}
    none = Header(dt=0.1, sizes=sizes, offsets=offsets, spiking=("E", "I"))
    some = Header(dt=0.1, sizes=sizes, offsets=offsets, spikes=("E",), spiking=("E", "I"))
    assert Memory(none).finish(0).spikes_sha256() is None
    assert Memory(some).finish(0).spikes_sha256() is None


def test_ten_million_spikes_are_hashed_in_seconds(seed):
    rng = np.random.default_rng(seed)
    key = np.cumsum(rng.integers(1, 1600, 10_000_000))
    rows = HeldRows(key // 77_169, key % 77_169)
    begin = time.perf_counter()
    assert len(spikes_sha256({"E": rows}, {"E": 0})) == 64
    assert time.perf_counter() - begin < 10.0


def test_merge_sorts_keys_beyond_64_bits():
    step, id = merge(
        [(np.array([2**60, 5]), np.array([2**40, 2**40])), (np.array([5]), np.array([3]))]
    )
    assert step.tolist() == [5, 5, 2**60] and id.tolist() == [3, 2**40, 2**40]


def test_provenance_is_plain_json(tmp_path):
    run = describe_run(
        network="coba",
        neurons=4000,
        synapses=320_000,
        seed=1,
        precision="float32",
        platform="cpu",
        arguments={
            "n": 4000,
            "rate": np.array([1.0, np.inf]),
            "big": np.zeros(10**6),
            "model": object(),
        },
        command_line=["distdyn", "run", "\udcff"],
    )
    write_json(tmp_path / "run.json", run)
    text = (tmp_path / "run.json").read_text()
    assert '"neurons": 4000' in text and '"inf"' in text and len(text) < 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_environment_names_versions_machine_and_cores():
    found = environment()
    assert found["versions"]["numpy"] == np.__version__
    assert found["cores"] >= 1 and found["host"] and found["cpu"]
    assert 10**7 < peak_rss() < 10**12


def test_a_failed_write_keeps_the_old_json(tmp_path):
    write_json(tmp_path / "run.json", {"a": 1})
    circle: dict = {}
    circle["self"] = circle
    with pytest.raises(RecursionError):
        write_json(tmp_path / "run.json", circle)
    assert (tmp_path / "run.json").read_text() == '{\n "a": 1\n}\n'
    assert len(list(tmp_path.iterdir())) == 1

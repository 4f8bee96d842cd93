"""Trials in files: what is given is what was written, batch by batch, and bad files say so."""

import math
import struct
from fractions import Fraction

import h5py
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import ParameterError, TimeError, TrainError


def write_heidelberg(path, times, units, labels, float_="f4", int_="u2"):
    with h5py.File(path, "w") as file:
        for name, rows, dtype in (("times", times, float_), ("units", units, int_)):
            data = file.create_dataset(f"spikes/{name}", (len(rows),), h5py.vlen_dtype(dtype))
            for k, row in enumerate(rows):
                data[k] = np.asarray(row, dtype)
        file["labels"] = np.asarray(labels)
        file["extra/speaker"] = np.zeros(len(labels), "u2")
    return path


def drawn(n, seed, longest=1.2, dtype="f4"):
    """Times (s) and units of n trials; the first has none."""
    random = np.random.default_rng(seed)
    sizes = [0, *random.integers(50, 400, n - 1)]
    times = [np.sort(random.uniform(0, longest, size)).astype(dtype) for size in sizes]
    return times, [random.integers(0, 700, size) for size in sizes]


def pixel(x, y, polarity, time):
    return struct.pack(">BB", x, y) + struct.pack(">I", polarity << 23 | time)[1:]


@pytest.fixture
def digits(tmp_path):
    """A folder of three trials of each digit, and the events of each file."""
    random, written = np.random.default_rng(5), {}
    for digit in range(10):
        folder = tmp_path / "Train" / str(digit)
        folder.mkdir(parents=True)
        (folder / "readme.txt").write_text("no events")
        for k in (3, 20, 100):
            draws = (random.integers(0, n, 60) for n in (34, 34, 2, 400_000))
            events = list(zip(*(map(int, each) for each in draws), strict=True))
            events.append((33, 0, 1, 5))
            (folder / f"{k:05d}.bin").write_bytes(b"".join(pixel(*e) for e in events))
            written[digit, k] = events
    return tmp_path / "Train", written


@pytest.mark.parametrize("float_, int_, dt, pool", [("f2", "u2", 4.0, 1), ("f4", "i8", 0.5, 9)])
def test_words_are_those_of_the_file(tmp_path, float_, int_, dt, pool):
    times, units = drawn(23, 1, dtype=float_)
    path = write_heidelberg(tmp_path / "a.h5", times, units, np.arange(100, 123), float_, int_)
    task = dd.tasks.SpikingHeidelberg(path, dt=dt, pool=pool, duration=1000.0, batch=5)
    assert task.shape == (math.ceil(700 / pool),)
    seen = []
    for inputs, label in task.batches(0):
        assert inputs["inp"].shape == (5, round(1000 / dt), *task.shape)
        for trial, k in zip(inputs["inp"], label - 100, strict=True):
            seen.append(int(k))
            steps = [int(Fraction(float(t)) * 1000 / Fraction(dt)) for t in times[k]]
            expected = {
                (s, int(u) // pool)
                for s, u in zip(steps, units[k], strict=True)
                if s < round(1000 / dt)
            }
            assert set(zip(*map(np.ndarray.tolist, trial.nonzero()), strict=True)) == expected
    assert len(set(seen)) == 20, "four of five, each once; three trials wait"


def test_a_time_on_the_grid_is_of_the_step_that_begins_there(tmp_path):
    assert 0.3 / 0.1 < 3 and 3e-4 * 1e3 / 0.1 < 3
    times = [[0.0, 1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4]]
    path = write_heidelberg(tmp_path / "a.h5", times, [np.arange(7)], [0], "f8")
    task = dd.tasks.SpikingHeidelberg(path, dt=0.1, duration=0.6)
    ((inputs, _),) = task.batches(0)
    assert np.array_equal(inputs["inp"][0].nonzero(), [np.arange(6)] * 2)


def test_the_order_follows_from_seed_and_epoch_and_testing_is_whole(tmp_path):
    train = write_heidelberg(tmp_path / "a.h5", *drawn(30, 1), np.arange(30))
    test = write_heidelberg(tmp_path / "b.h5", *drawn(11, 2), np.arange(11))

    def order(seed, epoch):
        task = dd.tasks.SpikingHeidelberg(train, test, dt=10.0, batch=4, seed=seed)
        return np.concatenate([label for _, label in task.batches(epoch)]).tolist()

    assert order(1, 0) == order(1, 0), "also on another rank"
    assert len({tuple(order(*of)) for of in ((1, 0), (1, 1), (2, 0))}) == 3
    testing = dd.tasks.SpikingHeidelberg(train, test, dt=10.0, batch=4).testing
    given = [(inputs["inp"].shape[0], label.tolist()) for inputs, label in testing.batches(7)]
    assert given == [(4, [0, 1, 2, 3]), (4, [4, 5, 6, 7]), (3, [8, 9, 10])]
    with pytest.raises(TrainError, match="second argument"):
        _ = dd.tasks.SpikingHeidelberg(train).testing


def test_only_the_trials_of_a_batch_are_read(tmp_path):
    times, units = drawn(6, 1)
    units[4][3] = 700
    path = write_heidelberg(tmp_path / "a.h5", times, units, np.arange(6))
    batches = dd.tasks.SpikingHeidelberg(path, path, dt=10.0, batch=2).testing.batches(0)
    next(batches), next(batches)
    with pytest.raises(TrainError, match=r"a\.h5.*trial 4 unit 700.*there are 700"):
        next(batches)


def replaced(name, value):
    def change(path):
        with h5py.File(path, "r+") as file:
            del file[name]
            if value is not None:
                file[name] = value

    return change


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda path: path.unlink(), "does not exist.*shd_train"),
        (lambda path: (path.unlink(), path.mkdir()), "is no file"),
        (lambda path: path.write_bytes(b"\x1f\x8b packed"), "no HDF5 file.*unpacked"),
        (lambda path: path.write_bytes(b""), "no HDF5 file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-500]), "cannot be read.*again"),
        (replaced("labels", None), "no dataset /labels"),
        (replaced("spikes/times", None), "no dataset /spikes/times"),
        (replaced("spikes", np.zeros(3)), "no dataset /spikes/times"),
        (replaced("labels", np.zeros(4, int)), "4 of /labels, 3 of /spikes/times"),
        (replaced("labels", np.zeros((3, 1), int)), r"/labels int64 of shape \(3, 1\)"),
        (replaced("labels", np.zeros(3)), "/labels float64.*not ints"),
        (replaced("spikes/units", np.zeros((3, 9), int)), "/spikes/units int64.*arrays of ints"),
        (replaced("spikes/units", ["a", "b", "c"]), "/spikes/units object.*arrays of ints"),
    ],
)
def test_bad_files_of_words(tmp_path, change, said):
    path = write_heidelberg(tmp_path / "a.h5", *drawn(3, 1), np.arange(3))
    change(path)
    with pytest.raises(TrainError, match=rf"a\.h5.*{said}"):
        list(dd.tasks.SpikingHeidelberg(path, dt=10.0).batches(0))


@pytest.mark.parametrize(
    "times, units, said",
    [
        ([0.1, 0.2], [3, -1], "trial 1 unit -1"),
        ([0.1, np.nan], [3, 1], "spike at nan ms"),
        ([-0.1, 0.2], [3, 1], "spike at -100 ms"),
        ([0.1, 0.2], [3], "2 times of 1 units"),
    ],
)
def test_bad_trials_of_words(tmp_path, times, units, said):
    path = write_heidelberg(tmp_path / "a.h5", [[0.1], times], [[1], units], [0, 1], int_="i4")
    with pytest.raises(TrainError, match=said):
        list(dd.tasks.SpikingHeidelberg(path, dt=10.0).batches(0))


@pytest.mark.parametrize("pool", [1, 3])
def test_digits_are_those_of_the_files(digits, pool):
    folder, written = digits
    task = dd.tasks.NMNIST(folder, folder, dt=0.7, duration=210.0, pool=pool, batch=30)
    side = math.ceil(34 / pool)
    assert task.shape == (2, side, side)
    ((inputs, label),) = task.testing.batches(0)
    assert label.tolist() == sorted(3 * list(range(10)))
    given = inputs["inp"].reshape(30, 300, 2, side, side)
    for trial, (_, events) in zip(given, sorted(written.items()), strict=True):
        expected = np.zeros_like(trial)
        for x, y, polarity, time in events:
            if time < 210_000:
                expected[time // 700, polarity, y // pool, x // pool] = True
        assert np.array_equal(trial, expected)
    (_, order), (_, other) = (next(task.batches(epoch)) for epoch in (0, 1))
    assert order.tolist() != other.tolist() and sorted(order) == label.tolist()


def test_a_mark_makes_all_times_behind_it_later(digits):
    folder, _ = digits
    events = [
        (1, 2, 0, 900),
        (9, 240, 1, 950),
        (1, 2, 1, 1000),
        (0, 240, 0, 0),
        (3, 4, 0, 2**23 - 1),
    ]
    (folder / "0" / "00003.bin").write_bytes(b"".join(pixel(*e) for e in events))
    task = dd.tasks.NMNIST(folder, folder, duration=9000.0, batch=1)
    inputs, _ = next(iter(task.testing.batches(0)))
    step, *where = inputs["inp"].reshape(9000, 2, 34, 34).nonzero()
    assert step.tolist() == [0, (1000 + 2**13) // 1000, (2**23 - 1 + 2 * 2**13) // 1000]
    assert np.transpose(where).tolist() == [[0, 2, 1], [1, 2, 1], [0, 4, 3]]


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("", None, "Train.*has no file 7/.*folders 0 to 9"),
        ("00020.bin", b"1234567", "00020.bin.*7 bytes, but each event has 5.*again"),
        ("00020.bin", b"", "00020.bin.*0 bytes"),
        ("00020.bin", pixel(0, 0, 1, 5) + pixel(3, 34, 1, 9), "event 1 at x = 3, y = 34"),
    ],
)
def test_bad_folders_of_digits(digits, name, content, said):
    folder, _ = digits
    if content is None:
        (folder / "7").rename(folder / "seven")
    else:
        (folder / "7" / name).write_bytes(content)
    with pytest.raises(TrainError, match=said):
        list(dd.tasks.NMNIST(folder, dt=10.0, batch=30).batches(0))


def test_a_folder_that_is_none(digits):
    folder, _ = digits
    for path, said in ((folder / "a", "does not exist"), (folder / "0/00003.bin", "no folder")):
        with pytest.raises(TrainError, match=said):
            next(dd.tasks.NMNIST(path).batches(0))


@pytest.mark.parametrize(
    "options, error, said",
    [
        ({"dt": 0.0}, TimeError, "dt = 0.0"),
        ({"dt": 3.0, "duration": 100.0}, TimeError, "duration 100 ms is not a multiple"),
        ({"duration": 0.0}, ParameterError, "duration = 0.0 ms"),
        ({"pool": 0}, ParameterError, "pool = 0"),
        ({"batch": 0}, ParameterError, "batch = 0"),
    ],
)
def test_what_is_not_possible(options, error, said):
    for task in (dd.tasks.SpikingHeidelberg, dd.tasks.NMNIST):
        with pytest.raises(error, match=said):
            task("nowhere", **options)

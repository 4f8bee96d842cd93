"""Figures: what is drawn where, of networks of any shape, into a file."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from distdyn.errors import NameLookupError, RecordError, RunDirectoryError
from distdyn.plot import plot_run, raster
from distdyn.run.directory import RunDirectory
from distdyn.run.memory import Memory
from distdyn.run.recording import Header, Recording

SIZES = {"L4E": 800, "L4I": 200}


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def record(sink, seed: int, duration: int = 5000, rate: float = 1e-3) -> Recording:
    """Independent random spikes, `rate` per neuron and step."""
    rng = np.random.default_rng(seed)
    sink.begin(0)
    for path in sink.header.spikes:
        size = sink.header.sizes[path]
        key = np.flatnonzero(rng.random(duration * size) < rate)
        sink.append_spikes(path, 1 + key // max(1, size), key % max(1, size))
    return sink.finish(duration)


def header(sizes: dict[str, int], dt: float = 0.1, t0: float = 0.0) -> Header:
    offsets = dict(zip(sizes, np.cumsum([0, *sizes.values()])[:-1].tolist(), strict=True))
    return Header(dt=dt, sizes=sizes, offsets=offsets, spikes=tuple(sizes), t0=t0)


@pytest.fixture
def recording(seed) -> Recording:
    return record(Memory(header(SIZES)), seed)


def dots_of(figure) -> dict[str, np.ndarray]:
    """Time and height of the dots, by colour."""
    return {line.get_color(): np.array(line.get_xydata()) for line in figure.axes[0].lines}


def test_every_spike_is_a_dot_when_all_neurons_fit(recording):
    excitatory, inhibitory = dots_of(raster(recording, max_ids=1000)).values()
    spikes = recording.spikes["L4E"]
    assert np.array_equal(excitatory[:, 0], spikes.time)
    assert np.allclose(np.floor(excitatory[:, 1]), spikes.id)
    assert len(inhibitory) == len(recording.spikes["L4I"])
    assert inhibitory[:, 1].min() > excitatory[:, 1].max()  # the axis points down


def test_neurons_are_picked_evenly(seed):
    recording = record(Memory(header(SIZES)), seed, rate=0.005)  # 25 spikes each
    excitatory, _ = dots_of(raster(recording, max_ids=100)).values()
    assert len(np.unique(excitatory[:, 1])) == 80
    shown = len(excitatory) / len(recording.spikes["L4E"])
    assert shown == pytest.approx(0.1, rel=0.1)  # one sd: 1 / sqrt(2000)


def test_window_cuts_the_dots_but_not_the_rates(recording):
    figure = raster(recording, window=(200.0, 300.0))
    time = np.concatenate([dots[:, 0] for dots in dots_of(figure).values()])
    assert 200.0 < time.min() < time.max() <= 300.0
    assert figure.axes[0].get_xlim() == pytest.approx((200.0, 300.0))
    widths = [bar.get_width() for bar in figure.axes[1].patches]
    assert widths == pytest.approx(list(recording.rates().values()))


def test_activity_is_the_mean_rate_of_each_kind(recording):
    excitatory, inhibitory = raster(recording).axes[2].lines
    for line, path in ((excitatory, "L4E"), (inhibitory, "L4I")):
        # exact but for the edges, where the Gaussian is cut and renormalised
        assert line.get_ydata().mean() == pytest.approx(recording.rates()[path], rel=0.02)


def test_reference_is_marked(recording):
    figure = raster(recording, reference={"L4E": 12.5, "elsewhere": 1.0})
    assert [line.get_xdata()[0] for line in figure.axes[1].lines] == [12.5]
    texts = [text.get_text() for text in figure.axes[3].get_legend().get_texts()]
    assert texts == ["excitatory", "inhibitory", "reference"]


def test_populations_can_be_chosen(recording):
    figure = raster(recording, "L4I")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["L4I"]
    assert len(dots_of(figure)) == 1
    with pytest.raises(NameLookupError, match="Known: L4E, L4I"):
        raster(recording, ["L4E", "L4e"])


@pytest.mark.parametrize(
    "sizes", [{"cell": 1}, {"E": 3, "none": 0}, {f"area{i}.L4{'EI'[i % 2]}": 7 for i in range(60)}]
)
@pytest.mark.parametrize("rate", [0.0, 0.01])
@pytest.mark.parametrize("duration", [0, 999])
def test_any_network_and_duration_can_be_drawn(sizes, rate, duration, seed, tmp_path):
    figure = raster(record(Memory(header(sizes, dt=0.7, t0=70.0)), seed, duration, rate))
    figure.savefig(tmp_path / "a.png")


def test_nothing_recorded_and_empty_windows_are_refused(recording):
    with pytest.raises(RecordError, match="no spikes were recorded"):
        raster(Memory(Header(dt=0.1, sizes=SIZES, offsets=recording.offsets)).finish(10))
    for window in ((600.0, 700.0), (300.0, 200.0), (0.0, np.nan)):
        with pytest.raises(RecordError, match="window = "):
            raster(recording, window=window)
    with pytest.raises(RecordError, match="max_ids = 0"):
        raster(recording, max_ids=0)


def test_run_directory_is_drawn_into_a_png(tmp_path, seed):
    writer = RunDirectory(tmp_path / "a").create(header(SIZES), {"network": "Balanced"})
    record(writer, seed)
    path = plot_run(tmp_path / "a")
    assert path == tmp_path / "a" / "raster.png"
    assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 50_000
    assert plot_run(tmp_path / "a", tmp_path / "b.png", window=(0.0, 50.0)).exists()
    with pytest.raises(RunDirectoryError, match=r"cannot write.*missing"):
        plot_run(tmp_path / "a", tmp_path / "missing" / "b.png")


def test_last_300_ms_are_drawn_by_default(tmp_path, seed, monkeypatch):
    windows = []
    monkeypatch.setattr(
        "distdyn.plot.raster",
        lambda recording, window, **_: windows.append(window) or raster(recording),
    )
    record(RunDirectory(tmp_path / "a").create(header(SIZES)), seed)
    plot_run(tmp_path / "a")
    assert windows == [pytest.approx((200.0, 500.0))]


def test_no_window_system_is_touched():
    code = "import distdyn.plot, sys; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

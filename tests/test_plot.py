"""Figures: what is drawn where, of networks of any shape, into a file."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import NameLookupError, ParameterError, RecordError, RunDirectoryError
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
        "distdyn.plot.spikes.raster",
        lambda recording, window, **_: windows.append(window) or raster(recording),
    )
    record(RunDirectory(tmp_path / "a").create(header(SIZES)), seed)
    plot_run(tmp_path / "a")
    assert windows == [pytest.approx((200.0, 500.0))]


def test_no_window_system_is_touched():
    code = "import distdyn.plot, sys; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


class Sheet(dd.Network):
    """A sheet of 6 x 8 cells of which one row after the other is driven."""

    def __init__(self):
        self.E = dd.Population((6, 8), dd.LIF(I_e=np.repeat(np.linspace(200.0, 500.0, 6), 8)))
        self.I = dd.Population(5, dd.LIF(I_e=400.0))
        self.exc = dd.Projection(
            self.E, self.I, dd.FixedIndegree(7), dd.Exponential(), weight=20.0, delay=1.0
        )


@pytest.fixture(scope="module")
def sheet():
    runner = dd.DSRunner(Sheet(), dt=0.1, record=["spikes", dd.every(1.0, "E.V")])
    return runner, runner.run(50.0)


def test_traces_are_lines_of_the_neurons_asked_for(sheet):
    _, recording = sheet
    figure = dd.plot.traces(recording, "E.V", ids=[47, 3], window=(10.0, 40.0))
    (axes,) = figure.axes
    trace = recording.traces["E.V"]
    for line, id in zip(axes.lines, (47, 3), strict=True):
        time, value = line.get_xydata().T
        np.testing.assert_array_equal(time, np.arange(11.0, 41.0))
        np.testing.assert_array_equal(value, trace.value[10:40, id])
    assert axes.get_ylabel() == "E.V (mV)"
    assert len(dd.plot.traces(recording).axes[0].lines) == 5


def test_rates_over_time_are_those_of_the_recording(sheet):
    _, recording = sheet
    figure = dd.plot.rates(recording, width=10.0)
    for axes, path in zip(figure.axes, ("E", "I"), strict=True):
        drawn = axes.lines[0].get_ydata()
        assert len(drawn) == 5
        assert np.mean(drawn) == pytest.approx(recording.rates()[path])


def test_connectivity_shows_weights_and_degrees(sheet):
    runner, _ = sheet
    edges = runner["exc"].edges()
    figure = dd.plot.connectivity(edges, 48, 5)
    matrix = figure.axes[0].images[0].get_array()
    expected = np.zeros((48, 5))
    np.add.at(expected, (edges.pre, edges.post), edges.weight)
    np.testing.assert_array_equal(matrix, expected)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert "in-degree: 7 ± 0" in titles and "35 synapses" in titles
    blocks = dd.plot.connectivity(edges, 48, 5, max_cells=4).axes[0].images[0].get_array()
    assert blocks.shape == (4, 4)
    # 12 pre neurons a row; post neurons 0 and 1 share a column
    np.testing.assert_allclose(blocks[:, 1], expected[:, 2].reshape(4, 12).sum(1) / 20 / 12)
    assert blocks[:, 0].sum() * 24 == pytest.approx(14)


def test_a_sheet_moves(sheet, tmp_path):
    from PIL import Image

    _, recording = sheet
    path = dd.plot.animate(recording, "E.V", (6, 8), tmp_path / "V.gif", frame=10.0)
    with Image.open(path) as picture:
        assert picture.n_frames == 5
    spikes = dd.plot.animate(recording, "E", (6, 8), tmp_path / "s.gif", frame=25.0, fps=5.0)
    with Image.open(spikes) as picture:
        assert picture.n_frames == 2 and picture.info["duration"] == 200


@pytest.mark.parametrize(
    "draw, error, words",
    [
        (lambda r, _: dd.plot.traces(r, "E.v"), NameLookupError, 'Did you mean "E.V"'),
        (lambda r, _: dd.plot.traces(r, ids=[48]), RecordError, "neuron 48"),
        (lambda r, _: dd.plot.traces(r, window=(60.0, 70.0)), RecordError, "shows nothing"),
        (lambda r, _: dd.plot.rates(r, "J"), NameLookupError, '"J" were not recorded'),
        (lambda r, _: dd.plot.rates(r, width=7.0), ParameterError, "does not divide"),
        (lambda r, d: dd.plot.animate(r, "E.V", (6, 9), d / "a.gif"), ParameterError, "48 neurons"),
        (lambda r, d: dd.plot.animate(r, "X", (6, 8), d / "a.gif"), NameLookupError, '"X"'),
        (lambda r, d: dd.plot.animate(r, "E", (6, 8), d / "no" / "a.gif"), RunDirectoryError, "no"),
    ],
)
def test_what_cannot_be_drawn_is_refused(sheet, tmp_path, draw, error, words):
    with pytest.raises(error, match=words):
        draw(sheet[1], tmp_path)


def test_connectivity_beyond_its_ends_is_refused(sheet):
    with pytest.raises(RecordError, match="at least 5"):
        dd.plot.connectivity(sheet[0]["exc"].edges(), 48, 3)


@pytest.mark.parametrize("n", [1, 4])
def test_a_sweep_is_a_line_or_a_map(n):
    grid = {"tau_m": np.linspace(10.0, 20.0, n), "I_e": [0.0, 300.0, 600.0]}
    table = dd.sweep(dd.LIF(), grid, ["rate", "mean"], duration=50.0)
    axes = table.plot(measure="V.mean").axes[0]
    if n == 1:
        (line,) = axes.get_lines()
        np.testing.assert_array_equal(line.get_ydata(), table["V.mean"])
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("I_e", "V.mean")
    else:
        (mesh,) = axes.collections
        np.testing.assert_array_equal(mesh.get_array().T, table.on_grid("V.mean"))
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("tau_m", "I_e")

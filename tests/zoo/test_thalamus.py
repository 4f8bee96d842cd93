"""The thalamus, level by level: the rebound of a channel, of a cell, and the rhythms of nuclei."""

import numpy as np
import pytest

import distdyn as dd
from distdyn.zoo import by_name
from distdyn.zoo.thalamus import Thalamus, relay_cell, reticular_cell
from tests.models.side_by_side import SideBySide


def rhythm(times, duration):
    """The frequency (Hz) at which a population is most active, after 500 ms, above 1 Hz."""
    counts, _ = np.histogram(times, np.arange(500.0, duration + 1.0, 10.0))
    power = np.abs(np.fft.rfft(counts - counts.mean(), 8192)) ** 2
    frequency = np.fft.rfftfreq(8192, 0.01)
    return frequency[np.where((frequency > 1.0) & (frequency < 30.0), power, 0.0).argmax()]


def test_a_channel_and_the_cells_that_have_it_rebound_from_inhibition():
    """After -90 mV the T current alone makes a low spike, with Na and K a burst on it."""
    patch = dd.Conductance(
        IT=dd.ICaT_HM1992(g=2.0, V_sh=-2.0), IL=dd.ILeak(g=0.05, E=-65.0), Ca=dd.CalciumDetailed()
    )
    cells = {
        "inhibited": (patch, {"V": -90.0}),
        "resting": (patch, {"V": -65.0}),
        "TC": (relay_cell(), {"V": -90.0}),
        "RE": (reticular_cell(), {"V": -90.0}),
    }
    record = ["spikes", *(dd.every(0.1, f"{name}.V") for name in cells)]
    recording = dd.DSRunner(SideBySide(1, cells), dt=0.05, record=record).run(300.0)
    highest = {name: recording.traces[f"{name}.V"].value.max() for name in cells}
    assert 20.0 < highest["inhibited"] < 120.0  # with no potassium up to that of calcium
    assert highest["resting"] < -50.0
    assert len(recording.spikes["RE"]) == 0 and highest["RE"] < -60.0  # its leak keeps it down
    burst = recording.spikes["TC"].time
    assert 2 <= len(burst) <= 10 and np.diff(burst).min() < 10.0


def test_with_slow_inhibition_alone_the_thalamus_is_slow():
    """GABA_B in the place of GABA_A: 1.5 to 4 Hz, as in absence seizures."""
    duration = 2500.0
    network = Thalamus(gaba_a=0.0, gaba_b=40.0)
    recording = dd.DSRunner(network, dt=0.05, seed=1, record="spikes").run(duration)
    assert 1.0 < rhythm(recording.spikes["reticular.RE"].time, duration) < 4.0


def test_thalamus_and_cortex_spindle_together():
    """All cells at one frequency between 7 and 14 Hz; a relay cell takes part in some cycles."""
    duration = 2500.0
    recording = dd.DSRunner(by_name("thalamus")(), dt=0.05, seed=1, record="spikes").run(duration)
    found = {path: rhythm(s.time, duration) for path, s in recording.spikes.items()}
    assert len(found) == 4
    reference = found["thalamus.reticular.RE"]
    assert 7.0 < reference < 14.0
    for path, frequency in found.items():
        assert frequency == pytest.approx(reference, abs=0.5), path
    rates = recording.rates()
    assert 1.0 < rates["thalamus.relay.TC"] < reference
    assert 1.0 < rates["cortex.PY"] < 20.0

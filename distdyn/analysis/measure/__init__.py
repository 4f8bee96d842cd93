"""Measures of recordings: `dd.measure`.

    s, window = recording.spikes["E"], (0, 1000)
    dd.measure.rates(s, window, n=800)      dd.measure.cv(s)      dd.measure.chi(V.value)

Spikes are a population's of a recording (anything with `time` and `id`), a list of trains, each an
array of times in ms, or a single train. Where elephant has a measure, its definition is used.
"""

from distdyn.analysis.measure.bold import bold as bold
from distdyn.analysis.measure.coupling import connectivity_dynamics as connectivity_dynamics
from distdyn.analysis.measure.coupling import functional_connectivity as functional_connectivity
from distdyn.analysis.measure.coupling import matrix_correlation as matrix_correlation
from distdyn.analysis.measure.distances import van_rossum as van_rossum
from distdyn.analysis.measure.distances import victor_purpura as victor_purpura
from distdyn.analysis.measure.fields import eeg as eeg
from distdyn.analysis.measure.fields import lfp_of_currents as lfp_of_currents
from distdyn.analysis.measure.fields import lfp_of_rates as lfp_of_rates
from distdyn.analysis.measure.fields import lfp_of_spikes as lfp_of_spikes
from distdyn.analysis.measure.intervals import cv as cv
from distdyn.analysis.measure.intervals import cv2 as cv2
from distdyn.analysis.measure.intervals import intervals as intervals
from distdyn.analysis.measure.intervals import lv as lv
from distdyn.analysis.measure.intervals import lvr as lvr
from distdyn.analysis.measure.rates import fano_factor as fano_factor
from distdyn.analysis.measure.rates import instantaneous_rate as instantaneous_rate
from distdyn.analysis.measure.rates import population_rate as population_rate
from distdyn.analysis.measure.rates import rates as rates
from distdyn.analysis.measure.spectra import coherence as coherence
from distdyn.analysis.measure.spectra import power as power
from distdyn.analysis.measure.synchrony import chi as chi
from distdyn.analysis.measure.synchrony import count_correlation as count_correlation
from distdyn.analysis.measure.synchrony import cross_correlation as cross_correlation
from distdyn.analysis.measure.synchrony import spike_contrast as spike_contrast
from distdyn.analysis.measure.synchrony import tiling_coefficient as tiling_coefficient
from distdyn.analysis.measure.synchrony import voltage_fluctuation as voltage_fluctuation
from distdyn.analysis.measure.trains import counts as counts
from distdyn.analysis.measure.trains import trains as trains

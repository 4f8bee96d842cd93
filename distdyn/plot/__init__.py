"""Figures of recordings: `dd.plot`, loaded when it is asked for. The one room of matplotlib.

Figures are built without pyplot: no window, no global state, no screen needed. Each function
returns a figure, which a notebook shows and `figure.savefig("name.png")` writes.
"""

from distdyn.plot.matrix import connectivity as connectivity
from distdyn.plot.sheet import animate as animate
from distdyn.plot.spikes import plot_run as plot_run
from distdyn.plot.spikes import raster as raster
from distdyn.plot.sweeps import sweep as sweep
from distdyn.plot.traces import rates as rates
from distdyn.plot.traces import traces as traces

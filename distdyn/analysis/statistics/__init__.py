"""Statistics of all spikes of a run, however large it is, and how two runs differ in them."""

from distdyn.analysis.statistics.compare import Comparison as Comparison
from distdyn.analysis.statistics.compare import compare as compare
from distdyn.analysis.statistics.compare import ks_distance as ks_distance
from distdyn.analysis.statistics.spikes import Statistics as Statistics
from distdyn.analysis.statistics.spikes import statistics as statistics

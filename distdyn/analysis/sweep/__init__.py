"""Parameter sweeps of models and networks: `dd.sweep`, one result table for all points."""

from distdyn.analysis.sweep.folds import Fold as Fold
from distdyn.analysis.sweep.sweeping import merge as merge
from distdyn.analysis.sweep.sweeping import sweep as sweep
from distdyn.analysis.sweep.table import Sweep as Sweep

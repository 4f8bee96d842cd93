"""Bifurcation diagrams in one call, and fast-slow systems over those of their fast part."""

from distdyn.analysis.diagrams.bifurcation import Bifurcation1D as Bifurcation1D
from distdyn.analysis.diagrams.bifurcation import Bifurcation2D as Bifurcation2D
from distdyn.analysis.diagrams.fast_slow import FastSlow1D as FastSlow1D
from distdyn.analysis.diagrams.fast_slow import FastSlow2D as FastSlow2D

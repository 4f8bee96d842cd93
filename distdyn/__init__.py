"""distdyn: brain dynamics, simulated, trained and analysed as one model, on any number of devices."""

from importlib.metadata import version as _version

from distdyn.core import *  # noqa: F403

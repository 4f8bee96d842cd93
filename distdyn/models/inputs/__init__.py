"""Currents and rates that change with time, and spike trains: `dd.inputs`.

Signals are added, multiplied and cut (`between`, `clip`), and `sample` shows their values.
"""

from distdyn.models.inputs.noise import OU as OU
from distdyn.models.inputs.noise import WhiteNoise as WhiteNoise
from distdyn.models.inputs.noise import Wiener as Wiener
from distdyn.models.inputs.sections import Pulses as Pulses
from distdyn.models.inputs.sections import Sampled as Sampled
from distdyn.models.inputs.sections import Section as Section
from distdyn.models.inputs.sections import Steps as Steps
from distdyn.models.inputs.trains import Trains as Trains
from distdyn.models.inputs.trains import trains as trains
from distdyn.models.inputs.waves import Ramp as Ramp
from distdyn.models.inputs.waves import Sinusoid as Sinusoid
from distdyn.models.inputs.waves import Square as Square

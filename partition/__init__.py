"""Who owns which neurons: decompositions of populations into parts.

This package knows sizes and blocks, and imports NumPy only, so that a decomposition can be planned
on a machine that could never run the network.
"""

from partition.decomposition import Decomposition as Decomposition
from partition.files import load as load
from partition.files import save as save
from partition.graph import CommunicationGraph as CommunicationGraph
from partition.graph import Flow as Flow
from partition.halo import Halo as Halo
from partition.methods import METHODS as METHODS
from partition.methods import by_area as by_area
from partition.methods import contiguous as contiguous
from partition.methods import decompose as decompose
from partition.methods import multilevel as multilevel
from partition.methods import round_robin as round_robin
from partition.methods import weighted as weighted
from partition.metrics import Metrics as Metrics
from partition.metrics import measure as measure
from partition.topology import DecompositionError as DecompositionError
from partition.topology import Topology as Topology

"""Who owns which neurons: decompositions of populations into parts.

This package knows sizes and blocks, and imports NumPy only, so that a decomposition can be planned
on a machine that could never run the network.
"""

from partition.decomposition import Decomposition as Decomposition
from partition.decomposition import DecompositionError as DecompositionError
from partition.decomposition import round_robin as round_robin

"""JAX primitives as LLVM vector instructions: what one cell computes, for several cells at once.

A traced function becomes a flat list of `Instruction`s (calls inlined); an `Environment` emits them
for a number of lanes. exp, expm1, exprel, tanh and logistic have code of their own, with errors of
at most 3 ulp; what else needs a mathematical library calls the C one, lane by lane. No instruction
carries a fast-math flag: nothing is reassociated, and which products are rounded is decided here
(`fused`).
"""

from distdyn.ops.lanes import arithmetic, exponentials, logic, rings  # noqa: F401  fill tables
from distdyn.ops.lanes.emission import EMITTERS as EMITTERS
from distdyn.ops.lanes.emission import MEMORY as MEMORY
from distdyn.ops.lanes.emission import TYPES as TYPES
from distdyn.ops.lanes.emission import Environment as Environment
from distdyn.ops.lanes.emission import Ring as Ring
from distdyn.ops.lanes.emission import fill as fill
from distdyn.ops.lanes.emission import vector as vector
from distdyn.ops.lanes.fusion import fused as fused
from distdyn.ops.lanes.fusion import with_reciprocals as with_reciprocals
from distdyn.ops.lanes.jaxpr import flatten as flatten
from distdyn.ops.lanes.program import Constant as Constant
from distdyn.ops.lanes.program import Instruction as Instruction
from distdyn.ops.lanes.program import Program as Program
from distdyn.ops.lanes.program import Unsupported as Unsupported

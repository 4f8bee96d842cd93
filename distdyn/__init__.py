"""distdyn: brain dynamics, simulated, trained and analysed as one model, on any number of devices.

    import distdyn as dd

    class Balanced(dd.Network): ...
    recording = dd.DSRunner(Balanced(), dt=.1, record=["E.spikes"]).run(1000.)

What is named here is the public face; each name lives in the room that its import shows.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from distdyn.analysis import measure as measure
from distdyn.core.coupling import Coupling as Coupling
from distdyn.core.describe import describe as describe
from distdyn.core.exprel import exprel as exprel
from distdyn.core.integrate import integrate as integrate
from distdyn.core.integrators import RK2 as RK2
from distdyn.core.integrators import RK3 as RK3
from distdyn.core.integrators import RK4 as RK4
from distdyn.core.integrators import RK38 as RK38
from distdyn.core.integrators import RKF12 as RKF12
from distdyn.core.integrators import RKF45 as RKF45
from distdyn.core.integrators import SRK1W1 as SRK1W1
from distdyn.core.integrators import SRK2W1 as SRK2W1
from distdyn.core.integrators import SSPRK3 as SSPRK3
from distdyn.core.integrators import BackwardEuler as BackwardEuler
from distdyn.core.integrators import BogackiShampine as BogackiShampine
from distdyn.core.integrators import CaputoEuler as CaputoEuler
from distdyn.core.integrators import CaputoL1 as CaputoL1
from distdyn.core.integrators import CashKarp as CashKarp
from distdyn.core.integrators import CrankNicolson as CrankNicolson
from distdyn.core.integrators import Delayed as Delayed
from distdyn.core.integrators import DormandPrince as DormandPrince
from distdyn.core.integrators import Euler as Euler
from distdyn.core.integrators import EulerMaruyama as EulerMaruyama
from distdyn.core.integrators import Exact as Exact
from distdyn.core.integrators import ExactOU as ExactOU
from distdyn.core.integrators import ExpEuler as ExpEuler
from distdyn.core.integrators import ExpEulerMaruyama as ExpEulerMaruyama
from distdyn.core.integrators import GrunwaldLetnikov as GrunwaldLetnikov
from distdyn.core.integrators import Heun as Heun
from distdyn.core.integrators import Heun3 as Heun3
from distdyn.core.integrators import HeunEuler as HeunEuler
from distdyn.core.integrators import KlPl as KlPl
from distdyn.core.integrators import Midpoint as Midpoint
from distdyn.core.integrators import Milstein as Milstein
from distdyn.core.integrators import Ralston as Ralston
from distdyn.core.integrators import Ralston3 as Ralston3
from distdyn.core.integrators import Ralston4 as Ralston4
from distdyn.core.integrators import RungeKutta as RungeKutta
from distdyn.core.integrators import StochasticHeun as StochasticHeun
from distdyn.core.integrators import TamedEuler as TamedEuler
from distdyn.core.ode import ODE as ODE
from distdyn.core.parameters import param as param
from distdyn.core.plasticity import LowPass as LowPass
from distdyn.core.plasticity import Plasticity as Plasticity
from distdyn.core.plasticity import ShortTerm as ShortTerm
from distdyn.core.plasticity import Trace as Trace
from distdyn.core.receptor import CUBA as CUBA
from distdyn.core.receptor import Kinetics as Kinetics
from distdyn.core.receptor import Output as Output
from distdyn.core.schedule import Schedule as Schedule
from distdyn.core.signal import Signal as Signal
from distdyn.core.system import Drive as Drive
from distdyn.core.system import DynamicalSystem as DynamicalSystem
from distdyn.core.system import Tick as Tick
from distdyn.errors import DistDynError as DistDynError
from distdyn.models import inputs as inputs
from distdyn.models.adaptive import ALIF as ALIF
from distdyn.models.adaptive import GIF as GIF
from distdyn.models.adaptive import LIF_SFA as LIF_SFA
from distdyn.models.adaptive import AdEx as AdEx
from distdyn.models.adaptive import AdQIF as AdQIF
from distdyn.models.adaptive import Izhikevich as Izhikevich
from distdyn.models.biophysical import HodgkinHuxley as HodgkinHuxley
from distdyn.models.biophysical import MorrisLecar as MorrisLecar
from distdyn.models.biophysical import PinskyRinzel as PinskyRinzel
from distdyn.models.biophysical import WangBuzsaki as WangBuzsaki
from distdyn.models.channels.calcium import ICaHT_HM1992 as ICaHT_HM1992
from distdyn.models.channels.calcium import ICaHT_Re1993 as ICaHT_Re1993
from distdyn.models.channels.calcium import ICaL_IS2008 as ICaL_IS2008
from distdyn.models.channels.calcium import ICaT_HM1992 as ICaT_HM1992
from distdyn.models.channels.calcium import ICaT_HP1992 as ICaT_HP1992
from distdyn.models.channels.calcium_activated import IAHP_De1994 as IAHP_De1994
from distdyn.models.channels.calcium_activated import ICaN_IS2008 as ICaN_IS2008
from distdyn.models.channels.channel import AbstractChannel as AbstractChannel
from distdyn.models.channels.channel import AlphaBeta as AlphaBeta
from distdyn.models.channels.channel import Channel as Channel
from distdyn.models.channels.channel import InfTau as InfTau
from distdyn.models.channels.channel import gate as gate
from distdyn.models.channels.hyperpolarization import Ih_De1996 as Ih_De1996
from distdyn.models.channels.hyperpolarization import Ih_HM1992 as Ih_HM1992
from distdyn.models.channels.leak import IKLeak as IKLeak
from distdyn.models.channels.leak import ILeak as ILeak
from distdyn.models.channels.potassium import IK_HH1952 as IK_HH1952
from distdyn.models.channels.potassium import IK_TM1991 as IK_TM1991
from distdyn.models.channels.potassium import IKA1_HM1992 as IKA1_HM1992
from distdyn.models.channels.potassium import IKA2_HM1992 as IKA2_HM1992
from distdyn.models.channels.potassium import IKK2A_HM1992 as IKK2A_HM1992
from distdyn.models.channels.potassium import IKK2B_HM1992 as IKK2B_HM1992
from distdyn.models.channels.potassium import IKDR_Ba2002 as IKDR_Ba2002
from distdyn.models.channels.potassium import IKNI_Ya1989 as IKNI_Ya1989
from distdyn.models.channels.sodium import INa_Ba2002 as INa_Ba2002
from distdyn.models.channels.sodium import INa_HH1952 as INa_HH1952
from distdyn.models.channels.sodium import INa_TM1991 as INa_TM1991
from distdyn.models.conductance import Conductance as Conductance
from distdyn.models.couplings import Additive as Additive
from distdyn.models.couplings import Diffusive as Diffusive
from distdyn.models.couplings import GapJunction as GapJunction
from distdyn.models.couplings import Graded as Graded
from distdyn.models.couplings import Sine as Sine
from distdyn.models.fractional import FractionalFHR as FractionalFHR
from distdyn.models.fractional import FractionalIzhikevich as FractionalIzhikevich
from distdyn.models.hemodynamics import BalloonWindkessel as BalloonWindkessel
from distdyn.models.inputs.sections import Sampled as Sampled
from distdyn.models.inputs.sections import Steps as Steps
from distdyn.models.integrate_and_fire import IF as IF
from distdyn.models.integrate_and_fire import LIF as LIF
from distdyn.models.integrate_and_fire import QIF as QIF
from distdyn.models.integrate_and_fire import ExpIF as ExpIF
from distdyn.models.integrate_and_fire import LeakyIntegrator as LeakyIntegrator
from distdyn.models.ions import CalciumDetailed as CalciumDetailed
from distdyn.models.ions import CalciumFirstOrder as CalciumFirstOrder
from distdyn.models.ions import CalciumFixed as CalciumFixed
from distdyn.models.ions import Ion as Ion
from distdyn.models.ions import Level as Level
from distdyn.models.ions import PotassiumFixed as PotassiumFixed
from distdyn.models.ions import SodiumFixed as SodiumFixed
from distdyn.models.ions import nernst as nernst
from distdyn.models.masses import JansenRit as JansenRit
from distdyn.models.masses import ReducedWongWang as ReducedWongWang
from distdyn.models.masses import ReducedWongWangEI as ReducedWongWangEI
from distdyn.models.masses import WongWang as WongWang
from distdyn.models.oscillators import FeedbackFHN as FeedbackFHN
from distdyn.models.oscillators import Kuramoto as Kuramoto
from distdyn.models.oscillators import StuartLandau as StuartLandau
from distdyn.models.outputs import COBA as COBA
from distdyn.models.outputs import Divisive as Divisive
from distdyn.models.outputs import MgBlock as MgBlock
from distdyn.models.phase_plane import FitzHughNagumo as FitzHughNagumo
from distdyn.models.phase_plane import HindmarshRose as HindmarshRose
from distdyn.models.plasticity import STDP as STDP
from distdyn.models.plasticity import Clopath as Clopath
from distdyn.models.plasticity import PowerLawSTDP as PowerLawSTDP
from distdyn.models.plasticity import RewardSTDP as RewardSTDP
from distdyn.models.plasticity import Scaling as Scaling
from distdyn.models.plasticity import TripletSTDP as TripletSTDP
from distdyn.models.plasticity import TsodyksMarkram as TsodyksMarkram
from distdyn.models.rates import QIFMeanField as QIFMeanField
from distdyn.models.rates import ThresholdLinear as ThresholdLinear
from distdyn.models.rates import WilsonCowan as WilsonCowan
from distdyn.models.sources import Poisson as Poisson
from distdyn.models.sources import SpikeTimes as SpikeTimes
from distdyn.models.synapses import AMPA as AMPA
from distdyn.models.synapses import NMDA as NMDA
from distdyn.models.synapses import Alpha as Alpha
from distdyn.models.synapses import Delta as Delta
from distdyn.models.synapses import DualExponential as DualExponential
from distdyn.models.synapses import Exponential as Exponential
from distdyn.models.synapses import GABAa as GABAa
from distdyn.models.synapses import GABAb as GABAb
from distdyn.network import profiles as profiles
from distdyn.network.distributions import Distribution as Distribution
from distdyn.network.distributions import LogNormal as LogNormal
from distdyn.network.distributions import Normal as Normal
from distdyn.network.distributions import Uniform as Uniform
from distdyn.network.edges import Edges as Edges
from distdyn.network.graphs import PowerLaw as PowerLaw
from distdyn.network.graphs import ScaleFree as ScaleFree
from distdyn.network.graphs import SmallWorld as SmallWorld
from distdyn.network.indegree import IndegreeRule as IndegreeRule
from distdyn.network.jit import JITBernoulli as JITBernoulli
from distdyn.network.jit import JITFixedNumber as JITFixedNumber
from distdyn.network.layer import Layer as Layer
from distdyn.network.network import Network as Network
from distdyn.network.population import Population as Population
from distdyn.network.positions import Lattice as Lattice
from distdyn.network.positions import Periodic as Periodic
from distdyn.network.projection import CurrentInput as CurrentInput
from distdyn.network.projection import PoissonInput as PoissonInput
from distdyn.network.projection import Projection as Projection
from distdyn.network.rule import Rule as Rule
from distdyn.network.rules import AllToAll as AllToAll
from distdyn.network.rules import FixedIndegree as FixedIndegree
from distdyn.network.rules import FixedOutdegree as FixedOutdegree
from distdyn.network.rules import FixedProb as FixedProb
from distdyn.network.rules import FixedTotal as FixedTotal
from distdyn.network.rules import OneToOne as OneToOne
from distdyn.network.space import ByDistance as ByDistance
from distdyn.network.spatial import DistanceDependent as DistanceDependent
from distdyn.network.spatial import Grid as Grid
from distdyn.ops import surrogate as surrogate
from distdyn.ops.history import History as History
from distdyn.ops.matrix.circulant import Circulant as Circulant
from distdyn.ops.matrix.coo import COO as COO
from distdyn.ops.matrix.csr import CSR as CSR
from distdyn.ops.matrix.csr import FixedNumber as FixedNumber
from distdyn.ops.matrix.dense import Dense as Dense
from distdyn.ops.matrix.jit import JITMatrix as JITMatrix
from distdyn.ops.matrix.matrix import Events as Events
from distdyn.ops.matrix.matrix import Matrix as Matrix
from distdyn.ops.matrix.scalar import Constant as Constant
from distdyn.ops.matrix.scalar import Diagonal as Diagonal
from distdyn.ops.matrix.split import Split as Split
from distdyn.ops.operator import Operator as Operator
from distdyn.ops.segment import pre_to_post as pre_to_post
from distdyn.ops.segment import pre_to_synapse as pre_to_synapse
from distdyn.ops.segment import synapse_to_post as synapse_to_post
from distdyn.run.load import load as load
from distdyn.run.record import every as every
from distdyn.run.recording import Recording as Recording
from distdyn.run.runner import DSRunner as DSRunner

if TYPE_CHECKING:
    from distdyn import plot as plot
    from distdyn.analysis.analyzer import DSAnalyzer as DSAnalyzer
    from distdyn.analysis.diagrams import Bifurcation1D as Bifurcation1D
    from distdyn.analysis.diagrams import Bifurcation2D as Bifurcation2D
    from distdyn.analysis.diagrams import FastSlow1D as FastSlow1D
    from distdyn.analysis.diagrams import FastSlow2D as FastSlow2D
    from distdyn.analysis.field import vector_field as vector_field
    from distdyn.analysis.statistics import compare as compare
    from distdyn.analysis.statistics import statistics as statistics
    from distdyn.analysis.sweep import Fold as Fold
    from distdyn.analysis.sweep import Sweep as Sweep
    from distdyn.analysis.sweep import sweep as sweep
    from distdyn.train import encode as encode
    from distdyn.train import loss as loss
    from distdyn.train import offline as offline
    from distdyn.train import recipes as recipes
    from distdyn.train import reservoir as reservoir
    from distdyn.train import tasks as tasks
    from distdyn.train.rules import BPTT as BPTT
    from distdyn.train.rules import DRTRL as DRTRL
    from distdyn.train.rules import EProp as EProp
    from distdyn.train.rules import PPProp as PPProp
    from distdyn.train.rules import ThreeFactor as ThreeFactor
    from distdyn.train.trainer import DSTrainer as DSTrainer

try:
    __version__ = version("distdyn")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"


ROOMS = {  # loaded when they are asked for: they bring libraries that most runs do not need
    "encode": "distdyn.train.encode",
    "loss": "distdyn.train.loss",
    "offline": "distdyn.train.offline",
    "plot": "distdyn.plot",
    "recipes": "distdyn.train.recipes",
    "reservoir": "distdyn.train.reservoir",
    "tasks": "distdyn.train.tasks",
}
NAMES = {  # so are these
    "BPTT": "distdyn.train.rules",
    "Bifurcation1D": "distdyn.analysis.diagrams",
    "Bifurcation2D": "distdyn.analysis.diagrams",
    "DRTRL": "distdyn.train.rules",
    "DSAnalyzer": "distdyn.analysis.analyzer",
    "DSTrainer": "distdyn.train.trainer",
    "EProp": "distdyn.train.rules",
    "FastSlow1D": "distdyn.analysis.diagrams",
    "FastSlow2D": "distdyn.analysis.diagrams",
    "Fold": "distdyn.analysis.sweep",
    "PPProp": "distdyn.train.rules",
    "ThreeFactor": "distdyn.train.rules",
    "vector_field": "distdyn.analysis.field",
    "Sweep": "distdyn.analysis.sweep",
    "compare": "distdyn.analysis.statistics",
    "statistics": "distdyn.analysis.statistics",
    "sweep": "distdyn.analysis.sweep",
}


def __getattr__(name: str) -> Any:
    """What is in `ROOMS` and `NAMES`."""
    if name in ROOMS:
        return import_module(ROOMS[name])
    if name in NAMES:
        return getattr(import_module(NAMES[name]), name)
    raise AttributeError(f"module 'distdyn' has no attribute {name!r}")

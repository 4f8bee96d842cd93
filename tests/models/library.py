"""All that the library has for cells and rates: catalogues of models, and networks of all of them.

A new cell is entered in the catalogue; what all cells promise is then tested of it, too: in
`tests/contracts/test_cells.py`, and on ranks and devices in `tests/mpi/test_same_spikes.py`.
"""

import numpy as np

import distdyn as dd

E = dd.ExpEuler()  # where the default would be exact, which takes long to compile

# The model, a current that makes it spike, a jump of V, and potentials to look at besides.
CELLS = {
    "LeakyIntegrator": (dd.LeakyIntegrator(method=E), 300.0, 1.0, ()),
    "IF": (dd.IF(method=E), 500.0, 1.0, ()),
    "LIF": (dd.LIF(method=E), 500.0, 1.0, ()),
    "QIF": (dd.QIF(), 500.0, 1.0, (-65.0, -50.0, 20.0)),
    "ExpIF": (dd.ExpIF(), 500.0, 1.0, (-59.9, -31.0, -30.0)),
    "AdEx": (dd.AdEx(), 1000.0, 1.0, (-50.4, -20.0, 19.0, 20.0)),
    "AdQIF": (dd.AdQIF(), 200.0, 1.0, (-60.0, 35.0)),
    "Izhikevich": (dd.Izhikevich(), 15.0, 1.0, (-62.5, 30.0)),
    "GIF": (dd.GIF(a=0.005, A1=1000.0, A2=-60.0), 250.0, 1.0, (-70.0,)),
    "ALIF": (dd.ALIF(method=E), 1.5, 0.1, ()),
    "LIF_SFA": (dd.LIF_SFA(method=E), 400.0, 1.0, ()),
    "HodgkinHuxley": (dd.HodgkinHuxley(), 12.0, 1.0, (-40.0, -55.0, 40.0)),
    "WangBuzsaki": (dd.WangBuzsaki(), 2.0, 1.0, (-35.0, -34.0, 40.0)),
    "MorrisLecar": (dd.MorrisLecar(), 120.0, 1.0, (-1.2, 2.0, 40.0)),
    "PinskyRinzel": (dd.PinskyRinzel(), 3.0, 1.0, (-46.9, -19.9, -24.9, -8.9, -10.0)),
    "FitzHughNagumo": (dd.FitzHughNagumo(), 0.7, 0.1, (0.0, 1.0)),
    "HindmarshRose": (dd.HindmarshRose(), 3.0, 0.1, (0.0, 2.0)),
}
# With a past of 2 ms: they have contracts of their own, in tests/models/test_fractional.py.
FRACTIONAL = {
    "FractionalFHR": (dd.FractionalFHR(method=dd.CaputoL1(memory=2.0)), 1.0, 0.1),
    "FractionalIzhikevich": (dd.FractionalIzhikevich(method=dd.CaputoL1(memory=2.0)), 30.0, 1.0),
}
# What has no membrane but `emit`, and an input of the size that it is made for. They have contracts
# of their own, in tests/contracts/test_rates.py.
RATES = {
    "Kuramoto": (dd.Kuramoto(omega=0.5, method=E), 0.01),
    "StuartLandau": (dd.StuartLandau(), 0.01),
    "FeedbackFHN": (dd.FeedbackFHN(tau=2.0), 0.7),
    "ThresholdLinear": (dd.ThresholdLinear(), 100.0),
    "WilsonCowan": (dd.WilsonCowan(), 0.1),
    "QIFMeanField": (dd.QIFMeanField(), 3.0),
    "JansenRit": (dd.JansenRit(), 50.0),
    "WongWang": (dd.WongWang(coherence=10.0), 30.0),
    "ReducedWongWang": (dd.ReducedWongWang(sigma=0.05), 0.02),
    "ReducedWongWangEI": (dd.ReducedWongWangEI(sigma=0.05), 0.02),
    "BalloonWindkessel": (dd.BalloonWindkessel(), 0.5),
}


def every_channel():
    """A cell with all the channels that there are, some of them with calcium of their own."""
    kinds = {name: kind for name, kind in vars(dd).items() if isinstance(kind, type)}
    kinds = {name: kind for name, kind in kinds.items() if issubclass(kind, dd.AbstractChannel)}
    del kinds["AbstractChannel"], kinds["Channel"]
    members = {f"the_{name}": kind() for name, kind in kinds.items()}
    ions = {"Ca": dd.CalciumDetailed(K_T=1e-4), "CaL": dd.CalciumFirstOrder()}
    ions |= {"Na": dd.SodiumFixed(), "K": dd.PotassiumFixed(), "fixed": dd.CalciumFixed()}
    more = {"IL": dd.ICaL_IS2008(E="CaL"), "IK": dd.IK_HH1952(E="K"), "INa": dd.INa_HH1952(E="Na")}
    return dd.Conductance(**members, **ions, **more, ICAN=dd.ICaN_IS2008(Ca="fixed"))


class Rates(dd.Network):
    """Every rate model of the library, 50 of each, with inputs that differ."""

    def __init__(self):
        for name, (model, current) in RATES.items():
            units = dd.Population(50, model)
            drive = dd.CurrentInput(units, np.linspace(0.9, 1.1, units.size) * current)
            self.__dict__ |= {name: units, f"{name}_drive": drive}


class Everyone(dd.Network):
    """Every cell of the library, and one with every channel, driven by a current and by spikes.

    There are 50 of each, in four blocks, so that each of four parts has some of all of them.
    """

    def __init__(self):
        self.source = dd.Population(40, dd.Poisson(rate=200.0))
        cells = {name: (model, current, jump) for name, (model, current, jump, _) in CELLS.items()}
        for name, (model, current, jump) in (cells | FRACTIONAL).items():
            self.driven(name, model, current, jump)
        self.driven("Channels", every_channel(), 40.0, 1.0)

    def driven(self, name, model, current, jump):
        cell = dd.Population(50, model)
        syn = dd.Projection(
            self.source, cell, dd.FixedProb(0.3), dd.Delta(), weight=0.5 * jump,
            delay=dd.Uniform(0.2, 2.0),
        )  # fmt: skip
        drive = dd.CurrentInput(cell, np.linspace(0.9, 1.1, cell.size) * current)
        self.__dict__ |= {name: cell, f"{name}_drive": drive, f"{name}_syn": syn}

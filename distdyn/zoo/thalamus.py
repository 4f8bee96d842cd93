"""The thalamus and its cortex: from channels to cells, to nuclei, to a system that spindles.

Cells and synapses: Destexhe, Bal, McCormick & Sejnowski (1996), J. Neurophysiol. 76, 2049, for the
thalamus; Destexhe, Contreras & Steriade (1998), J. Neurophysiol. 79, 999, for the cortex. Each
level runs alone: a channel in a membrane, a cell (`relay_cell()`), a nucleus (`Reticular()`), the
thalamus (`Thalamus()`), the whole (`Thalamocortical()`).

Differences: connections are drawn pair by pair, not in a chain, and do not saturate, so that those
onto the cortex are weaker; AMPA and GABA_A are exponential, GABA_B is a double exponential.
"""

import distdyn as dd

TC_AREA, RE_AREA = 29_000.0, 14_300.0  # um2
PY_AREA, IN_AREA = 29_000.0, 14_000.0
AMPA = dd.Exponential(tau=5.3), dd.COBA(E=0.0)
GABA_A = dd.Exponential(tau=6.0), dd.COBA(E=-80.0)
GABA_B = dd.DualExponential(tau_rise=50.0, tau_decay=180.0), dd.COBA(E=-95.0)


def relay_cell() -> dd.Conductance:
    """A thalamocortical cell: T makes it burst when inhibition ends, h brings it back."""
    return dd.Conductance(
        area=TC_AREA,
        INa=dd.INa_TM1991(g=90.0, E=50.0, V_T=-52.0),
        IK=dd.IK_TM1991(g=10.0, E=-100.0, V_T=-52.0),
        IT=dd.ICaT_HM1992(g=2.0, V_sh=-2.0),
        Ih=dd.Ih_De1996(g=0.02, E=-40.0),
        IKL=dd.IKLeak(g=0.0172, E=-100.0),
        IL=dd.ILeak(g=0.01, E=-70.0),
        Ca=dd.CalciumDetailed(d=1.0, tau=5.0),
    )


def reticular_cell() -> dd.Conductance:
    """A cell of the reticular nucleus: it bursts when it is excited from rest."""
    return dd.Conductance(
        area=RE_AREA,
        V_0=-72.0,
        INa=dd.INa_TM1991(g=100.0, E=50.0, V_T=-50.0),
        IK=dd.IK_TM1991(g=10.0, E=-100.0, V_T=-50.0),
        IT=dd.ICaT_HP1992(g=3.0),
        IL=dd.ILeak(g=0.05, E=-90.0),
        Ca=dd.CalciumDetailed(d=1.0, tau=5.0),
    )


def pyramidal_cell() -> dd.Conductance:
    """A cortical cell that adapts, by the M current."""
    return dd.Conductance(
        area=PY_AREA,
        V_0=-70.0,
        INa=dd.INa_TM1991(g=50.0, E=50.0, V_T=-55.0),
        IK=dd.IK_TM1991(g=5.0, E=-100.0, V_T=-55.0),
        IM=dd.IKNI_Ya1989(g=0.07, E=-100.0),
        IL=dd.ILeak(g=0.1, E=-70.0),
    )


def interneuron() -> dd.Conductance:
    """A cortical cell that does not adapt."""
    return dd.Conductance(
        area=IN_AREA,
        V_0=-70.0,
        INa=dd.INa_TM1991(g=50.0, E=50.0, V_T=-55.0),
        IK=dd.IK_TM1991(g=10.0, E=-100.0, V_T=-55.0),
        IL=dd.ILeak(g=0.15, E=-70.0),
    )


def connect(pre, post, synapse, total: float, *, inputs: float, delay: float = 1.0):
    """A projection of this many synapses onto a cell on average, which are `total` nS together."""
    rule = dd.FixedProb(min(1.0, inputs / pre.size))
    return dd.Projection(pre, post, rule, *synapse, weight=total / inputs, delay=delay)


class Relay(dd.Network):
    """The relay nucleus: cells without connections of their own."""

    def __init__(self, n: int = 50):
        self.TC = dd.Population(n, relay_cell(), V=dd.Uniform(-75.0, -55.0))


class Reticular(dd.Network):
    """The reticular nucleus: cells that inhibit each other."""

    def __init__(self, n: int = 50, inputs: float = 20.0):
        self.RE = dd.Population(n, reticular_cell(), V=dd.Uniform(-80.0, -60.0))
        self.inh = connect(self.RE, self.RE, GABA_A, 100.0, inputs=inputs)


class Thalamus(dd.Network):
    """Both nuclei: relay cells excite the reticular nucleus, which inhibits them.

    Bursts of the reticular nucleus come 7 to 14 times a second, those of a relay cell at some of
    them: a spindle. Without GABA_A, with GABA_B in its place, the rhythm is one of 1.5 to 4 Hz.

    Args:
        n: cells in each nucleus.
        inputs: mean number of synapses of a kind onto a cell.
        gaba_a, gaba_b: conductances from the reticular nucleus onto a relay cell, nS.
    """

    def __init__(
        self, n: int = 50, inputs: float = 20.0, gaba_a: float = 30.0, gaba_b: float = 0.0
    ):
        self.relay, self.reticular = Relay(n), Reticular(n, inputs)
        TC, RE = self.relay.TC, self.reticular.RE
        self.exc = connect(TC, RE, AMPA, 200.0, inputs=inputs)
        if gaba_a:
            self.inh = connect(RE, TC, GABA_A, gaba_a, inputs=inputs)
        if gaba_b:
            self.slow = connect(RE, TC, GABA_B, gaba_b, inputs=inputs)


class Cortex(dd.Network):
    """Pyramidal cells and a fourth as many interneurons."""

    def __init__(self, n: int = 100, inputs: float = 20.0):
        self.PY = dd.Population(n, pyramidal_cell(), V=dd.Uniform(-75.0, -65.0))
        self.IN = dd.Population(n // 4, interneuron(), V=dd.Uniform(-75.0, -65.0))
        self.PY_PY = connect(self.PY, self.PY, AMPA, 30.0, inputs=inputs)
        self.PY_IN = connect(self.PY, self.IN, AMPA, 150.0, inputs=inputs)
        self.IN_PY = connect(self.IN, self.PY, GABA_A, 150.0, inputs=inputs)


class Thalamocortical(dd.Network):
    """Thalamus and cortex, which excite each other: the cortex fires with the spindles.

    Args:
        n: cells in each nucleus, and half of the pyramidal ones.
        inputs: mean number of synapses of a kind onto a cell.
        gaba_a, gaba_b: as in `Thalamus`.
    """

    def __init__(
        self, n: int = 50, inputs: float = 20.0, gaba_a: float = 30.0, gaba_b: float = 0.0
    ):
        self.thalamus = Thalamus(n, inputs, gaba_a, gaba_b)
        self.cortex = Cortex(2 * n, inputs)
        TC, RE = self.thalamus.relay.TC, self.thalamus.reticular.RE
        PY, IN, far = self.cortex.PY, self.cortex.IN, {"inputs": inputs, "delay": 3.0}
        self.TC_PY = connect(TC, PY, AMPA, 300.0, **far)
        self.TC_IN = connect(TC, IN, AMPA, 150.0, **far)
        self.PY_RE = connect(PY, RE, AMPA, 100.0, **far)
        self.PY_TC = connect(PY, TC, AMPA, 10.0, **far)

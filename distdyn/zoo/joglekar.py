"""A signal that goes up the cortex of macaques: 29 areas, and the balance that lets it pass.

    tau_E r_E' = -r_E + beta_E [(1 + eta h_i) (w_EE r_E,i + mu_EE sum_j FLN_ij r_E,j)
                                - w_EI r_I,i + I_E,i + I_V1]+
    tau_I r_I' = -r_I + beta_I [(1 + eta h_i) (w_IE r_E,i + mu_IE sum_j FLN_ij r_E,j)
                                - w_II r_I,i + I_I,i]+

I_E and I_I are such that without a pulse to V1 all areas rest at 10 and 35 Hz. Network: Joglekar,
Mejias, Yang & Wang (2018), Neuron 98, 222, its rate model; constants as in the authors' program.
FLN and hierarchy in joglekar.csv are measured: Markov et al. (2014), Cereb. Cortex 24, 17, and
Chaudhuri et al. (2015), Neuron 88, 419.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

import distdyn as dd

BETA_E, BETA_I = 0.066, 0.351  # Hz/pA
TAU_E, TAU_I = 20.0, 10.0  # ms
W_EE, W_IE, W_II, MU_IE = 24.3, 12.2, 12.5, 25.3  # pA/Hz
ETA = 0.68  # of the hierarchy
R_E, R_I = 10.0, 35.0  # Hz, at rest

BALANCE = {  # w_EI and mu_EE (pA/Hz), and the pulse (pA) with which V1 rises by 100 Hz
    "weak": (19.7, 33.7, 634.8),
    "strong": (25.2, 51.5, 332.2),
}


class Joglekar(dd.Network):
    """Excitatory and inhibitory rates of areas, `E` and `I`; V1 is the first one.

    With "strong" global balanced amplification, long excitation and local inhibition are both
    stronger: areas amplify what they are sent, for a while, and the peak in 24c is 1 % of that in
    V1. With "weak" it is less than 0.01 %. Stronger excitation alone is unstable.

    Args:
        balance: "weak" or "strong": w_EI, mu_EE and the pulse.
        mu_EE: of excitation between areas, pA/Hz; None: as the balance says.
        w_EI: of inhibition within an area, pA/Hz; None: the same.
        pulse: current into V1, pA; None: the same.
        start: of the pulse, ms.
        duration: of the pulse, ms.
        fln: another matrix [to, from]; None: that of the macaque.
        hierarchy: position of each area, the highest 1; None: that of the macaque.
    """

    def __init__(
        self,
        balance: str = "strong",
        *,
        mu_EE: float | None = None,
        w_EI: float | None = None,
        pulse: float | None = None,
        start: float = 500.0,
        duration: float = 250.0,
        fln: Any = None,
        hierarchy: Any = None,
    ):
        if balance not in BALANCE:
            raise dd.errors.NameLookupError(
                f'joglekar: balance = "{balance}" is unknown. Use "weak" or "strong".'
            )
        given = (w_EI, mu_EE, pulse)
        w_EI, mu_EE, pulse = (
            usual if x is None else x for x, usual in zip(given, BALANCE[balance], strict=True)
        )
        macaque = areas()
        FLN = macaque.fln if fln is None else np.asarray(fln, np.float64)
        h = macaque.hierarchy / macaque.hierarchy.max() if hierarchy is None else hierarchy
        gain = (1.0 + ETA * np.broadcast_to(h, len(FLN)))[:, None]
        to_E = gain * (W_EE * np.eye(len(FLN)) + mu_EE * FLN)  # pA/Hz, [to, from]
        to_I = gain * (W_IE * np.eye(len(FLN)) + MU_IE * FLN)
        I_E: Any = R_E / BETA_E - (R_E * to_E.sum(1) - R_I * w_EI)
        I_I: Any = R_I / BETA_I - (R_E * to_I.sum(1) - R_I * W_II)
        E = dd.ThresholdLinear(tau=TAU_E, beta=BETA_E, I_e=I_E)
        I = dd.ThresholdLinear(tau=TAU_I, beta=BETA_I, I_e=I_I)
        self.E = dd.Population(len(FLN), E, r=R_E)
        self.I = dd.Population(len(FLN), I, r=R_I)

        def connect(pre, post, rule, weight=None):  # without delays, as in the paper
            return dd.Projection(pre, post, rule, dd.Additive(), weight=weight, delay=0.0)

        own = dd.OneToOne()
        self.E_E = connect(self.E, self.E, dd.Edges.from_matrix(to_E.T))
        self.E_I = connect(self.E, self.I, dd.Edges.from_matrix(to_I.T))
        self.I_E = connect(self.I, self.E, own, -w_EI)
        self.I_I = connect(self.I, self.I, own, -W_II)
        self.pulse = dd.CurrentInput(self.E[:1], dd.inputs.Pulses([start], [duration], [pulse]))


class Areas(NamedTuple):
    """What is measured of areas."""

    names: list[str]
    hierarchy: Float64[np.ndarray, "area"]
    fln: Float64[np.ndarray, "area area"]  # [to, from]


def areas() -> Areas:
    """The 29 areas of the macaque, from the lowest to the highest."""
    lines = Path(__file__).with_suffix(".csv").read_text().splitlines()
    rows = [line.split(",") for line in lines if not line.startswith("#")][1:]
    numbers = np.array([row[1:] for row in rows], np.float64)
    return Areas([row[0] for row in rows], numbers[:, 0], numbers[:, 1:])

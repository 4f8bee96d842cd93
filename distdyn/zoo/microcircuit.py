"""The cortical microcircuit under 1 mm2 of surface: 77,169 neurons, 0.3 billion synapses.

Network: Potjans & Diesmann (2014), Cereb. Cortex 24, 785. Numbers: the authors' reference
implementation (github.com/INM-6/microcircuit-PD14-model). Neurons and synapses keep their full
density at scale 1; a smaller scale thins both and compensates as van Albada et al. (2015), PLoS
Comput. Biol. 11, e1004490, describe.

    python -m distdyn.zoo.microcircuit RUN_DIRECTORY      the rates of a run beside the published
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

import distdyn as dd
from distdyn.errors import DistDynError, ParameterError

NAMES = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
SIZES = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])

# Probability that a pair is connected at least once, row: target, column: source.
CONNECTION_PROBABILITY = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0000, 0.0076, 0.0000],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0000, 0.0042, 0.0000],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0000],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0000, 0.1057, 0.0000],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0000],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0000],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)

C_M, TAU_M, E_L, V_TH, V_RESET, T_REF = 250.0, 10.0, -65.0, -50.0, -65.0, 2.0  # pF, ms, mV
TAU_SYN = 0.5  # ms, excitatory and inhibitory
PSP = 0.15  # mV, peak of an excitatory potential; twice that from L4E to L23E
INHIBITION = -4.0  # inhibitory weight relative to the excitatory
WEIGHT_SD = 0.1  # relative to the mean
DELAY = {"E": 1.5, "I": 0.75}  # ms, mean by type of the source
DELAY_SD = 0.5  # relative to the mean
SHORTEST_DELAY = 0.05  # ms; shorter ones are drawn again, then all round to the grid of dt

EXTERNAL_INDEGREE = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
EXTERNAL_RATE = 8.0  # Hz, of each external input
EXTERNAL_DELAY = 1.5  # ms

# Mean and standard deviation of V at the start, in mV, that shorten the transient.
START_MEAN = (-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43)
START_SD = (5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48)

# Hz, of the reference simulation at full density with Poisson input (its "full_mean_rates"). With
# constant drive an independent program gives 0.91 2.94 4.20 5.70 7.97 8.45 1.11 7.64.
PUBLISHED_RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])


class Microcircuit(dd.Network):
    """Four layers of excitatory and inhibitory integrate-and-fire neurons.

    tau_m V' = E_L - V + tau_m (I_syn + I_e) / C_m ;  tau_syn I_syn' = -I_syn

    Args:
        scale: fraction of the neurons and of the inputs of each neuron that is kept, in (0, 1].
            Weights grow by 1 / sqrt(scale), and a constant current replaces the part of the mean
            input that is then missing: means and variances of the input stay those of scale 1.
            Rates are lower, for correlations grow. With constant drive, all noise comes from the
            network itself: at scale 0.2 rates are 5 to 35 % lower, at 0.1 the activity dies out.
        drive: "dc", constant external input, or "poisson", independent Poisson spikes.
        storage: of the synapses, "stored" or "procedural": as in `dd.Projection`.
    """

    def __init__(self, scale: float = 1.0, drive: str = "dc", storage: str = "stored"):
        if not 0 < scale <= 1:
            raise ParameterError(
                f"Microcircuit: scale is {scale}. Use a number above 0 and at most 1."
            )
        if drive not in ("dc", "poisson"):
            raise ParameterError(f'Microcircuit: drive is {drive!r}. Use "dc" or "poisson".')
        J = PSP * psc_per_psp() / np.sqrt(scale)
        psc = dd.Exponential(tau=TAU_SYN)
        currents = constant_currents(scale, drive)

        for i, name in enumerate(NAMES):
            cell = dd.LIF(
                C_m=C_M,
                tau_m=TAU_M,
                E_L=E_L,
                V_th=V_TH,
                V_reset=V_RESET,
                t_ref=T_REF,
                I_e=float(currents[i]),
            )
            size = round(scale * SIZES[i])
            start = dd.Normal(START_MEAN[i], START_SD[i])
            setattr(self, name, dd.Population(size, cell, V=start))

        self.proj = {
            f"{pre}_{post}": self._project(pre, post, total, J, psc, storage)
            for post, totals in zip(NAMES, synapse_numbers(scale), strict=True)
            for pre, total in zip(NAMES, totals, strict=True)
            if total
        }

        if drive == "poisson":
            rates = EXTERNAL_RATE * np.round(scale * EXTERNAL_INDEGREE)
            self.external = {
                name: dd.PoissonInput(
                    getattr(self, name), float(rate), psc, weight=J, delay=EXTERNAL_DELAY
                )
                for name, rate in zip(NAMES, rates, strict=True)
            }

    def _project(self, pre, post, total, J, psc, storage) -> dd.Projection:
        """`total` synapses with ends drawn independently, with replacement, at both sides."""
        mean = J * relative_weight(pre, post)
        sign = {"low": 0.0} if mean > 0 else {"high": 0.0}
        delay = DELAY[pre[-1]]
        return dd.Projection(
            getattr(self, pre),
            getattr(self, post),
            dd.FixedTotal(int(total)),
            psc,
            weight=dd.Normal(mean, WEIGHT_SD * abs(mean), **sign),
            delay=dd.Normal(delay, DELAY_SD * delay, low=SHORTEST_DELAY),
            storage=storage,
        )


def psc_per_psp() -> float:
    """Peak current in pA that gives a potential with a peak of 1 mV: 585.39.

    The potential after a current exp(-t / tau_s) peaks at t = ln(x) tau_m tau_s / (tau_m - tau_s),
    x = tau_m / tau_s, with the height in the denominator.
    """
    x, difference = TAU_M / TAU_SYN, TAU_SYN - TAU_M
    height = x ** (TAU_M / difference) - x ** (TAU_SYN / difference)
    return 1 / (TAU_M * TAU_SYN / (C_M * difference) * height)


def relative_weight(pre: str, post: str) -> float:
    """Mean weight of a projection in units of the excitatory one."""
    if pre.endswith("I"):
        return INHIBITION
    return 2.0 if (pre, post) == ("L4E", "L23E") else 1.0


def synapse_numbers(scale: float = 1.0) -> np.ndarray:
    """Synapses of each projection (target, source); 298,880,970 at scale 1.

    K = ln(1 - p) / ln(1 - 1 / (N_target N_source)): with K draws of a pair, with replacement, a
    pair is connected with probability p. `log1p` because ln(1 - 1e-9) loses half the digits.
    """
    pairs = np.outer(SIZES, SIZES).astype(float)
    full = np.round(np.log1p(-CONNECTION_PROBABILITY) / np.log1p(-1 / pairs))
    return np.round(scale**2 * full).astype(int)  # N and K per neuron both shrink by `scale`


def constant_currents(scale: float, drive: str) -> np.ndarray:
    """Constant current into each population, in pA.

    The mean of an input of weight J and rate r is J tau_syn r. With in-degrees times `scale` and
    weights by sqrt(scale), the fraction sqrt(scale) of it is left; the rest is added here.
    """
    J = PSP * psc_per_psp()
    per_rate = 1e-3 * TAU_SYN * J  # pA per Hz; ms to s
    weights = np.array([[relative_weight(pre, post) for pre in NAMES] for post in NAMES])
    indegrees = synapse_numbers() / SIZES[:, None]
    recurrent = per_rate * (weights * indegrees * PUBLISHED_RATES).sum(axis=1)
    external = per_rate * EXTERNAL_INDEGREE * EXTERNAL_RATE
    missing = 1 - np.sqrt(scale)
    if drive == "dc":
        return external + missing * recurrent
    return missing * (recurrent + external)


def tolerance() -> np.ndarray:
    """How far a rate may lie from the published one, in Hz: max(0.15 Hz, 8 %).

    That is several times the differences between seeds of the reference implementation.
    """
    return np.maximum(0.15, 0.08 * PUBLISHED_RATES)


def rate_table(rates: Mapping[str, float]) -> str:
    """The rates of the eight populations (Hz) beside the published ones, as text."""
    lines = ["            rate  published  difference"]
    limits = tolerance()
    for name, published, limit in zip(NAMES, PUBLISHED_RATES, limits, strict=True):
        difference = rates[name] - published
        verdict = "ok" if abs(difference) <= limit else f"beyond {limit:.2f}"
        lines.append(
            f"{name:5} {rates[name]:7.3f} Hz {published:7.3f} Hz {difference:+8.3f} Hz  {verdict}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of a run directory."""
    parser = argparse.ArgumentParser(
        prog="python -m distdyn.zoo.microcircuit",
        description="The rates of a run of the microcircuit beside the published ones.",
    )
    parser.add_argument("directory", help="a run directory")
    directory = parser.parse_args(arguments).directory
    try:
        recording = dd.load(directory)
    except DistDynError as error:
        parser.error(str(error))
    rates = recording.rates()
    if not set(NAMES) <= set(rates):
        parser.error(f"{directory} holds the spikes of {', '.join(rates) or 'nobody'}.")
    print(rate_table(rates))
    scale = sum(recording.sizes.values()) / SIZES.sum()
    if scale < 0.999:
        print(
            f"This is the network at scale {scale:.2g}: mean and variance of each input are kept, "
            "correlations grow,\nso that rates are somewhat lower than at full density."
        )


if __name__ == "__main__":
    main()

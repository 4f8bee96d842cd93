"""The whole brain: regions that are noisy by themselves and act on each other through white matter.

    x_i' = F(x_i, G sum_j C_ij E(x_j(t - d_ij))) + noise,    d_ij = L_ij / speed

C is a connectome, L the lengths of its fibers; F a model of a region. As fMRI sees it:

    recording = dd.DSRunner(WholeBrain(region="ReducedWongWang", G=0.15), dt=0.5,
                            record=[dd.every(10.0, "regions.S")]).run(300_000.0)
    bold = dd.measure.bold(recording.traces["regions.S"].value, dt=10.0, every=1000.0)
    fc = dd.measure.functional_connectivity(bold)

Networks: Deco et al. (2013), J. Neurosci. 33, 11239, of `ReducedWongWang`; Cabral et al. (2022),
Commun. Phys. 5, 184, of `StuartLandau`, with delays; Deco et al. (2009), PNAS 106, 10302, of
`WilsonCowan`. Differences: Stuart-Landau regions act on and are driven in x only, not in y.
"""

from pathlib import Path
from typing import Any

import numpy as np

import distdyn as dd

AXES = 65.0, 85.0, 55.0  # mm, half, of the ellipsoid in which generated regions lie
DELAY_STEP = 1.0  # ms, to which delays are rounded; dt must divide it

ALPHA = 0.06283185307179587  # radians / ms: 10 Hz
REGIONS: dict[str, tuple[dd.ODE, Any, float, float]] = {  # a model, its coupling, G and noise
    "StuartLandau": (dd.StuartLandau(a=-0.005, omega=ALPHA), dd.Diffusive(most=64.0), 0.1, 0.001),
    "WilsonCowan": (dd.WilsonCowan(tau_e=8.0, tau_i=8.0, P=0.9), dd.Additive(most=1.0), 1.0, 0.05),
    "ReducedWongWang": (dd.ReducedWongWang(), dd.Additive(most=1.0), 0.2, 0.001),
}


class WholeBrain(dd.Network):
    """Regions of one model, coupled by a connectome.

    Args:
        region: "StuartLandau" (the default), "WilsonCowan", "ReducedWongWang", or a model with
            `emit`, which is then coupled by `Additive`.
        G: global coupling: the sum of the weights onto a region is G on average. In 1/ms
            (StuartLandau), without dimension (WilsonCowan), in units of J_N (ReducedWongWang).
            None: below the value at which the rest of the region is lost.
        weights: the connectome [pre, post], >= 0, or a file of it (.npy, or a table of text); None:
            one that `generated` makes. Only relative values matter.
        lengths: of its fibers in mm, [pre, post], or a file; needed if weights are given and the
            speed is not infinite.
        speed: mm/ms, which is m/s; "inf": no delays.
        noise: its strength, per sqrt(ms), in the unit of x (ReducedWongWang: of S); None: that of
            the region.
        regions: how many are generated.
        connectome: the seed of what is generated.
    """

    def __init__(
        self,
        region: str | dd.ODE = "StuartLandau",
        G: float | None = None,
        *,
        weights: Any = None,
        lengths: Any = None,
        speed: float | str = 10.0,
        noise: float | None = None,
        regions: int = 80,
        connectome: int = 1,
    ):
        if weights is None:
            weights, lengths = generated(regions, connectome)
        C = _matrix(weights, "weights")
        model, coupling, *usual = _region(region)
        G, noise = (y if x is None else x for x, y in zip((G, noise), usual, strict=True))
        unit = 1.0
        if isinstance(model, dd.ReducedWongWang):
            model, unit, noise = dd.ReducedWongWang(sigma=noise), model.J_N, 0.0
        self.regions = dd.Population(len(C), model)
        edges = dd.Edges.from_matrix(C * (G * unit * len(C) / C.sum()))
        self.fibers = dd.Projection(
            self.regions, self.regions, edges, coupling, delay=_delays(C, lengths, float(speed))
        )
        if noise:
            self.noise = dd.CurrentInput(self.regions, dd.inputs.WhiteNoise(noise))


def generated(
    n: int = 80, seed: int = 1, *, decay: float = 20.0, scatter: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """A connectome that is nobody's: weights that decay with distance, and distances.

        C_ij = exp(-L_ij / decay + scatter z_ij),   z_ij = z_ji normal

    Regions lie anywhere in an ellipsoid of the size of a brain. It is symmetric, as tractography
    is, and has all pairs.

    Args:
        n: number of regions.
        seed: of all that is drawn.
        decay: mm.
        scatter: of the logarithm of weights at one distance.

    Returns:
        The weights and the lengths (mm), [region, region].

    Source: Roberts et al. (2016), NeuroImage 124, 379, for the decay and the scatter of weights.
    """
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    position = direction * rng.random((n, 1)) ** (1 / 3) * AXES
    L = np.linalg.norm(position[:, None] - position[None], axis=2)
    z = np.triu(rng.normal(size=(n, n)), 1)
    C = np.exp(-L / decay + scatter * (z + z.T))
    np.fill_diagonal(C, 0.0)
    return C, L


def _region(region: Any) -> tuple[dd.ODE, Any, float, float]:
    if isinstance(region, str):
        if region not in REGIONS:
            raise dd.errors.NameLookupError(
                f'whole_brain: region "{region}" is unknown. Use one of {", ".join(REGIONS)}, or '
                "a model."
            )
        return REGIONS[region]
    return region, dd.Additive(), 1.0, 0.0


def _delays(C: np.ndarray, lengths: Any, speed: float) -> Any:
    """Of each edge, a multiple of DELAY_STEP; 0 for all without a limit of speed."""
    if speed == np.inf:
        return 0.0
    if lengths is None:
        raise dd.errors.ParameterError(
            'whole_brain: weights without lengths. Give lengths in mm, or speed="inf".'
        )
    steps = np.rint(_matrix(lengths, "lengths")[np.nonzero(C)] / speed / DELAY_STEP)
    return np.maximum(steps, 1.0) * DELAY_STEP


def _matrix(given: Any, name: str) -> np.ndarray:
    if isinstance(given, str | Path):
        path = Path(given)
        try:
            is_array = path.suffix == ".npy"  # mapped: its head may claim more than there is
            given = np.load(path, mmap_mode="r") if is_array else np.loadtxt(path)
        except (OSError, ValueError) as error:
            raise dd.errors.ParameterError(
                f"whole_brain: {name}: {str(path)!r} cannot be read: {error}. Give a table of "
                "numbers, or what numpy.save wrote."
            ) from error
    matrix = np.asarray(given, np.float64)
    if matrix.ndim != 2 or len(set(matrix.shape)) > 1 or not (matrix >= 0).all():
        raise dd.errors.ParameterError(
            f"whole_brain: {name} of shape {matrix.shape}. Give a square matrix of numbers >= 0."
        )
    return matrix

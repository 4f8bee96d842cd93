"""What is said of a distribution of weights. Imported in the Python of a peer; NumPy is enough."""

import numpy as np

SAMPLE = 20  # neurons of whose synapses weights are asked for; all of them take longer than the run
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def distribution(weights) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Mean, standard deviation and quantiles."""
    w = np.asarray(weights, np.float64)
    quantiles = {f"q{100 * q:g}": float(np.quantile(w, q)) for q in QUANTILES}
    return {"n": len(w), "mean": float(w.mean()), "sd": float(w.std()), **quantiles}

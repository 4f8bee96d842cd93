"""`dd.compare`: how much two runs differ in the statistics of their spikes.

    print(dd.compare("runs/a", "runs/b"))

For each population the distributions of rates, of the CV of intervals and of correlations, and the
largest distance between their cumulative distributions.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from distdyn.analysis.statistics.spikes import Statistics, paths_of, recorded, statistics
from distdyn.errors import AnalysisError
from distdyn.parallel import launch
from distdyn.run.agreement import agreed

MEASURES = {"rate": "Hz", "cv": "", "correlation": ""}
LEVEL = 0.05  # the part of pairs of equal distributions that are further apart than `expected`


class Difference(NamedTuple):
    """Of one measure of one population.

    Attributes:
        mean: in either run.
        std: in either run.
        n: how many values each has.
        ks: the Kolmogorov-Smirnov distance of the two distributions, from 0 to 1.
        expected: the distance that 5 % of pairs of independent samples of one distribution exceed.
            Correlations of pairs that share neurons are not independent: they exceed it more often.
    """

    mean: tuple[float, float]
    std: tuple[float, float]
    n: tuple[int, int]
    ks: float
    expected: float


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """The differences of two runs.

    Attributes:
        differences: by population, and by measure.
        statistics: of either run, by population.
    """

    differences: Mapping[str, Mapping[str, Difference]]
    statistics: tuple[Mapping[str, Statistics], Mapping[str, Statistics]]

    def __repr__(self) -> str:
        width = max(10, *(len(path) for path in self.differences))
        lines = [f"{'population':{width}}  {'measure':14}{'A':>22}{'B':>22}{'KS':>9}{'5 %':>9}"]
        for path, measures in self.differences.items():
            for name, one in measures.items():
                unit = f", {MEASURES[name]}" if MEASURES[name] else ""
                a, b = (f"{m:.4g} +- {s:.3g}" for m, s in zip(one.mean, one.std, strict=True))
                row = f"{path:{width}}  {name + unit:14}{a:>22}{b:>22}"
                lines.append(f"{row}{one.ks:9.4f}{one.expected:9.4f}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The differences as plain numbers; None where there is nothing to compare."""
        return {
            path: {
                name: {field: _plain(value) for field, value in one._asdict().items()}
                for name, one in measures.items()
            }
            for path, measures in self.differences.items()
        }


def compare(first: Any, second: Any, populations: Any = None, **options: Any) -> Comparison:
    """Compare the spikes of two runs, population by population.

    Collective.

    Args:
        first: the directory of a run, or a recording.
        second: another.
        populations: their paths; by default those that both have recorded.
        options: of `statistics`: `window`, `width`, `sample`, ...

    Raises:
        AnalysisError: the runs have no population in common, or `statistics` is not possible.
    """
    with agreed(launch.world()):
        runs = recorded(first), recorded(second)
        known = [paths_of(run, populations) for run in runs]
        common = [path for path in known[0] if path in known[1]]
        if not common:
            raise AnalysisError(
                f"the runs have no population in common: {', '.join(known[0])}, and "
                f"{', '.join(known[1])}. Give runs of one network."
            )
    a, b = (statistics(run, common, **options) for run in runs)
    differences = {
        path: {
            name: _difference(getattr(a[path], name), getattr(b[path], name)) for name in MEASURES
        }
        for path in common
    }
    return Comparison(differences, (a, b))


def ks_distance(first: Float64[np.ndarray, "n"], second: Float64[np.ndarray, "m"]) -> float:
    """The two-sample Kolmogorov-Smirnov distance: the largest difference of two distributions.

        D = max_x |F(x) - G(x)|,   F(x) the part of the first values that are <= x

    Args:
        first: values, in any order; NaN are left out.
        second: others.

    Returns:
        From 0 to 1; NaN if there are no values.
    """
    a, b = (np.sort(x[np.isfinite(x)]) for x in (first, second))
    if not len(a) or not len(b):
        return math.nan
    at = np.concatenate([a, b])
    F, G = (np.searchsorted(x, at, side="right") / len(x) for x in (a, b))
    return float(np.abs(F - G).max())


def _difference(a: Float64[np.ndarray, "n"], b: Float64[np.ndarray, "m"]) -> Difference:
    known = [x[np.isfinite(x)] for x in (a, b)]
    n, m = map(len, known)
    # Smirnov's limit: P(D > sqrt(-log(level / 2) (n + m) / (2 n m))) = level.
    expected = math.sqrt(-math.log(LEVEL / 2) / 2 * (n + m) / (n * m)) if n and m else math.nan
    mean, std = (
        tuple(float(function(x)) if len(x) else math.nan for x in known)
        for function in (np.mean, np.std)
    )
    return Difference(mean, std, (n, m), ks_distance(a, b), expected)  # pyright: ignore


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(x) for x in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""What a run says about itself: the banner before it, the table of phases after it.

Everything here is text from numbers that the ranks have told each other before, so that rank 0 can
print it alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Census(NamedTuple):
    """What each rank holds."""

    neurons: np.ndarray  # int64[rank]
    synapses: np.ndarray  # int64[rank]
    connectivity_bytes: np.ndarray  # int64[rank]

    @property
    def n_synapses(self) -> int:
        """How many there are on all ranks."""
        return int(self.synapses.sum())

    @property
    def bytes_per_synapse(self) -> float:
        """All arrays of all ranks that hold connectivity, per synapse."""
        return int(self.connectivity_bytes.sum()) / max(1, self.n_synapses)

    def __str__(self) -> str:
        """`neurons/rank 19292-19293, synapses/rank max/mean 1.02`."""
        mean = max(1.0, float(self.synapses.mean()))
        return (
            f"neurons/rank {self.neurons.min()}-{self.neurons.max()}, "
            f"synapses/rank max/mean {self.synapses.max() / mean if mean > 1.0 else 1.0:.2f}"
        )


def hardware(ranks: int, devices: int, platform: str, cores: str) -> str:
    """`4 ranks x 1 cpu device (2 cores per rank, disjoint)`."""
    text = f"{devices} {platform} device{'s' * (devices != 1)} ({cores})"
    return text if ranks == 1 else f"{ranks} ranks x {text}"


def exchanges(intervals: Sequence[int | None] | None, dt: float) -> str:
    """How often the parts exchange spikes, from steps inside a node and between nodes."""
    where = ("inside a node", "between nodes")
    said = [
        f"{place} every {steps * dt:g} ms ({steps} step{'s' * (steps != 1)})"
        for steps, place in zip(intervals or (), where, strict=False)
        if steps
    ]
    return f"spikes are exchanged {', '.join(said)}" if said else ""


def shown_count(n: int) -> str:
    """`77169`, `299.0 M`."""
    for size, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return str(n)


def phase_table(phases: Sequence[Mapping[str, float]]) -> str:
    """Seconds of each phase: of one rank, or the least, mean and most of several."""
    names = list(dict.fromkeys(name for each in phases for name in each))
    head = ("",) if len(phases) == 1 else ("min", "mean", "max")
    lines = [f"{'phase (s)':12}" + "".join(f"{column:>10}" for column in head).rstrip()]
    for name in names:
        values = [each.get(name, 0.0) for each in phases]
        row = values if len(phases) == 1 else (min(values), float(np.mean(values)), max(values))
        lines.append(f"{name:12}" + "".join(f"{value:10.3f}" for value in row))
    return "\n".join(lines)


def most(phases: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Seconds of each phase on the rank that took longest."""
    names = dict.fromkeys(name for each in phases for name in each)
    return {name: max(each.get(name, 0.0) for each in phases) for name in names}


def results(result: Mapping[str, Any]) -> str:
    """How fast a run was, and how fast its neurons fired."""
    lines = [
        f"{result['duration']:g} ms in {result['phases']['run']:.2f} s"
        + (f": real-time factor {result['rtf']:.3g}" if result["rtf"] is not None else "")
    ]
    lines += [
        f"  {path:16} {result['spikes'][path]:10,} spikes {rate:9.3f} Hz"
        for path, rate in (result["rates"] or {}).items()
    ]
    return "\n".join(lines)


def trained(result: Mapping[str, Any]) -> str:
    """What a training came to, in a line."""
    right = "" if result["accuracy"] is None else f", {result['accuracy']:.1%} right"
    return (
        f"{result['task']}: loss {result['loss']:.4g}{right} on new data, after "
        f"{result['updates']} updates in {result['seconds']:.0f} s"
    )

"""A rule: sources that are near on a ring, as many for every neuron."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

import distdyn as dd


@dataclass(frozen=True)
class Near(dd.IndegreeRule):
    """n sources, whose distances along the ring are normal numbers of this standard deviation."""

    n: int
    sigma: float  # neurons

    def choose(self, post, n_pre, u):
        return np.rint(post + self.sigma * ndtri(u)).astype(int) % n_pre


if __name__ == "__main__":
    print(Near(n=4, sigma=3.0).choose(np.arange(3)[:, None], 100, np.full((3, 4), 0.7)))

"""A synapse: its course in time, a gamma function of order 3, which begins without a jump."""

from typing import NamedTuple

import jax
import numpy as np

import distdyn as dd


class Gamma(dd.Kinetics):
    """g' = (h - g) / tau,  h' = (k - h) / tau,  k' = -k / tau;  an arrival of w: k += w e^2 / 2."""

    tau: float = dd.param(2.0, "ms", "half the time to peak", positive=True)

    class State(NamedTuple):
        g: jax.Array
        h: jax.Array
        k: jax.Array

    def init(self):
        return self.State(g=0.0, h=0.0, k=0.0)

    def derivative(self, s):
        return self.State(g=(s.h - s.g) / self.tau, h=(s.k - s.h) / self.tau, k=-s.k / self.tau)

    def arrive(self, s, weight):
        return s._replace(k=s.k + weight * np.exp(2.0) / 2)


if __name__ == "__main__":
    print(dd.describe(Gamma))

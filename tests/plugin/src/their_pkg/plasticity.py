"""A rule of plasticity: spikes of the pre cell cost, pairs of pre before post pay."""

import jax.numpy as jnp

import distdyn as dd


class Reward(dd.Plasticity):
    """Post spike: w = w + A x, at most w_max;  pre spike: w = w - c, at least 0."""

    A: float = dd.param(0.5, "", "gained by a pair without delay", nonnegative=True)
    c: float = dd.param(0.1, "", "price of a spike of the pre cell", nonnegative=True)
    tau: float = dd.param(20.0, "ms", "how long that spike is remembered", positive=True)
    w_max: float = dd.param(30.0, "", "the largest weight, in its own unit", positive=True)

    def pre(self):
        return (dd.Trace(self.tau),)

    def post(self):
        return ()

    def potentiate(self, w, x, y):
        return jnp.minimum(w + self.A * x[0], self.w_max)

    def depress(self, w, x, y):
        return jnp.maximum(w - self.c, 0.0)


if __name__ == "__main__":
    print(Reward().potentiate(10.0, [0.5], []), Reward().depress(10.0, [0.5], []))

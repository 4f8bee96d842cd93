"""An integrator: Taylor's series to second order, with the derivative of f along the solution."""

import jax

import distdyn as dd
from distdyn.core import Integrator, vector_field


class Taylor2(Integrator):
    """y(t + dt) = y + dt f + dt^2/2 (df/dt + df/dy f): order 2."""

    def prepare(self, flow, dt):
        return ()

    def advance(self, flow, prepared, y, current, held, tick):
        f = vector_field(flow, current, held)
        F, along = jax.jvp(f, (tick.t, y), (1.0, f(tick.t, y)))
        dt, half = tick.dt, tick.dt**2 / 2
        return jax.tree.map(lambda y, F, G: y + dt * F + half * G, y, F, along)


if __name__ == "__main__":
    for dt in (0.1, 0.05):  # a quarter of the error
        y = dd.integrate(lambda t, y: t - y, 1.0, [0.0, 1.0], method=Taylor2(), dt=dt)
        print(dt, float(y[-1]) - 2 / 2.718281828459045)

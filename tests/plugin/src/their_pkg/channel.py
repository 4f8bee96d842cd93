"""A channel: a slow potassium current, as of Yamada, Koch & Adams (1989)."""

import jax.numpy as jnp

import distdyn as dd


class ISlow(dd.Channel):
    """I = g w (V - E),  w' = (w_inf(V) - w) / tau."""

    g: float = dd.param(0.3, "mS/cm2", "conductance", nonnegative=True)
    E: float = dd.param(-90.0, "mV", "reversal potential")
    tau: float = dd.param(60.0, "ms", "time constant of the gate", positive=True)

    @dd.gate
    def w(self, V):
        return dd.InfTau(inf=1 / (1 + jnp.exp(-(V + 35) / 10)), tau=self.tau)

    def current(self, s, V):
        return self.g * s.w * (V - self.E)


if __name__ == "__main__":
    channels = {"INa": dd.INa_TM1991(), "IK": dd.IK_TM1991(), "IL": dd.ILeak(g=0.05)}
    for cell in (dd.Conductance(**channels, I_e=1.0), dd.Conductance(**channels, K=ISlow(), I_e=1)):
        print(dd.DSRunner(cell, dt=0.05, record="spikes").run(200).spikes["cell"].time.round(1))

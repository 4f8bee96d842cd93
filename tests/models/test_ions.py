"""Ions: reversal potentials, and pools that currents fill."""

import jax
import numpy as np
import pytest

import distdyn as dd


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    "inside, outside, z, T, expected",
    [
        (2.4e-4, 2.0, 2, 36.0, 120.2554034375),  # calcium: R T / 2F = 13.3202429 mV
        (140.0, 3.5, 1, 36.0, -98.2735406454),  # potassium
        (15.0, 145.0, 1, 20.0, 57.3108312809),  # sodium: R T / F = 25.2617125 mV
        (4.0, 110.0, -1, 36.0, -88.2915251325),  # chloride
    ],
)
def test_nernst(inside, outside, z, T, expected):
    assert float(dd.nernst(inside, outside, z, T)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["SodiumFixed", "PotassiumFixed", "CalciumFixed"])
def test_fixed_ions_stay(kind):
    ion = getattr(dd, kind)(C=3.0, E=-7.0)
    assert ion.level(ion.init()) == dd.Level(C=3.0, E=-7.0)
    assert jax.tree.leaves(ion.derivative(ion.init(), -5.0)) == []


def test_pool_that_decays_at_a_constant_rate():
    """alpha mM per ms and uA/cm2, 1e-3 mM above a rest of 2.4e-4 mM."""
    ion = dd.CalciumFirstOrder(alpha=2e-6, tau=80.0)
    state = ion.init()._replace(C=1.24e-3)
    assert float(ion.derivative(state, -10.0).C) == pytest.approx(2e-5 - 1e-3 / 80, rel=1e-12)
    assert float(ion.derivative(state, 10.0).C) == pytest.approx(-1e-3 / 80, rel=1e-12)
    assert float(ion.derivative(ion.init(), 0.0).C) == 0.0


def test_detailed_pool():
    """10 uA/cm2 into 1 um: 10 * 10 / (2 * 96485.33212) = 5.182134828e-4 mM / ms."""
    ion = dd.CalciumDetailed(d=1.0, tau=5.0, K_T=1e-4, K_d=1e-4)
    state = ion.init()._replace(C=3e-4)
    pump, decay = 1e-4 * 0.75, 0.6e-4 / 5
    found = float(ion.derivative(state, -10.0).C)
    assert found == pytest.approx(5.182134828309e-4 - pump - decay, rel=1e-9)
    assert float(ion.derivative(state, 10.0).C) == pytest.approx(-pump - decay, rel=1e-12)
    thin = dd.CalciumDetailed(d=0.1)
    assert float(thin.derivative(thin.init(), -10.0).C) == pytest.approx(
        5.182134828309e-3, rel=1e-9
    )
    assert float(ion.level(ion.init()).E) == pytest.approx(120.2554034375, abs=1e-6)


# --- in a cell -----------------------------------------------------------------------------------


class IBoth(dd.Channel):
    """A channel through which sodium and calcium pass, three to one."""

    g: float = 0.02
    Na: str = "Na"
    Ca: str = "Ca"

    def current(self, s, V):
        sodium = 0.75 * self.g * (V - self.Na.E)
        return {"Na": sodium, "Ca": 0.25 * self.g * (V - self.Ca.E)}


def test_pools_take_the_currents_that_carry_them():
    """Of several channels, of two pools in one cell, and of one ion of a mixture."""
    cell = dd.Conductance(
        Na=dd.SodiumFixed(E=50.0),
        Ca=dd.CalciumFirstOrder(alpha=1e-5, tau=50.0),
        other=dd.CalciumFirstOrder(alpha=3e-5, tau=20.0),
        L1=dd.ILeak(g=0.01, E="Ca"),
        L2=dd.ILeak(g=0.02, E="Ca"),
        L3=dd.ILeak(g=0.03, E="other"),
        both=IBoth(),
        IAHP=dd.IAHP_De1994(Ca="other"),
        IL=dd.ILeak(),
    )
    state = cell.init(0, None)
    E = 120.2554034375  # of both pools, at rest
    slope = cell.derivative(0.0, state, dd.Drive(0.0))
    into = 0.03 * (-65 - E) + 0.25 * 0.02 * (-65 - E)
    assert float(slope.Ca.C) == pytest.approx(-1e-5 * into, rel=1e-8)
    assert float(slope.other.C) == pytest.approx(-3e-5 * 0.03 * (-65 - E), rel=1e-8)
    p = 48 * 2.4e-4**2 / (48 * 2.4e-4**2 + 0.03)
    currents = cell.currents(state)
    assert float(currents["IAHP"]) == pytest.approx(10 * p**2 * 30.0, rel=1e-10)
    assert float(currents["both"]) == pytest.approx(
        0.75 * 0.02 * -115 + 0.25 * 0.02 * (-65 - E), rel=1e-8
    )
    assert float(slope.V) == pytest.approx(-sum(map(float, currents.values())), rel=1e-12)
    assert set(currents) == {"L1", "L2", "L3", "both", "IAHP", "IL"}


def test_reversal_potential_that_an_ion_gives():
    own, shared = dd.IK_HH1952(E=-80.0), dd.IK_HH1952(E="K")
    one = dd.Conductance(IK=own, IL=dd.ILeak())
    two = dd.Conductance(IK=shared, K=dd.PotassiumFixed(E=-80.0), IL=dd.ILeak())
    found = [cell.currents(cell.init(0, None))["IK"] for cell in (one, two)]
    assert float(found[0]) == float(found[1]) != 0.0
    # HH at -65 mV: n = 0.317676914, I = 36 n^4 (V - E)
    assert float(found[0]) == pytest.approx(36 * 0.3176769140606974**4 * 15, rel=1e-12)


def test_pool_in_the_steady_state_of_a_run():
    """C = C_rest + tau alpha |I|, E by Nernst from it, V where the currents balance."""
    pool = dd.CalciumFirstOrder(alpha=1e-4, tau=20.0)
    cell = dd.Conductance(Ca=pool, ICa=dd.ILeak(g=0.05, E="Ca"), IL=dd.ILeak(g=0.2, E=-70.0))
    runner = dd.DSRunner(cell, dt=0.1, precision="float64", record=[dd.every(1000.0, "Ca.C")])
    C = runner.run(1000.0).traces["Ca.C"].value[-1, 0]
    V = runner["cell"].V[0]
    E = float(dd.nernst(C, 2.0, 2, 36.0))
    assert V == pytest.approx((0.05 * E - 0.2 * 70.0) / 0.25, rel=1e-9)
    assert pytest.approx(2.4e-4 + 20.0 * 1e-4 * 0.05 * (E - V), rel=1e-9) == C
    assert C > 1e-2 and E < 75.0
    np.testing.assert_array_equal(runner["cell"].Ca.C, [C])

"""Channels: steady states, time constants, currents and rates of all of them, in numbers.

The numbers are of the formulas as the papers write them, computed with Python's `math` and not with
the code that is tested.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd

CALCIUM = dd.Level(C=2e-3, E=120.0)  # mM, mV: what channels see of calcium here

# (V, current in uA/cm2 with the gates at rest, then of each gate its steady state and its time
# constant in ms)
EXPECTED = {
    "INa_HH1952": [
        (
            -85.0,
            -0.00111296389051,
            0.00414310973505,
            0.0819572762839,
            0.966021407847,
            5.07684879541,
        ),
        (-52.0, -21.7668650919, 0.210258464529, 0.406520184752, 0.191317193825, 5.23536994377),
        (3.0, -12.6265643592, 0.979442544259, 0.224686725651, 0.00238269908936, 1.01993476995),
    ],
    "INa_TM1991": [
        (
            -85.0,
            -1.4426800162e-08,
            0.00010223844065,
            0.0575975601032,
            0.999985255879,
            0.894977772838,
        ),
        (-52.0, -12.0497123159, 0.108042166869, 0.109514455907, 0.936691651433, 5.24350700472),
        (3.0, -9.84860804377, 0.997624565597, 0.0588220996128, 0.00211045254712, 0.250848617357),
    ],
    "INa_Ba2002": [
        (
            -85.0,
            -1.10278845973e-12,
            4.49405850533e-06,
            0.0920558459874,
            0.999999468132,
            0.840299391248,
        ),
        (-52.0, -0.00844194728381, 0.0097324045164, 0.162749749708, 0.997561087201, 5.24300570085),
        (3.0, -18.3066549188, 0.977693767179, 0.147654236528, 0.00463084332836, 0.516787303239),
    ],
    "IK_HH1952": [
        (-85.0, -0.0182314242638, 0.0891983924426, 5.67466404151),
        (-52.0, 66.5105912209, 0.521389252501, 4.50448647269),
        (3.0, 2026.57279143, 0.915888128723, 1.57433659875),
    ],
    "IK_TM1991": [
        (-85.0, 2.68343497415e-11, 0.000650354207355, 0.89807348227),
        (-52.0, 1.1037156987, 0.176395739799, 1.68890780262),
        (3.0, 2084.90104837, 0.92975882899, 0.5696839887),
    ],
    "IKDR_Ba2002": [
        (-85.0, 4.94871452576e-16, 4.71653542181e-05, 1.25516543837),
        (-52.0, 0.000231051549549, 0.0270744789573, 2.78672426743),
        (3.0, 579.69739775, 0.87698833908, 1.39352767789),
    ],
    "IKA1_HM1992": [
        (-85.0, 0.000723800318418, 0.0501551968688, 0.251877636675, 0.762541971656, 14.854333883),
        (-52.0, 3.95393732319, 0.719337237726, 0.551992095049, 0.0129537275307, 4.81229267579),
        (3.0, 0.00381574183378, 0.999396261033, 0.128972170621, 1.37095720686e-06, 4.81229267579),
    ],
    "IKA2_HM1992": [
        (-85.0, 0.00303660965479, 0.079438549184, 0.251877636675, 0.762541971656, 14.854333883),
        (-52.0, 0.0909490406154, 0.310025518872, 0.551992095049, 0.0129537275307, 15.196713713),
        (3.0, 0.0014978060056, 0.875446641813, 0.128972170621, 1.37095720686e-06, 15.196713713),
    ],
    "IKK2A_HM1992": [
        (-85.0, 0.00171160433344, 3.69125605483e-05, 5.9073372041, 0.927383149809, 121.977028101),
        (-52.0, 2.59746206405, 0.0188744893431, 17.2331883383, 0.362151598386, 278.309078275),
        (3.0, 2.2673419794, 0.772057231476, 7.74990005236, 0.00315779974463, 222.246180095),
    ],
    "IKK2B_HM1992": [
        (-85.0, 0.00171160433344, 3.69125605483e-05, 5.9073372041, 0.927383149809, 121.977028101),
        (-52.0, 2.59746206405, 0.0188744893431, 17.2331883383, 0.362151598386, 2261.77755762),
        (3.0, 2.2673419794, 0.772057231476, 7.74990005236, 0.00315779974463, 2261.77755762),
    ],
    "IKNI_Ya1989": [
        (-85.0, 0.000133857018486, 0.00669285092428, 24.3026973474),
        (-52.0, 0.0234787202927, 0.154465265084, 101.232250559),
        (3.0, 0.363860167212, 0.978118729064, 110.785913597),
    ],
    "ICaN_IS2008": [
        (-85.0, -0.000292081618522, 0.000310528878639, 1.95883300893),
        (-52.0, -0.0923795169788, 0.150489213143, 2.92344279682),
        (3.0, -0.0692969564865, 0.999856086448, 1.65648089839),
    ],
    "ICaT_HM1992": [
        (-85.0, -0.0349752721994, 0.0108130561268, 2.70668869061, 0.729592451198, 82.8805976352),
        (-52.0, -0.123150598647, 0.691352849519, 1.5621641622, 0.00074899439955, 12.1792096067),
        (3.0, -2.07429004193e-07, 0.999937320871, 0.207462116733, 8.86559869984e-10, 7.51739310121),
    ],
    "ICaT_HP1992": [
        (-85.0, -0.0343017378601, 0.0114363126066, 0.880905505123, 0.73105857863, 180.840428305),
        (-52.0, -0.277239052433, 0.5, 1.66582205749, 0.00368423989944, 23.4700757968),
        (3.0, -1.26305322375e-05, 0.99940860358, 0.442084401507, 6.17606095414e-08, 22.7443450265),
    ],
    "ICaHT_HM1992": [
        (-85.0, -0.00012528133079, 0.000552778636924, 0.146518084382),
        (-52.0, -0.075085572291, 0.0147740316933, 0.231890668425),
        (3.0, -144.503569214, 0.785834983043, 0.303805722036),
    ],
    "ICaHT_Re1993": [
        (
            -85.0,
            -3.20532239183e-11,
            4.43088161605e-07,
            0.200059152572,
            0.796411574101,
            139.827026453,
        ),
        (-52.0, -0.00442310700348, 0.00781172726563, 1.38291324581, 0.421410017027, 143.150467907),
        (3.0, -8.35823949474, 0.994241246044, 0.203985714066, 0.0722678938001, 73.749188344),
    ],
    "ICaL_IS2008": [
        (-85.0, -1.06098876092e-14, 7.19413297857e-09, 0.088194151196, 1, 80.5087068759),
        (
            -52.0,
            -1.30412678257e-07,
            2.75356911146e-05,
            0.0941112294342,
            0.999998629043,
            87.28010755,
        ),
        (3.0, -9.01613567493e-05, 0.962673112656, 0.154251401367, 8.31528027664e-07, 80.5636569161),
    ],
    "Ih_HM1992": [
        (-85.0, -0.72269216593, 0.860347816583, 919.618086862),
        (-52.0, -0.00270738540919, 0.015041030051, 245.974082429),
        (3.0, 6.37825894137e-07, 6.93289015366e-07, 5.25772344338),
    ],
    "IAHP_De1994": [
        (-85.0, 0.00404407025561, 0.00635930047695, 33.1213566508),
        (-52.0, 0.0173895020991, 0.00635930047695, 33.1213566508),
        (3.0, 0.039631888505, 0.00635930047695, 33.1213566508),
    ],
    "ILeak": [
        (-85.0, -1.5),
        (-52.0, 1.8),
        (3.0, 7.3),
    ],
    "IKLeak": [
        (-85.0, 0.025),
        (-52.0, 0.19),
        (3.0, 0.465),
    ],
}


@pytest.fixture(autouse=True)
def _double_precision():
    with jax.enable_x64(True):
        yield


def channel(name):
    """The channel with its defaults, those of Bazhenov cooler than where phi = 1; with CALCIUM."""
    kind = getattr(dd, name)
    defaults = {field: f.default for field, f in kind.__dataclass_fields__.items()}
    given = {"Ca": CALCIUM, "E": CALCIUM.E}
    found = {field: given[field] for field, value in defaults.items() if value == "Ca"}
    return kind(**found, **({"T": 30.0} if name.endswith("Ba2002") else {}))  # theirs is 36


@pytest.mark.parametrize("name", EXPECTED)
def test_gates_and_current(name):
    """The tolerance is the number of digits written down."""
    tested = channel(name)
    for V, current, *gates in EXPECTED[name]:
        rates = [getattr(tested, gate)(V) for gate in tested.State._fields]
        found = [x for rate in rates for x in (rate.inf, rate.tau)]
        np.testing.assert_allclose(found, gates, rtol=1e-10)
        state = tested.steady(V)
        np.testing.assert_allclose(state, gates[0::2], rtol=1e-10)
        np.testing.assert_allclose(tested.current(state, V), current, rtol=1e-10)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_gate_decays_to_its_steady_state(name):
    """x' = (inf - x) / tau, whether it is given by rates or by these."""
    tested = channel(name)
    for V, _, *gates in EXPECTED[name]:
        halves = tested.State(*[0.25] * len(tested.State._fields))
        found = tested.derivative(halves, V)
        wanted = [(inf - 0.25) / tau for inf, tau in zip(gates[0::2], gates[1::2], strict=True)]
        np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_h_current_that_calcium_holds_open():
    """At Ca_half one protein in two is bound, and locked channels are 50 to an open one."""
    tested = dd.Ih_De1996(Ca=CALCIUM)
    for V, O, L, current in (
        (-85.0, 0.019545634131800, 0.97728170658999, -1.77669814258060),
        (-70.0, 0.018697856906193, 0.93489284530967, -1.13309012851532),
    ):
        state = tested.steady(V)
        np.testing.assert_allclose(state, (O, 0.5, L), rtol=1e-12)
        np.testing.assert_allclose(tested.current(state, V), current, rtol=1e-12)
        np.testing.assert_allclose(tested.derivative(state, V), 0.0, atol=1e-18)
    # At -85 mV, far from rest: h_inf = 0.86034781658328, tau = 933.3994663128703 ms.
    O, P, L = tested.derivative(tested.State(O=0.2, P=0.3, L=0.1), -85.0)
    assert float(P) == pytest.approx(4e-4 * (1 - 0.3) - 4e-4 * 0.3, rel=1e-12)
    assert float(L) == pytest.approx(0.1 * 0.3 * 0.2 - 1e-3 * 0.1, rel=1e-12)
    opening = (0.86034781658328 * 0.7 - 0.13965218341672 * 0.2) / 933.3994663128703
    assert float(O) == pytest.approx(opening - float(L), rel=1e-12)


# N11: Hodgkin and Huxley's rates where they are 0 / 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rates_at_their_singular_voltages(dtype):
    """The rate of x / (1 - exp(-x)) at x = 0, and how it grows: half as fast as x."""
    for gate, V, alpha, slope in (
        (dd.INa_HH1952().m, -40.0, 1.0, 0.05),
        (dd.IK_HH1952().n, -55.0, 0.1, 0.005),
    ):
        for offset in (0.0, 1e-6, -1e-6):
            at = jnp.asarray(V + offset, dtype)
            value, gradient = jax.value_and_grad(lambda V, gate=gate: gate(V).alpha)(at)
            assert value.dtype == dtype
            assert float(value) == pytest.approx(alpha, abs=1e-6)
            assert float(gradient) == pytest.approx(slope, abs=1e-6)


SMOOTH = np.array([-40, -55, -50, -23, -48, -37, -10, -35, 1.31, -27.0])  # 0 / 0 in some channel
JUMPS = np.array([-63, -73, -70, -80.0])  # where a time constant jumps
FAR = np.array([-300, 300.0])


def everything(V):
    """Of all channels steady states, slopes and current: [quantity, V]."""
    rows = []
    for name in (*EXPECTED, "Ih_De1996"):
        tested = channel(name)
        state = jax.tree.map(lambda x: x * jnp.ones_like(V), tested.steady(V))
        half = jax.tree.map(lambda x: 0.5 * x, state)
        rows += [*state, *tested.derivative(half, V), tested.current(half, V)]
    return jnp.stack([jnp.broadcast_to(row, V.shape) for row in rows])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_channels_are_smooth_where_rates_are_singular(dtype):
    """Finite also where exponentials overflow; derivatives are those of finite differences."""
    n, h = len(SMOOTH), 1e-3
    V = jnp.asarray(np.concatenate([SMOOTH, SMOOTH - h, SMOOTH + h, JUMPS, FAR]), dtype)
    value, slope = jax.jvp(everything, (V,), (jnp.ones_like(V),))
    assert value.dtype == slope.dtype == dtype
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    if dtype == "float64":
        wanted = (value[:, 2 * n : 3 * n] - value[:, n : 2 * n]) / (2 * h)
        np.testing.assert_allclose(slope[:, :n], wanted, rtol=1e-5, atol=1e-9)


def test_catalogue_has_every_channel():
    """A channel without numbers is not a channel of ours."""
    kinds = {
        name
        for name, kind in vars(dd).items()
        if isinstance(kind, type) and issubclass(kind, dd.AbstractChannel)
    }
    assert kinds - {"AbstractChannel", "Channel"} == {*EXPECTED, "Ih_De1996"}

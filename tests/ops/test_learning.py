"""Learning: the kernels against a slow and obvious account of the same rule, spike by spike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import distdyn as dd
from distdyn.models import plasticity
from distdyn.models.plasticity import STDP, PowerLawSTDP, RewardSTDP, Scaling, TripletSTDP
from distdyn.ops import learning
from tests.ops.test_deliver import BOUNDS, N_TARGET, SLOTS, some_cells, table


class ManyTraces(dd.Plasticity):
    """More traces of one cell than of the other, and than any rule of the library has."""

    def pre(self):
        return (dd.Trace(10.0),)

    def post(self):
        return tuple(dd.Trace(2.0 + k) for k in range(12))

    def potentiate(self, w, x, y):
        return w + 0.01 * x[0] * (y[0] + y[11])

    def depress(self, w, x, y):
        return w - 0.002 * x[0] * sum(y)


RULES = [
    STDP(w_max=2.0),
    STDP(w_max=2.0, mu_plus=0.4, mu_minus=1.0, nearest=True),
    PowerLawSTDP(lambda_=0.01),
    TripletSTDP(w_max=2.0, A3_minus=2e-3),
    ManyTraces(),
]
DT, SCALE = 0.1, 2.0**20


@pytest.fixture(autouse=True)
def wide_integers():
    with jax.enable_x64(True):
        yield


def activity(seed, steps):
    """At each step the cells that spike: of our targets, and of one of the parts."""
    rng = np.random.default_rng(seed)
    targets = [np.flatnonzero(rng.random(N_TARGET) < 0.3) for _ in range(steps)]
    sources = [(k % len(BOUNDS), some_cells(rng, k % len(BOUNDS))) for k in range(steps)]
    return targets, sources


def learned_by_kernels(rows, rule, targets, sources, precision="float64"):
    law = learning.long_term(rule, DT, precision, SCALE, 50.0, SLOTS - 1)
    weight = np.linspace(0.5, 1.5, len(rows.offset))
    learned = jax.tree.map(jnp.asarray, learning.begin(rows, weight, N_TARGET, law))
    law, rows = jax.tree.map(jnp.asarray, (law, rows))
    ring = jnp.zeros((SLOTS, N_TARGET), rows.unit.dtype)

    @jax.jit
    def step(ring, learned, ours, n_ours, part, cells, n_cells, stamp):
        zero, n = jnp.int64(0), n_ours.astype(jnp.int32)
        learned = learning.remember(learned, law, rows, ours, zero, n, stamp)
        n = n_cells.astype(jnp.int32)
        return learning.learn(ring, learned, law, rows, part, cells, zero, n, stamp)

    def padded(cells):
        return jnp.array(np.concatenate([cells, np.zeros(400 - len(cells))]), jnp.int32)

    rings = []
    for k, (ours, (part, cells)) in enumerate(zip(targets, sources, strict=True)):
        given = padded(ours), jnp.int64(len(ours)), jnp.int64(part), padded(cells)
        ring, learned = step(ring, learned, *given, jnp.int64(len(cells)), jnp.int64(k + 1))
        rings.append(np.array(ring))
        ring = ring.at[(k + 1) % SLOTS].set(0)
    return learned, rings


def learned_slowly(rows, rule, targets, sources):
    """Every synapse with its two lists of spikes; both traces summed anew for each of them."""
    weight = np.linspace(0.5, 1.5, len(rows.offset))
    taus = [[trace.tau for trace in of()] for of in (rule.pre, rule.post)]
    nearest = rule.pre()[0].nearest
    fired = [[] for _ in range(N_TARGET)]
    history: dict[int, list[int]] = {}
    ring, rings = np.zeros((SLOTS, N_TARGET), np.int64), []
    ago = np.arange(len(targets) + 2 * SLOTS) * DT
    left = {tau: np.exp(-ago / tau).tolist() for tau in {*taus[0], *taus[1]}}  # of a spike

    def traces(stamps, now, taus):
        """Of all spikes strictly before `now`."""
        before = [now - s for s in stamps if s < now]
        before = before[-1:] if nearest else before
        return [sum(left[tau][k] for k in before) for tau in taus]

    for k, (ours, (part, cells)) in enumerate(zip(targets, sources, strict=True)):
        stamp = k + 1
        for cell in ours:
            fired[cell].append(stamp)
        for segment, begin, end in segments_of(rows, part, cells):
            known = history.setdefault(segment, [])
            for i in range(begin, end):
                delay, target = divmod(int(rows.offset[i]), N_TARGET)
                w, reach = weight[i], stamp - delay
                if known:
                    for p in fired[target]:
                        if known[-1] - delay < p <= reach:
                            x = traces([*known, 10**9], p + delay, taus[0])
                            if p + delay == stamp:
                                x = traces(known, stamp, taus[0])
                            y = traces(fired[target], p, taus[1])
                            w = float(rule.potentiate(np.float64(w), x, y))
                y = traces(fired[target], reach, taus[1])
                w = float(rule.depress(np.float64(w), traces(known, stamp, taus[0]), y))
                weight[i] = w
                ring[(stamp + delay) % SLOTS, target] += int(np.rint(w * SCALE))
            known.append(stamp)
        rings.append(ring.copy())
        ring[stamp % SLOTS] = 0
    return weight, rings


def segments_of(rows, part, cells):
    """Each segment of the cells that have one: its number, and where its synapses are."""
    for cell in cells:
        population = np.searchsorted(BOUNDS[part], cell, side="right") - 1
        word = rows.word[part, population]
        if word < 0:
            continue
        place = int(cell - BOUNDS[part, population])
        bits = int(rows.bits[word + place // 64])
        if bits >> (place % 64) & 1:
            before = (bits & ((1 << (place % 64)) - 1)).bit_count()
            first = int(rows.rank[word + place // 64]) + int(rows.width[population]) * before
            for k in range(first, first + int(rows.width[population])):
                begin = int(rows.base[k >> 6]) + int(rows.start[k])
                yield k, begin, int(rows.base[(k + 1) >> 6]) + int(rows.start[k + 1])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_weights_and_arrivals_are_those_of_the_rule(seed, rule, monkeypatch):
    rows = table(seed, "int64", "none", "uint32", delays=(1, SLOTS - 1))
    targets, sources = activity(seed, 40)
    learned, rings = learned_by_kernels(rows, rule, targets, sources)
    with monkeypatch.context() as patch:  # of single numbers NumPy is some ten times as fast
        patch.setattr(plasticity, "jnp", np)
        expected, expected_rings = learned_slowly(rows, rule, targets, sources)
    np.testing.assert_allclose(learned.weight, expected, rtol=1e-12)
    assert np.ptp(expected - np.linspace(0.5, 1.5, len(expected))) > 1e-3
    for ring, other in zip(rings, expected_rings, strict=True):
        np.testing.assert_allclose(ring, other, atol=1)  # of a rounded half


@pytest.mark.parametrize(
    ("rule", "precision"),
    [
        (RULES[3], "float32"),
        (RULES[3], "float64"),
        (RewardSTDP(A_plus=0.01, A_minus=0.01, b=1e-3), "float32"),
        (Scaling(RULES[3], tau=50.0, tau_w=1e3, rate=3000.0), "float64"),
    ],
)
def test_catching_up_changes_no_bit(seed, rule, precision, monkeypatch):
    rows = table(seed, "int64", "none", "uint32", delays=(1, SLOTS - 1))
    targets, sources = activity(seed, 300)
    few, rings = learned_by_kernels(rows, rule, targets, sources, precision)
    assert few.book[learning.SWEPT] > 200
    monkeypatch.setattr(learning, "LEAST_HISTORY", 4096)
    many, others = learned_by_kernels(rows, rule, targets, sources, precision)
    assert many.book[learning.SWEPT] == learning.NEVER
    np.testing.assert_array_equal(rings, others)
    law = jax.tree.map(jnp.asarray, learning.long_term(rule, DT, precision, SCALE, 50.0, SLOTS - 1))
    rows = jax.tree.map(jnp.asarray, rows)
    seen = [learning.weights_at(each, law, rows, jnp.int64(300)) for each in (few, many)]
    np.testing.assert_array_equal(*seen)
    assert (np.array(many.weight) != seen[1]).mean() > 0.1  # those whose source spiked last behind

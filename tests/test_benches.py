"""The benchmarks: each says how it is used, and what they decide by themselves is decided right."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.zoo import by_name

SCRIPTS = Path(__file__).parents[1] / "scripts"
BENCHES = sorted(path.name for path in SCRIPTS.glob("bench_*.py"))


@pytest.fixture(autouse=True)
def peers_are_found(monkeypatch):
    """As when a script is run: its own directory comes first."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "peers"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", BENCHES)
def test_help(name):
    ended = subprocess.run(
        [sys.executable, str(SCRIPTS / name), "--help"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(SCRIPTS.parent), "PATH": "", "JAX_PLATFORMS": "cpu"},
    )
    assert ended.returncode == 0, ended.stderr
    assert f"usage: {name}" in ended.stdout


def turn(**rtf):
    from peers.turns import Turn

    return Turn(0.0, {name: {"rtf": x, "rates": {"E": 10 * x}} for name, x in rtf.items()})


def test_ratio_is_the_median_of_those_of_each_turn():
    from peers.turns import pair_ratio

    turns = [turn(ours=1.0, theirs=2.0), turn(ours=10.0, theirs=30.0), turn(ours=1.0, theirs=9.0)]
    assert pair_ratio(turns, ["theirs"], ["ours"]) == 3.0  # of 2, 3 and 9; of medians it is 9


def test_the_fastest_of_the_variants_counts_on_both_sides():
    from peers.turns import pair_ratio

    turns = [turn(a=2.0, b=1.0, x=8.0, y=6.0), turn(a=1.0, b=2.0, x=6.0, y=8.0)]
    assert pair_ratio(turns, ["x", "y"], ["a", "b"]) == 6.0


def test_programs_take_turns_in_alternating_order(monkeypatch, capsys):
    from peers import turns as module

    monkeypatch.setattr(module, "busy", lambda: 0.25)
    called = []

    def program(name):
        def run(number):
            called.append((number, name))
            return {"rtf": 1.0 + number, "rates": {"E": 1.0}}

        return run

    taken = module.take_turns({name: program(name) for name in "abc"}, 2)
    assert called == [(0, "a"), (0, "b"), (0, "c"), (1, "c"), (1, "b"), (1, "a")]
    assert [list(of.of) for of in taken] == [["a", "b", "c"]] * 2
    assert module.listed(taken)[1] == {"busy": 0.25, "rtf": {"a": 2.0, "b": 2.0, "c": 2.0}}
    assert capsys.readouterr().out == ""  # stdout is for the JSON


def test_mean_rates_and_spread():
    from peers.turns import mean_rates, summary

    turns = [turn(a=1.0), turn(a=2.0), turn(a=6.0)]
    assert mean_rates(turns, "a") == {"E": pytest.approx(30.0)}
    assert summary(turns, ["a"])["a"] == {
        "rtf": 2.0, "rtf_least": 1.0, "rtf_most": 6.0, "rates": {"E": pytest.approx(30.0)},
    }  # fmt: skip


@pytest.mark.parametrize(
    "rate, relative, absolute, agrees",
    [
        (10.9, 0.1, 0.0, True),
        (11.1, 0.1, 0.0, False),
        (8.9, 0.1, 0.0, False),
        (11.1, 0.1, 2.0, True),
        (float("nan"), 0.1, 2.0, False),
    ],
)
def test_rates_agree_within_the_larger_tolerance(rate, relative, absolute, agrees):
    from peers.turns import disagreements

    found = disagreements({"NEST": {"E": rate}}, {"E": 10.0}, relative, absolute)
    assert (found == []) is agrees
    assert agrees or "NEST: E fires at" in found[0]


def test_a_rate_that_is_not_known_does_not_agree():
    from peers.turns import disagreements

    assert disagreements({"NEST": {}}, {"E": 10.0}, 1.0) == ["NEST: no rate of E is known"]


def test_nest_is_compared_with_ours_in_fine_steps():
    from types import SimpleNamespace

    from peers.side_by_side import at_other_rates

    workers: dict = {name: SimpleNamespace(program=name) for name in ("brian2", "nest")}
    turns = [turn(ours=3.6, fine=4.2, brian2=3.6, nest=4.2)]
    assert at_other_rates(turns, workers, "ours", "fine", 0.1) == []
    (told,) = at_other_rates(turns, workers, "ours", "ours", 0.1)
    assert told.startswith("nest: E fires at 42.000 Hz, not at 36.000")


def test_the_machine_is_described():
    from peers.machine import busy, machine

    facts = machine()
    assert facts["cpu"] and facts["cores"] >= 1
    assert facts["versions"]["jax"] and len(facts["load_average_at_start"]) == 3
    used = busy(0.05)
    assert used is None or 0 <= used <= 1


# --- workers -------------------------------------------------------------------------------------

FAKE = """
from peers.answering import answer

def prepare(request):
    print("what a peer prints does not disturb")
    if request["seed"] < 0:
        raise SystemExit(3)
    runs = 0
    while True:
        yield {"seed": request["seed"], "runs": runs}
        runs += 1

answer(prepare)
"""


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A peer that this Python can run."""
    from peers import workers

    room = tmp_path / "peers"
    room.mkdir()
    (room / "__init__.py").touch()
    (room / "answering.py").symlink_to(SCRIPTS / "peers" / "answering.py")
    (room / "fake_worker.py").write_text(FAKE)
    monkeypatch.setattr(workers, "SCRIPTS", tmp_path)
    monkeypatch.setattr(workers, "python_of", lambda peer: sys.executable)
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)  # a worker's stdout needs a real file
    return workers


def test_a_worker_is_built_once_and_goes_on(fake):
    with ExitStack() as open_:
        run = fake.program("fake", open_, seed=1)
        assert [run(turn)["runs"] for turn in range(3)] == [1, 2, 3]
        assert run(3)["built"] == {"seed": 1, "runs": 0}


def test_a_worker_that_is_rebuilt_has_another_seed_in_each_turn(fake):
    with ExitStack() as open_:
        run = fake.program("fake", open_, is_rebuilt=True, seed=1)
        assert [(run(turn)["seed"], run(turn)["runs"]) for turn in range(2)] == [(1, 1), (2, 1)]


def test_a_worker_that_fails_is_told(fake):
    with pytest.raises(fake.PeerError, match="fake ended with 3"):
        fake.Worker("fake", seed=-1)


# --- the network of distdyn in the words of NEST --------------------------------------------------


def test_coba_for_nest():
    from peers.nest_terms import nest_terms

    terms = nest_terms(by_name("coba")(n=4000), 0.1)
    assert terms["model"] == "iaf_cond_exp"
    inhibitory = terms["populations"]["I"]
    assert inhibitory["size"] == 800
    assert inhibitory["V_m"] == {"mean": -55.0, "std": 5.0, "min": None, "max": None}
    assert inhibitory["parameters"] == {
        "C_m": 200.0, "g_L": 10.0, "E_L": -60.0, "V_th": -50.0, "V_reset": -60.0, "t_ref": 5.0,
        "I_e": 200.0, "E_ex": 0.0, "E_in": -80.0, "tau_syn_ex": 5.0, "tau_syn_in": 10.0,
    }  # fmt: skip
    exc, inh = terms["projections"]["exc"], terms["projections"]["inh"]
    assert (exc["weight"], inh["weight"]) == (6.0, -67.0)  # NEST tells them apart by the sign
    assert inh["pre"] == ["I"] and inh["post"] == ["E", "I"] and inh["delay"] == 0.1
    assert inh["rule"] == {"rule": "pairwise_bernoulli", "p": 0.02, "allow_autapses": True}


def test_cobahh_for_nest():
    from peers.nest_terms import nest_terms

    terms = nest_terms(by_name("cobahh")(n=4000), 0.1)
    assert terms["model"] == "hh_cond_exp_traub"
    assert terms["populations"]["E"]["V_m"] == {"mean": -65.0, "std": 5.0, "min": None, "max": None}
    assert terms["populations"]["E"]["parameters"] == {
        "C_m": 200.0, "g_L": 10.0, "E_L": -60.0, "g_Na": 20_000.0, "E_Na": 50.0, "g_K": 6000.0,
        "E_K": -90.0, "V_T": -63.0, "t_ref": 2.0, "I_e": 0.0, "E_ex": 0.0, "E_in": -80.0,
        "tau_syn_ex": 5.0, "tau_syn_in": 10.0, "Act_m": 0.0, "Inact_h": 0.0, "Act_n": 0.0,
    }  # fmt: skip
    assert [terms["projections"][path]["weight"] for path in ("exc", "inh")] == [6.0, -67.0]


def test_microcircuit_for_nest():
    from peers.nest_terms import nest_terms

    terms = nest_terms(by_name("microcircuit")(drive="poisson"), 0.1)
    assert terms["model"] == "iaf_psc_exp"
    assert sum(of["size"] for of in terms["populations"].values()) == 77_169
    rules = [of["rule"] for of in terms["projections"].values()]
    assert sum(rule["N"] for rule in rules) == 298_880_970
    assert all(rule["allow_autapses"] and rule["allow_multapses"] for rule in rules)
    inhibitory = terms["projections"]["proj.L4I_L4I"]
    assert inhibitory["weight"]["mean"] == pytest.approx(-351.234, abs=1e-3)
    assert inhibitory["weight"]["max"] == 0.0 and inhibitory["weight"]["min"] is None
    assert inhibitory["delay"] == {"mean": 0.75, "std": 0.375, "min": 0.05, "max": None}
    external = terms["poisson"]["external.L6E"]
    assert external["rate"] == 8 * 2900 and external["delay"] == 1.5


def test_hpc_benchmark_for_nest():
    from peers.nest_terms import nest_terms

    terms = nest_terms(by_name("hpc_benchmark")(), 0.1)
    learning = {"tau_plus": 15.0, "lambda": 0.1, "alpha": 0.0513, "mu": 0.4}
    assert terms["projections"]["learning"]["plasticity"] == learning
    assert terms["projections"]["exc"]["plasticity"] is None
    assert terms["populations"]["E"]["parameters"]["tau_minus"] == 30.0
    assert terms["model"] == "iaf_psc_alpha"
    assert terms["projections"]["inh"]["rule"] == {
        "rule": "fixed_indegree", "indegree": 2250, "allow_autapses": False,
        "allow_multapses": True,
    }  # fmt: skip
    assert terms["poisson"]["external"]["post"] == ["E", "I"]


def test_what_nest_has_no_words_for_is_refused():
    from peers.nest_terms import NotInNEST, nest_terms

    with pytest.raises(NotInNEST, match="no model of NEST"):
        nest_terms(by_name("brunel")(n=100), 0.1)

    class Two(dd.Network):
        def __init__(self):
            self.E = dd.Population(10, dd.LIF(), V=-65.0)
            of = {"weight": 1.0, "delay": 1.0}
            both = (dd.Exponential(tau=1.0), dd.Exponential(tau=2.0))
            self.a, self.b = (
                dd.Projection(self.E, self.E, dd.FixedProb(0.1), psc, **of) for psc in both
            )

    with pytest.raises(NotInNEST, match=r"tau_syn_ex is 2\.0, elsewhere 1\.0"):
        nest_terms(Two(), 0.1)


# --- the comparison of figure 3 -------------------------------------------------------------------


def figure3_turn(**rtf):
    from peers.turns import Turn

    return Turn(0.0, {name: {"rtf": x, "run": x, "rates": {"E": 1.0}} for name, x in rtf.items()})


@pytest.fixture
def figure3():
    """As `python scripts/bench_figure3.py` loads it."""
    from importlib import import_module

    yield import_module("bench_figure3")
    del sys.modules["bench_figure3"]


def test_only_those_whose_rates_agree_have_a_ratio(figure3):
    from types import SimpleNamespace

    workers: dict = {
        name: SimpleNamespace(peer=peer, built={"build": 1.0})
        for name, peer in {"one": "nest", "two": "nest", "other": "neuron"}.items()
    }
    ours = {"rtf": 1.0, "rates": {"E": 1.0}, "phases": {"build": 1.0, "compile": 2.0, "run": 3.0}}
    turns = [figure3_turn(one=8.0, two=4.0, other=6.0)]
    turns[0].of["ours"] = ours
    differing = {"one": [], "two": ["two: E is too fast"], "other": ["other: I is silent"]}
    found = figure3.compared(turns, ["ours"], [], workers, differing, 0.0)
    assert found["ratios"] == {"NEST": 8.0, "NEURON": None}
    assert found["disagreements"] == ["two: E is too fast", "other: I is silent"]
    assert found["programs"]["two"]["is_compared"] is False
    assert found["programs"]["ours"]["seconds"] == {"build": 1.0, "compile": 2.0, "run": 3.0}
    result = {"n": 4000, "network": "coba", **found}
    assert figure3.points([result], "NEST") == [(4000, found["programs"]["one"])]
    assert figure3.points([result], "NEURON") == [(4000, found["programs"]["other"])]  # hollow


def test_the_figure_is_drawn(figure3, tmp_path):
    result = {
        "network": "coba",
        "n": 4000,
        "programs": {
            "ours": {
                "simulator": "distdyn", "is_compared": True, "rtf": 2.0, "rtf_least": 1.0,
                "rtf_most": 3.0,
            }
        },
    }  # fmt: skip
    figure3.draw([result, {**result, "network": "cobahh"}], tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_what_earlier_runs_have_printed_is_drawn_without_a_new_one(figure3, tmp_path, monkeypatch):
    drawn, files = [], [tmp_path / name for name in ("small.json", "large.json")]
    monkeypatch.setattr(figure3, "draw", lambda *given: drawn.append(given))
    for n, file in zip((4000, 20_000), files, strict=True):
        file.write_text(json.dumps({"results": [{"network": "coba", "n": n}]}))
    command = ["bench_figure3.py", "--results", *map(str, files)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit):  # where to?
        figure3.main()
    monkeypatch.setattr(sys, "argv", [*command, "--figure", "a.png"])
    figure3.main()
    assert drawn == [([{"network": "coba", "n": n} for n in (4000, 20_000)], Path("a.png"))]


def test_what_brian2_and_brainpy_do_before_the_timed_steps_is_taken_apart(figure3):
    runs = [{"rtf": 2.0, "run": 1.0, "build_and_warm_up": 0.5}]
    built = {"describe": 1.0, "compile": 9.0}
    assert figure3.seconds(runs, built, "Brian2", warmup=100.0) == {
        "build": pytest.approx(1.3), "compile": 9.0, "run": 1.0,
    }  # fmt: skip
    built = {"build": 1.0, "compile_and_first_run": 4.0}
    found = figure3.seconds(runs, built, "BrainPy", warmup=100.0)
    assert found == {"build": 1.0, "compile": 3.0, "run": 1.0}


def test_on_a_gpu_only_brainpy_is_beside_ours(figure3):
    from argparse import Namespace

    asked, not_run = figure3.on_platform(Namespace(platform="gpu", peers=list(figure3.NAMES)))
    assert asked.peers == ["brainpy"] and set(not_run) == {"NEURON", "NEST", "Brian2"}
    asked, not_run = figure3.on_platform(Namespace(platform="cpu", peers=["nest"]))
    assert asked.peers == ["nest"] and not_run == {}


def test_decision_in_numbers():
    from peers import decision

    assert decision.sizes(2000) == {"A": 240, "B": 240, "N": 1120, "I": 400}
    assert decision.sizes(4000) == {"A": 480, "B": 480, "N": 2240, "I": 800}
    assert decision.W_MINUS == pytest.approx(0.8765, abs=1e-4)
    weights = {pre + post: decision.weight(pre, post) for pre in "ABN" for post in "ABNI"}
    assert {pair for pair, w in weights.items() if w == decision.W_PLUS} == {"AA", "BB"}
    assert {pair for pair, w in weights.items() if w < 1} == {"AB", "BA", "NA", "NB"}
    # A change of w+ alone leaves what a selective cell receives as it was.
    assert 0.15 * decision.W_PLUS + 0.85 * decision.W_MINUS == pytest.approx(1.0)


def test_the_stimulus_is_on_for_a_second():
    from peers import decision

    rates = decision.stimulus(1)
    assert {len(of) for of in rates.values()} == {32}
    for of in rates.values():
        assert (of[:2] == 0).all() and (of[2:22] > 0).all() and (of[22:] == 0).all()
    many = [decision.stimulus(seed)["A"][2:22] for seed in range(100)]
    assert np.mean(many) == pytest.approx(50.24, abs=1.0)
    assert np.std(many) == pytest.approx(10.0, abs=1.0)


def test_rates_of_decision_are_compared_for_both_signs(figure3):
    rates = {"A": 20.0, "B": 4.0, "N": 4.0, "I": 12.0}
    found = figure3.excitatory_and_inhibitory(rates, 2000)
    swapped = figure3.excitatory_and_inhibitory(rates | {"A": 4.0, "B": 20.0}, 2000)
    assert found == swapped == {"E": pytest.approx(6.4), "I": 12.0}


def test_distributions_of_weights():
    from peers.distributions import distribution

    found = distribution([1.0, 2.0, 3.0])
    assert found["n"] == 3 and found["mean"] == 2.0 and found["q50"] == 2.0
    assert found["sd"] == pytest.approx(np.sqrt(2 / 3))


# --- products of matrices ------------------------------------------------------------------------


def test_every_sum_of_the_stored_matrix_is_exact():
    from peers.products import stored

    given = stored(200, 20, 0.1, 1)
    order = np.random.default_rng(0).permutation(200 * 20)
    rows, columns = np.repeat(np.arange(200), 20), given.indices
    for data in given.weights.values():
        terms = given.x[rows] * data
        sums = [np.zeros(200, np.float32) for _ in range(2)]
        np.add.at(sums[0], columns, terms)
        np.add.at(sums[1], columns[order], np.broadcast_to(terms, order.shape)[order])
        assert sums[0].tobytes() == sums[1].tobytes()
        assert sums[0].astype(np.float64).sum() == terms.astype(np.float64).sum()


def test_calls_share_the_neurons_out():
    from peers.products import spikes

    x = spikes(200, 0.1, np.random.default_rng(0))
    assert x.shape == (10, 200)
    assert (x.sum(axis=0) == 1).all() and (x.sum(axis=1) == 20).all()
    assert spikes(200, 1.0, np.random.default_rng(0)).all()


def test_stored_products_of_ours_are_those_of_jax_and_scipy():
    from peers import bcoo_worker, distdyn_worker, scipy_worker
    from peers.matrices import stored_case
    from peers.products import result

    request = {"n": 200, "k": 20, "active": 0.1, "seed": 1}
    ours = distdyn_worker.of_stored(**request)
    digests = {
        case: {result(way)["sha256"] for way in ways.values()} for case, ways in ours.items()
    }
    for module in (bcoo_worker, scipy_worker):
        for case, ways in module.of_stored(**request).items():
            for way in ways.values():
                digests[stored_case(case)].add(result(way)["sha256"])
    assert len(digests) == 6
    assert all(len(of) == 1 for of in digests.values()), digests


def products(sha256="a", per_spike=100.0):
    return {
        "x @ A": {"w": {"sha256": sha256, "spikes": 100.0, "per_spike": 1.0}},
        "spikes @ drawn": {"w": {"sha256": "other", "spikes": 100.0, "per_spike": per_spike}},
    }


@pytest.mark.parametrize(
    "theirs, words",
    [
        (products(), None),
        (products(per_spike=104.9), None),  # 5 standard deviations are 4.97
        (products(per_spike=105.1), "105.10 synapses in a row, not 100"),
        (products(per_spike=float("nan")), "synapses in a row"),
        (products(sha256="b"), "x @ A differs"),
    ],
)
def test_products_that_differ_are_told(theirs, words):
    from peers.matrices import disagreements

    found = disagreements({"distdyn": products(), "peer": theirs})
    assert (found == []) is (words is None)
    assert words is None or words in found[0]


def test_the_fastest_way_counts_and_sparse_spikes_are_beside_ours():
    from peers.matrices import ratios

    turns = [
        {
            "distdyn": {"s": {"w": 1.0, "v": t}},
            "memory": {},
            "p": {"sparse s": {"a": 9.0, "b": 6.0}},
        }
        for t in (0.5, 2.0, 3.0)
    ]
    assert ratios(turns) == {"sparse s": {"p": 6.0}}  # of 12, 6 and 6


def test_products_are_timed_for_a_while():
    from peers.products import Way, answers

    found = answers({"c": {"w": Way(lambda x: 2 * x, [np.ones(3)], [3.0])}}, 0.001, version="1")
    told = next(found)
    assert told["version"] == "1" and told["results"]["c"]["w"]["per_spike"] == 2.0
    assert 0 < next(found)["c"]["w"] < 1


def test_a_delay_is_of_the_task_and_of_the_steps():
    from bench_delay import recipe_of

    recipe = recipe_of(30, "ppprop", seed=2)
    for data in (recipe.task, recipe.testing):
        inputs, _ = next(iter(data.batches(0)))
        assert inputs["inp"].shape[1] == 30 + (recipe.task.sample + recipe.task.probe) / recipe.dt
    assert isinstance(recipe.rule, dd.PPProp)


def test_training_is_compared_where_as_many_cells_spike():
    from bench_training import judged

    ours = ["distdyn, one core", "distdyn, one device", "distdyn, (2, 1)", "distdyn, (1, 2)"]

    def turn(spiking, *seconds):
        names = [*ours, "snntorch, threads 1", "snntorch, threads 2"]
        of = {
            name: {"seconds": s, "spiking": spiking if "snn" in name else 0.1, "peak": 1}
            for name, s in zip(names, seconds, strict=True)
        }
        return {"busy": 0.0, **of}

    built = dict.fromkeys([*ours, "snntorch, threads 1", "snntorch, threads 2"], 9.0)
    turns = [turn(0.11, 4.0, 3.0, 2.0, 2.5, 8.0, 9.0), turn(0.11, 4.0, 3.0, 1.0, 2.0, 9.0, 6.0)]
    found = judged(turns, built, {})
    assert found["ratios"] == {"snntorch": 5.0}  # of 8 / 2 and 6 / 1
    assert found["scaling"] == {"distdyn, (2, 1)": 3.0, "distdyn, (1, 2)": 1.8}
    assert found["disagreements"] == []
    other = judged([turn(0.13, 4.0, 3.0, 2.0, 2.5, 8.0, 9.0)], built, {})
    assert other["ratios"] == {} and len(other["disagreements"]) == 2


@pytest.mark.parametrize("name", ["FitzHughNagumo", "MorrisLecar"])
def test_all_who_draw_a_diagram_have_the_equations_of_ours(name):
    from peers.diagram import CELLS

    cell, (F, x, p) = CELLS[name], dd.vector_field(getattr(dd, name)())
    for V, w, current in [(-1.0, 0.3, 0.5), (0.7, 0.1, 1.5), (-30.0, 0.2, 90.0)]:
        with jax.enable_x64(True):
            ours = F({**x, "V": V, "w": w}, {**p, "I_e": current})
        theirs = [f(np, V, w, current) for f in cell.derivatives]
        assert theirs == pytest.approx([float(ours[of]) for of in ("V", "w")], rel=1e-12)


def test_a_diagram_is_right_where_all_of_its_points_are_found():
    from bench_analysis import error, is_right

    assert error([0.1, 0.5, 1.42], (0.11, 1.4)) == pytest.approx(0.02)
    assert error([0.1], (0.1, 1.4)) is None
    assert is_right({"hopf_error": 1e-9, "fold_error": 1e-4})
    assert not is_right({"hopf_error": 1e-9, "fold_error": None})
    assert not is_right({"hopf_error": 1e-3, "fold_error": 1e-4})

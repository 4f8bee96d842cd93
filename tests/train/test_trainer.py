"""DSTrainer: what it learns, that it can stop and go on, and that where it runs changes nothing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import distdyn as dd
from distdyn.errors import DistDynError, NameLookupError, ParameterError, TrainError, WeightError
from distdyn.train.trainer import DSTrainer
from tests.mpi.conftest import environment, ranks, start  # noqa: F401 - fixtures
from tests.train.small import STEPS, TRIALS, WHERE, Noisy, Small, task, trainer

pytestmark = pytest.mark.xdist_group("trainer")  # one worker: what is learned serves many tests

SHARED = Path(__file__).with_name("shared.py")
SCRIPT = Path(__file__).with_name("small.py")


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """After four epochs, and what was written after two of them."""
    made, path = trainer(), tmp_path_factory.mktemp("trained") / "half.h5"
    compiled = DSTrainer._update._cache_size()
    first = made.fit(task(), 2, validation=task(1))
    made.save(path)
    second = made.fit(task(), 2)
    assert DSTrainer._update._cache_size() == compiled + 1  # the second update found the first's
    return made, path, first, second


def test_the_loss_becomes_smaller(learned):
    made, _, first, second = learned
    assert first.epoch == [1, 2] and second.epoch == [3, 4]
    assert first.updates == [3, 6] and made.updates == 12  # 24 trials in batches of 8
    assert second.loss[-1] < first.loss[0]
    assert made.evaluate(task()).accuracy > 0.7
    assert np.isfinite(first.validation_loss).all() and np.isnan(second.validation_loss).all()
    assert re.match(r"epoch 1, loss [\d.]+ \([\d.]+% right\), validation loss .* s$", first.line(0))


def test_a_resumed_run_is_an_uninterrupted_one(learned):
    made, path, _, second = learned
    again = trainer()
    again.load(path)
    assert (again.epoch, again.updates) == (2, 6)
    history = again.fit(task(), 2)
    assert history.loss.tolist() == second.loss.tolist()
    assert again.digest == made.digest


def test_memory_is_known_before_anything_is_run():
    made = trainer()
    before, (inputs, label) = made.digest, next(iter(task().batches(0)))
    few = made.memory(inputs, label)
    many = made.memory({"inp": np.repeat(inputs["inp"], 4, axis=0)}, np.repeat(label, 4))
    assert 0 < few < many < 4.5 * few
    assert (made.digest, made.updates) == (before, 0)


def test_another_mesh_can_go_on(learned):
    made, path, _, _ = learned
    again = trainer(devices=4, mesh=(2, 2))
    again.load(path)
    again.fit(task(), 2)
    for name, value in made.parameters.items():
        np.testing.assert_allclose(again.parameters[name], value, rtol=1e-9, atol=1e-12)


def test_the_simulator_runs_what_was_trained(learned):
    made, _, _, _ = learned
    spikes = next(task(3).batches(0))[0]["inp"][:1]
    net, (step, id) = Small(), np.nonzero(spikes[0])
    net.inp = dd.Population(2, dd.SpikeTimes(id=id, time=step + 1.0))
    net.w_in = dd.Projection(
        net.inp, net.E, dd.AllToAll(), dd.Delta(), weight=dd.Normal(0.4, 0.6), delay=1.0
    )
    runner = dd.DSRunner(
        net, dt=1.0, seed=1, precision="float64", record="out.V", parameters=made.parameters
    )
    found = runner.run(float(STEPS)).gather().traces["out.V"].value
    np.testing.assert_allclose(found, made.predict({"inp": spikes})["out.V"][0], rtol=1e-6)
    untrained = dd.DSRunner(net, dt=1.0, seed=1, precision="float64", record="out.V")
    assert not np.allclose(untrained.run(float(STEPS)).gather().traces["out.V"].value, found)


def test_patience_ends_with_the_best():
    made = trainer(optimizer=optax.sgd(0.0))
    history = made.fit([*task().batches(0)], 50, patience=2)
    assert len(history.epoch) == 4  # the first, and three that are no better
    calls = []
    made.fit(task(), 1, call=lambda epoch, history: calls.append((epoch, len(history.epoch))))
    assert calls == [(5, 1)]


def test_where_may_be_a_function_and_domains_are_kept():
    made = trainer(where=lambda path: path in ("E.tau_m", "rec.weight"), optimizer=optax.sgd(1e3))
    assert set(made.parameters) == {"E.tau_m", "rec.weight"}
    made.fit(task(), 1)
    assert made.parameters["E.tau_m"] > 0


def test_noise_is_the_same_on_every_mesh_and_another_in_each_trial():
    losses = []
    for mesh in ((1, 1), (2, 2)):
        made = trainer(Noisy(), devices=mesh[0] * mesh[1], mesh=mesh)
        losses.append(made.fit(task(), 1).loss)  # of three updates: it tells other noise apart
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    V = made.predict({"inp": np.zeros((4, STEPS, 2), bool)})["out.V"]
    assert len(np.unique(V[:, -1, 0])) == 4


# --- devices and ranks ---------------------------------------------------------------------------


def trained_by(words):
    return json.loads(words.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def alone():
    """What the script finds on one device."""
    command = [sys.executable, str(SCRIPT)]
    ended = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return trained_by(ended.stdout)


def check_same(found, alone):
    np.testing.assert_allclose(found["loss"], alone["loss"], rtol=1e-9)
    np.testing.assert_allclose(found["judged"], alone["judged"], rtol=1e-9)
    assert found["shape"] == [8, STEPS, 2]
    assert found["outputs"] == pytest.approx(alone["outputs"], rel=1e-6)
    for path, value in alone["weights"].items():
        np.testing.assert_allclose(found["weights"][path], value, rtol=1e-6, atol=1e-9)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("n", "words"),
    [
        (2, ()),
        (2, ("--mesh", "1", "2")),  # ranks share the neurons
        pytest.param(2, ("--devices", "2", "--mesh", "1", "2"), marks=pytest.mark.slow),
        pytest.param(2, ("--devices", "2", "--mesh", "1", "4"), marks=pytest.mark.slow),
        pytest.param(2, ("--devices", "2", "--mesh", "2", "2"), marks=pytest.mark.slow),
        pytest.param(3, ("--mesh", "1", "3"), marks=pytest.mark.slow),
        pytest.param(4, ("--mesh", "2", "2"), marks=pytest.mark.slow),
    ],
)
def test_ranks_share_trials_and_neurons(ranks, alone, n, words):  # noqa: F811 - the fixture
    found = trained_by(ranks(n, [str(SCRIPT), *words], limit=300.0).out)
    check_same(found, alone)
    is_shared = "--mesh" in words and int(words[-1]) > (2 if "--devices" in words else 1)
    # Of an update: in each step forwards and backwards, and what is watched.  6.F
    assert found["exchanges"] == (2 * STEPS + 1 if is_shared else 0)


@pytest.mark.mpi
@pytest.mark.slow
def test_ranks_that_are_one_program(ranks, alone):  # noqa: F811 - the fixture
    env = {"DISTDYN_COLLECTIVES": "1"}
    ended = ranks(2, [str(SCRIPT), "--mesh", "1", "2"], env=env, limit=300.0)
    check_same(trained_by(ended.out), alone)


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [("--rule", "eprop"), ("--rule", "ppprop"), ("--rule", "three"), ("--optimizer", "norms")],
    ids=" ".join,
)
def test_ranks_share_neurons_by_other_rules_and_optimizers(ranks, words):  # noqa: F811
    one, two = (
        trained_by(ranks(n, [str(SCRIPT), *words, *mesh], limit=300.0).out)
        for n, mesh in ((1, ()), (2, ("--mesh", "1", "2")))
    )
    check_same(two, one)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("n", "words"),
    [
        (2, ("--network", "every", "--devices", "2")),
        pytest.param(3, ("--network", "every"), marks=pytest.mark.slow),
        pytest.param(2, ("--network", "layers"), marks=pytest.mark.slow),
    ],
)
def test_derivatives_where_ranks_share_neurons(ranks, n, words):  # noqa: F811 - 6.A1
    assert ranks(n, [str(SHARED), *words], limit=300.0).out.split() == ["same"]


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["factors", "noise"])
def test_an_optimizer_that_needs_all_weights_at_once(ranks, optimizer):  # noqa: F811
    script = [str(SCRIPT), "--mesh", "1", "2", "--optimizer", optimizer]
    ended = ranks(2, script, limit=300.0, ok=False)
    assert ended.code == 1
    assert "TrainError: the optimizer treats weights by their place in an array" in ended.err


def test_weights_are_equal_for_equal_meshes(alone):
    """To the bit, in another process too; and an update is compiled once, whichever it is."""
    made, update = trainer(), dd.DSTrainer._update
    before = update._cache_size()
    made.fit(task(), 4)
    assert made.digest == alone["digest"]
    assert update._cache_size() == before + 1


@pytest.mark.mpi
def test_ranks_that_do_not_divide_a_batch(ranks):  # noqa: F811 - the fixture
    ended = ranks(3, [str(SCRIPT)], limit=200.0, ok=False)
    assert ended.code == 1
    assert ended.err.count("TrainError: data: 8 trials for 3 ranks") == 1


FAULTS = """
import os, signal, sys
from tests.train.small import task, trainer

made = trainer(mesh=(1, 2))

def batches(epoch):
    for x, y in task().batches(epoch):
        if epoch == 1 and made.world.rank == 1:
            if sys.argv[1] == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            x = {path: spikes[:, :-1] for path, spikes in x.items()}
        yield x, y

made.fit(batches, 2)
"""


@pytest.mark.mpi
@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("kill", 9, "Killed"),
        ("cut", 1, "differ in \"its steps\": '12' on rank 0, '11' on rank 1"),
    ],
)
def test_a_rank_that_is_lost_ends_all(ranks, fault, code, words):  # noqa: F811 - the fixture
    ended = ranks(2, FAULTS, fault, limit=200.0, ok=False)
    assert ended.code == code and words in ended.out + ended.err


# --- bad input -----------------------------------------------------------------------------------

SPIKES = np.zeros((4, STEPS, 2), bool)


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        ({"where": ["rec.wieght"]}, NameLookupError, 'Did you mean "rec.weight"'),
        ({"where": []}, TrainError, "nothing is trained"),
        ({"where": ["E.t_ref"]}, NameLookupError, '"E.t_ref" cannot be trained'),
        ({"loss": dd.loss.cross_entropy("out.W")}, DistDynError, '"out" has no variable "W"'),
        ({"devices": 2, "mesh": (1, 3)}, ParameterError, "3 places for 2 devices"),
        ({"rule": dd.BPTT, "seed": -1}, DistDynError, "seed"),
    ],
)
def test_bad_trainers(given, kind, says):
    with pytest.raises(kind, match=re.escape(says)):
        trainer(**given)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([({"in": SPIKES}, np.zeros(4, int))], 'nothing can be given to "in"'),
        ([({"inp": SPIKES[..., :1]}, np.zeros(4, int))], "Give [trial, step, 2]"),
        ([({"inp": SPIKES}, np.zeros(3, int))], "there are 4 trials"),
        ([({"inp": SPIKES}, np.array([0, 1, 2, 0]))], "Give classes from 0 to 1"),
        ([({"inp": SPIKES}, np.array([0, 1, -1, 0]))], "classes from -1 to 1"),
        ([({"inp": SPIKES}, np.zeros(4))], "int[trial]"),
        ([SPIKES], "Give (inputs, target)"),
        ([({}, 0)], "Give what comes from outside by path"),
        ([], "has no batch"),
    ],
)
def test_bad_data(learned, data, says):
    with pytest.raises(TrainError, match=re.escape(says)):
        learned[0].fit(data, 1)


def test_what_is_not_finite_ends_it():
    made = trainer(optimizer=optax.sgd(float("nan")))
    with pytest.raises(TrainError, match="Use a smaller learning rate"):
        made.fit(task(), 1)


def test_files_of_another_training(learned, tmp_path):
    _, path, _, _ = learned
    with pytest.raises(TrainError, match="has shape"):
        trainer(where=WHERE[:2]).load(path)
    with pytest.raises(TrainError, match="optimizer"):
        trainer(optimizer=optax.sgd(0.1)).load(path)
    with pytest.raises(DistDynError, match="nothing"):
        trainer().load(tmp_path / "nothing.h5")


def test_parameters_that_do_not_fit(learned):
    parameters = learned[0].parameters
    with pytest.raises(WeightError, match=r"there are \d+ synapses"):
        dd.DSRunner(Small(), dt=1.0, seed=2, parameters=parameters)
    with pytest.raises(NameLookupError, match=r'there is no "F\.tau_m"'):
        dd.DSRunner(Small(), dt=1.0, seed=1, parameters={"F.tau_m": 3.0})
    with pytest.raises(ParameterError, match="mapping by path"):
        dd.DSRunner(Small(), dt=1.0, seed=1, parameters=[1.0])


def test_the_command_line_says_one_json_object(tmp_path):
    words = ["train", "yinyang", "--epochs", "0", "--json", "--progress", "off", "--seed", "3"]
    command = [sys.executable, "-m", "distdyn", *words, "--out", str(tmp_path / "a.h5")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout.strip().splitlines()[-1])
    assert found["task"] == "yinyang" and found["updates"] == 0 and 0.2 < found["accuracy"] < 0.5
    assert len(found["weights_sha256"]) == 64 and (tmp_path / "a.h5").exists()
    command[command.index("yinyang")] = "yingyang"
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and 'Did you mean "yinyang"' in ended.stderr


def test_trials_are_counted_and_jax_is_left_as_it_was(learned):
    assert learned[0]._trials == 4 * TRIALS
    assert not jax.config.jax_enable_x64

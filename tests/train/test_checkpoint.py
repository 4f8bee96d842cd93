"""Checkpoints of a fit: stopped and started again, it comes to the same, to the last bit."""

import dataclasses
import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optax
import pytest

import distdyn as dd
from distdyn import cli
from distdyn.errors import ParameterError, RunDirectoryError, Stopped, TrainError
from distdyn.parallel.launch import World
from distdyn.run.interrupt import Notice
from distdyn.train import recipes
from distdyn.train.checkpoint import STOP, WRITE, Checkpoint
from distdyn.train.history import History, Score
from tests.mpi.conftest import ranks, start  # noqa: F401 - fixtures
from tests.train import kept

pytestmark = pytest.mark.xdist_group("kept")  # one worker: one training serves many tests

SCRIPT = str(Path(kept.__file__))


@pytest.fixture
def handler():
    """The handler of SIGUSR1 is afterwards what it was: who stops leaves another."""
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.fixture
def command(monkeypatch, capsys, handler):
    """`command(*words)` is `distdyn train tiny` in this process; the result, or the exit code."""
    monkeypatch.setitem(recipes.RECIPES, "tiny", kept.tiny)

    def run(*words):
        code = cli.main(["train", "tiny", "--json", "--quiet", *words])
        return json.loads(capsys.readouterr().out) if code == 0 else code

    return run


def trainer(**given):
    return kept.tiny().trainer(progress="off", **{"devices": 2, **given})


class Trained(NamedTuple):
    """A fit in one piece; its trainer, compiled, begins anew from `start` or a checkpoint."""

    trainer: dd.DSTrainer
    start: Path
    history: History
    digest: str
    score: Score


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    made, begin = trainer(), tmp_path_factory.mktemp("whole") / "start.h5"
    made.save(begin)
    history = made.fit(kept.batches, kept.EPOCHS)
    return Trained(made, begin, history, made.digest, made.evaluate(kept.task(1)))


@pytest.fixture(scope="module")
def stopped(whole, tmp_path_factory):
    """The checkpoint of a fit that stopped after update 5 of 9, in the second epoch."""
    path = tmp_path_factory.mktemp("stopped") / "some" / "fit.h5"
    whole.trainer.load(whole.start)
    stop_before(6, whole.trainer, kept.EPOCHS, checkpoint=path)
    return path


def stop_before(batch, made, epochs, **given):
    """Stop a fit by the signal, which comes with the batch before the one that is not made."""
    before = signal.getsignal(signal.SIGUSR1)
    os.environ["SIGNAL"] = str(batch - 1)
    try:
        with pytest.raises(Stopped) as stopped:
            made.fit(kept.batches, epochs, **given)
    finally:
        del os.environ["SIGNAL"]
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN, "a second one would kill"
        signal.signal(signal.SIGUSR1, before)
    assert stopped.value.code == 75 and made.updates == batch - 1


# --- the same to the last bit --------------------------------------------------------------------


def test_a_command_that_was_stopped_goes_on_to_the_same(tmp_path, ranks, command, whole):  # noqa: F811
    words = "--devices", "2", "--checkpoint", str(tmp_path / "runs" / "a.h5")
    ended = ranks(None, [SCRIPT, *words], env={"SIGNAL": "5"}, ok=False, limit=200.0)
    assert ended.code == 75 and "SIGUSR1: stopped after update 5" in ended.err
    found = command(*words)
    assert found["weights_sha256"] == whole.digest
    assert (found["loss"], found["accuracy"]) == whole.score
    assert (found["epochs"], found["updates"]) == (3, 9) and found["seconds"] > 0.0
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["a.h5"]


RANKS = """
import os
from distdyn.errors import Stopped
from tests.train import kept

made = kept.tiny().trainer(progress="off", mesh={mesh})
made.save("start.h5")
whole = made.fit(kept.batches, kept.EPOCHS).score, made.digest
made.load("start.h5")
os.environ["SIGNAL"] = "4"
try:
    made.fit(kept.batches, kept.EPOCHS, checkpoint="fit.h5")
except Stopped as error:
    stopped, updates = error, made.updates
del os.environ["SIGNAL"]
made.load("start.h5")
found = made.fit(kept.batches, kept.EPOCHS, checkpoint="fit.h5").score, made.digest
said = made.world.gather((updates, found == whole))
if said:
    print(said, flush=True)
raise stopped
"""


@pytest.mark.mpi
@pytest.mark.parametrize("mesh", [None, pytest.param((1, 2), marks=pytest.mark.slow)])
def test_ranks_stop_together_and_go_on_to_the_same(ranks, mesh):  # noqa: F811 - the fixture
    """One of two gets the signal; they share the trials, or the neurons."""
    ended = ranks(2, RANKS.format(mesh=mesh), limit=200.0, ok=False)
    assert ended.out.strip() == "[(4, True), (4, True)]", ended.err
    assert ended.code == 75 and ended.err.count("SIGUSR1: stopped after update 4") == 1


def test_the_history_is_that_of_all_starts(stopped, whole, tmp_path):
    copy, again = tmp_path / "copy.h5", whole.trainer
    copy.write_bytes(stopped.read_bytes())
    for kind in ("what was stopped", "what is done"):
        found = again.fit(kept.batches, kept.EPOCHS, checkpoint=copy)
        assert (again.epoch, again.updates, again.digest) == (3, 9, whole.digest), kind
        for name in ("epoch", "score", "updates", "validation"):
            assert getattr(found, name) == getattr(whole.history, name), (kind, name)
    more = again.fit(kept.batches, kept.EPOCHS + 1, checkpoint=copy)
    assert more.epoch == [1, 2, 3, 4]


def with_optimizer(optimizer):
    recipe = dataclasses.replace(kept.tiny(), optimizer=optimizer)
    return recipe.trainer(progress="off", devices=2)


def test_patience_goes_on(tmp_path):
    made = with_optimizer(optax.sgd(0.0))
    first = made.digest
    given = {"patience": 1, "checkpoint": tmp_path / "a.h5"}
    stop_before(7, made, 9, **given)  # between the second epoch and the third
    history = made.fit(kept.batches, 9, **given)
    assert history.epoch == [1, 2, 3], "the first, and two that are no better"
    assert made.fit(kept.batches, 9, **given).epoch == [1, 2, 3]
    assert made.digest == first


def test_another_mesh_goes_on_by_load(stopped, whole):
    weights = []
    for each in (whole.trainer, trainer(devices=4, mesh=(2, 2))):
        each.load(stopped)
        assert (each.epoch, each.updates) == (1, 5)
        history = each.fit(kept.batches, 1)
        assert history.updates == [6] and each.epoch == 2, "one batch of the epoch was left"
        weights.append(each.parameters["w.weight"])
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-5)  # float32, by another order


# --- when ----------------------------------------------------------------------------------------


def test_when_it_is_written(tmp_path, handler):
    path = tmp_path / "a.h5"
    for every, update, epoch in ((None, 0, WRITE), (1e-9, WRITE, WRITE), (3600.0, 0, 0)):
        with Checkpoint(path, every, World()) as checkpoint:
            assert checkpoint.due(is_epoch=False) == update
            assert checkpoint.due(is_epoch=True) == epoch
            os.kill(os.getpid(), signal.SIGUSR1)
            assert checkpoint.due(is_epoch=False) == STOP


def test_a_signal_that_comes_early_counts(tmp_path, handler):
    with Notice():
        os.kill(os.getpid(), signal.SIGUSR1)
        with Checkpoint(tmp_path / "a.h5", None, World()) as checkpoint:
            assert checkpoint.due(is_epoch=False) == STOP


def test_another_thread_is_told_nothing(tmp_path):
    found = []

    def wait():
        with Checkpoint(tmp_path / "a.h5", None, World()) as checkpoint:
            found.append(checkpoint.due(is_epoch=False))

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert found == [0]


# --- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: kept.tiny(seed=1).trainer(progress="off"), "seed = 1, but 0 in it"),
        (lambda: trainer(precision="float64"), "precision = 'float64', but 'float32' in it"),
        (lambda: trainer(devices=1), "mesh = [1, 1], but [2, 1] in it"),
        (lambda: trainer(mesh=(1, 2)), "mesh = [1, 2], but [2, 1] in it"),
        (lambda: trainer(rule=dd.EProp()), "rule = EProp"),
        (lambda: trainer(where=["out.tau_m"]), "where = ['out.tau_m'], but ['w.weight'] in it"),
        (lambda: with_optimizer(optax.sgd(0.1)), "the network, `where` and the optimizer"),
    ],
)
def test_a_checkpoint_of_another_training(stopped, made, says):
    was = stopped.read_bytes()
    with pytest.raises(TrainError, match=re.escape(says)) as error:
        made().fit(kept.batches, 3, checkpoint=stopped)
    assert str(stopped) in str(error.value)
    assert stopped.read_bytes() == was


def test_a_checkpoint_of_other_data(stopped, whole):
    with pytest.raises(TrainError, match="data = Dataset, but <function batches"):
        whole.trainer.fit(kept.task(1), 3, checkpoint=stopped)
    with pytest.raises(TrainError, match=r"another training: validation = Dataset, but None"):
        whole.trainer.fit(kept.batches, 3, checkpoint=stopped, validation=kept.task(1))


def test_the_command_names_what_is_wrong(stopped, command, capsys):
    words = "--checkpoint", str(stopped), "--devices", "2"
    assert command(*words, "--seed", "2") == 2
    assert "TrainError: checkpoint" in (said := capsys.readouterr().err) and "seed = 2" in said
    assert command("--checkpoint-every", "5") == 2
    assert "Use 30s, 10min or 1h" in capsys.readouterr().err
    os.kill(os.getpid(), signal.SIGUSR1)
    assert "goes on, without a checkpoint" in capsys.readouterr().err


def test_a_damaged_checkpoint(stopped, whole, tmp_path):
    good = stopped.read_bytes()
    whole.trainer.load(stopped)
    flipped = bytearray(good)
    flipped[good.index(whole.trainer.parameters["w.weight"].tobytes())] ^= 1
    for k, bad in enumerate((b"", b"text", good[: len(good) // 2], bytes(flipped))):
        damaged = tmp_path / f"{k}.h5"
        damaged.write_bytes(bad)
        with pytest.raises(RunDirectoryError, match="missing or damaged"):
            whole.trainer.fit(kept.batches, 3, checkpoint=damaged)
        assert damaged.read_bytes() == bad, "it is left for who wants to look at it"


def test_what_save_wrote_is_no_checkpoint(whole):
    with pytest.raises(RunDirectoryError, match=r"no checkpoint of a fit.*`load` \(--resume\)"):
        whole.trainer.fit(kept.batches, 3, checkpoint=whole.start)


def test_what_is_not_possible_is_known_before_the_first_update(whole, tmp_path):
    (tmp_path / "file").touch()
    made, updates = whole.trainer, whole.trainer.updates
    with pytest.raises(RunDirectoryError, match="cannot write"):
        made.fit(kept.batches, 3, checkpoint=tmp_path / "file" / "a.h5")
    with pytest.raises(RunDirectoryError, match="cannot read"):
        made.fit(kept.batches, 3, checkpoint=tmp_path)
    for given in ({"checkpoint_every": 1.0}, {"checkpoint": "a.h5", "checkpoint_every": 0.0}):
        with pytest.raises(ParameterError, match="checkpoint_every"):
            made.fit(kept.batches, 3, **given)
    assert made.updates == updates

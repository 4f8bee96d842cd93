"""A run that was stopped goes on from a checkpoint as if it had never stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

import distdyn as dd
from distdyn.errors import CheckpointError, ParameterError, RunDirectoryError, TimeError
from distdyn.parallel.launch import World
from distdyn.run.checkpoint import schedule
from distdyn.run.checkpoint.schedule import Schedule
from distdyn.run.checkpoint.stored import Stored
from distdyn.run.checkpoint.writing import digest, kept

sys.path.insert(0, str(Path(__file__).parents[1] / "mpi"))
from same import NETWORKS, state_of

GOLDEN = "52ded88a9f83722ba800501cdbf96224b426b669f34c43226349989a04e515f6"  # 1 s of it


class Small(dd.Network):
    """Cells that drive each other, of which some learn."""

    def __init__(self, n=60, tau=2.0):
        cell = dd.LIF(I_e=dd.Uniform(370.0, 420.0), t_ref=2.0)
        self.E = dd.Population(n, cell, V=dd.Uniform(-65.0, -50.0))
        self.exc = dd.Projection(
            self.E, self.E, dd.FixedProb(0.2), dd.Exponential(tau=tau),
            weight=dd.Uniform(5.0, 15.0), delay=dd.Uniform(0.5, 2.0),
            plasticity=dd.STDP(w_max=60.0),
        )  # fmt: skip


def runner(network=None, out=None, **options):
    given = {"dt": 0.1, "seed": 7, "record": ["spikes"], "progress": "off", **options}
    return dd.DSRunner(Small() if network is None else network, out=out, **given)


def spikes(recording):
    return {path: (of.step.tolist(), of.id.tolist()) for path, of in recording.spikes.items()}


def checkpoints(out):
    return [step for step, _ in kept(Path(out) / "checkpoints")]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run of 60 ms with a checkpoint every 10, and what 100 ms come to in one piece."""
    out = tmp_path_factory.mktemp("stopped") / "a"
    with runner(out=out, checkpoint_every=10.0) as first:
        first.run(60.0)
    with runner() as whole:
        recording = whole.run(100.0)
        return out, spikes(recording), recording.spikes_sha256(), state_of(whole)


@pytest.fixture
def a(stopped, tmp_path):
    shutil.copytree(stopped[0], tmp_path / "a")
    return tmp_path / "a"


# --- the same bits -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("plastic", 3, 2),
        ("coba", 2, 3),
        pytest.param("coupled", 1, 3, marks=pytest.mark.slow),
        pytest.param("memory", 2, 1, marks=pytest.mark.slow),
        pytest.param("poisson", 3, 1, marks=pytest.mark.slow),
        pytest.param("everyone", 2, 3, marks=pytest.mark.slow),
    ],
)
def test_on_other_devices_it_comes_to_the_same_bits(name, before, after, tmp_path):
    make, _, precision = NETWORKS[name]

    def run(out, devices, duration, **options):
        common = {"precision": precision, "devices": devices, **options}
        with runner(make(), out, **common) as one:
            recording = one.run(duration)
            return recording.spikes_sha256(), spikes(recording), state_of(one)

    whole = run(None, 1, 43.0)
    run(tmp_path / "a", before, 20.1, checkpoint_every=6.7)
    assert checkpoints(tmp_path / "a") == [201, 134, 67]
    shutil.rmtree(tmp_path / "a" / "checkpoints" / "step-000000000201")
    found = run(tmp_path / "a", after, 43.0, checkpoint_every=6.7, resume="auto")
    assert found == whole


class Classified(dd.Network):
    """A layer with a state between two populations."""

    def __init__(self):
        cell = dd.LIF(I_e=dd.Uniform(380.0, 480.0))
        self.A = dd.Population(16, cell, V=dd.Uniform(-65.0, -50.0))
        self.B = dd.Population(8, cell)
        self.gru = dd.Layer(
            self.A, self.B, lambda key: eqx.nn.GRUCell(16, 8, key=key),
            dd.Exponential(tau=3.0), delay=1.5,
        )  # fmt: skip


def test_the_state_of_a_layer_goes_on(tmp_path):
    whole = runner(Classified()).run(100.0).spikes_sha256()
    with runner(Classified(), tmp_path / "a", checkpoint_every=40.0) as first:
        first.run(40.0)
    with runner(Classified(), tmp_path / "a", resume="auto") as second:
        assert second.run(100.0).spikes_sha256() == whole


@pytest.mark.parametrize("step", [1, 999, 5003])
def test_the_golden_network_from_any_step(step, tmp_path):
    make, _, precision = NETWORKS["whole"]
    with runner(make(), tmp_path / "a", precision=precision, checkpoint_every=step * 0.1) as first:
        first.run(step * 0.1)
    with runner(make(), tmp_path / "a", precision=precision, resume="auto", devices=2) as second:
        recording = second.run(1000.0)
        assert second.counters()["emitted"] == sum(recording.counts().values())
    assert recording.spikes_sha256() == GOLDEN
    assert dd.load(tmp_path / "a").spikes_sha256() == GOLDEN
    said = json.loads((tmp_path / "a" / "run.json").read_text())
    assert (said["spikes_sha256"], said["steps"]) == (GOLDEN, 10_000)
    assert sum(said["spikes"].values()) == 6668


def test_a_checkpoint_changes_nothing_of_the_run(stopped, tmp_path):
    with runner(out=tmp_path / "a", checkpoint_every=3.3) as one:
        assert spikes(one.run(100.0)) == stopped[1]
        assert state_of(one) == stopped[3]


def test_traces_have_no_gap_and_no_sample_twice(tmp_path):
    record = ["spikes", dd.every(0.7, "E.V"), dd.every(5.0, "exc.weight")]
    whole = runner(record=record).run(50.0)
    with runner(out=tmp_path / "a", record=record, checkpoint_every=9.0) as first:
        first.run(31.0)  # beyond the last checkpoint
    with runner(out=tmp_path / "a", record=record, resume="auto") as second:
        found = second.run(50.0)
    for path in whole.traces:
        assert np.array_equal(found.traces[path].time, whole.traces[path].time)
        assert np.array_equal(found.traces[path].value, whole.traces[path].value)
    assert spikes(found) == spikes(whole)
    assert not (tmp_path / "a" / "before").exists()


# --- the script that is started again -------------------------------------------------------------


def script(out, *, until=None, **options):
    """Several calls of run, with changes between them and calls in them; what each recorded."""
    found = []
    with runner(out=out, **options) as one:
        network = one

        def call(runner):
            runner["E"].V = np.asarray(runner["E"].V) + 0.01

        for k, duration in enumerate((20.0, 30.0, 25.0)):
            if until is not None and k == until:
                return found
            network["E"].I_e = 390.0 + 5.0 * k
            if k == 1:
                network["exc"].weight = 12.0
            found.append(spikes(network.run(duration, every=5.0, call=call)))
        found.append(state_of(network))
    return found


@pytest.mark.parametrize("until", [1, 2])
def test_a_script_that_is_started_again_goes_on_where_it_was(until, tmp_path):
    whole = script(None)
    script(tmp_path / "a", checkpoint_every=8.0, until=until)
    assert checkpoints(tmp_path / "a")[0] == {1: 160, 2: 480}[until]
    assert script(tmp_path / "a", checkpoint_every=8.0, resume="auto") == whole


def test_what_was_before_the_checkpoint_is_not_to_be_read(a):
    with runner(out=a, resume="auto") as one:
        assert one.t == 60.0
        one.run(50.0)
        one["E"].V = -10.0  # is in the checkpoint: it is not set now
        with pytest.raises(CheckpointError, match=r"script is at 50 ms.* checkpoint at 60 ms"):
            _ = one["E"].V
        one.run(20.0)
        assert one.t == 70.0
        assert np.max(one["E"].V) < -40.0


def test_another_run_begins_at_a_checkpoint(a, stopped, tmp_path):
    path = a / "checkpoints" / "step-000000000500"
    with runner(out=tmp_path / "b", resume=path) as one:
        recording = one.run(50.0)
    assert (recording.start, recording.stop) == (500, 1000)
    step, id = map(np.array, stopped[1]["E"])
    assert spikes(recording)["E"] == (step[step > 500].tolist(), id[step > 500].tolist())
    with runner(resume=path) as one:  # also without a directory
        assert spikes(one.run(50.0)) == spikes(recording)


def test_its_path_may_be_written_in_any_way(a, stopped, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(a)
    monkeypatch.chdir(a)
    for path in (
        "checkpoints/step-000000000500",
        tmp_path / "link" / "checkpoints" / "step-000000000500",
        a / "checkpoints" / ".." / "checkpoints" / "step-000000000500",
    ):
        with runner(out=a, resume=path, checkpoint_every=50.0) as one:
            assert one.run(60.0).start == 0
        assert 500 in checkpoints(a)


def test_from_an_older_one_what_came_later_is_given_up(a, stopped):
    with runner(out=a, resume=a / "checkpoints" / "step-000000000400", checkpoint_every=5.0) as one:
        one.run(47.0)
    assert checkpoints(a) == [450, 400]
    with runner(out=a, resume="auto") as one:
        assert one.t == 45.0
        assert spikes(one.run(100.0)) == stopped[1]


def killed(out, point):
    """A run from the newest checkpoint to 100 ms, which dies at a point."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]); import test_checkpoint as t\n"
        "with t.runner(out=sys.argv[1], checkpoint_every=20.0, resume='auto') as one:\n"
        "    one.run(100.0)\n"
    )
    words = [sys.executable, "-c", program, str(out), str(Path(__file__).parent)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "DISTDYN_FAULT": point}
    assert subprocess.run(words, env=env, timeout=100).returncode == -signal.SIGKILL


def test_killed_while_the_recording_is_taken_over_nothing_is_lost(a, stopped):
    killed(a, "aside")
    assert (a / "before").is_dir()
    shutil.rmtree(a / "checkpoints" / "step-000000000600")  # go on from an older one
    with runner(out=a, resume="auto") as one:
        assert one.t == 50.0
        assert spikes(one.run(100.0)) == stopped[1]
    assert not (a / "before").exists()


def test_a_run_is_not_replaced_by_one_that_begins_elsewhere(a, stopped, tmp_path):
    with runner(out=tmp_path / "b", checkpoint_every=10.0) as one:
        one.run(10.0)
    said = json.loads((a / "run.json").read_text())
    (a / "run.json").write_text(json.dumps({**said, "exit_reason": "running"}))
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        runner(out=a, resume=tmp_path / "b" / "checkpoints" / "step-000000000100")
    assert checkpoints(a) == [600, 500, 400]
    assert dd.load(a).stop == 600


def test_without_a_checkpoint_it_begins_anew(tmp_path):
    with runner(out=tmp_path / "a", resume="auto", checkpoint_every=50.0) as one:
        one.run(30.0)
    with pytest.raises(RunDirectoryError, match="holds a run already"):
        runner(out=tmp_path / "a", resume="auto")  # it was complete
    said = json.loads((tmp_path / "a" / "run.json").read_text())
    (tmp_path / "a" / "run.json").write_text(json.dumps({**said, "exit_reason": "running"}))
    with runner(out=tmp_path / "a", resume="auto", checkpoint_every=50.0) as one:  # it had died
        assert one.run(10.0).start == 0


def test_a_run_that_replaces_another_has_none_of_its_checkpoints(a):
    with runner(out=a, overwrite=True) as one:
        one.run(10.0)
    assert checkpoints(a) == []


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 2])
def test_so_many_checkpoints_stay(keep, tmp_path):
    with runner(out=tmp_path / "a", checkpoint_every="5ms", keep=keep) as one:
        one.run(23.0)
    assert checkpoints(tmp_path / "a") == [200, 150][:keep]


def test_drafts_that_were_left_behind_are_removed(a):
    draft = a / "checkpoints" / ".step-000000000700.draft"
    draft.mkdir()
    (draft / "part-0000.h5").write_bytes(b"half of it")
    with runner(out=a, resume="auto", checkpoint_every=10.0) as one:
        one.run(80.0)
    assert not draft.exists()
    assert checkpoints(a) == [800, 700, 600]


@pytest.mark.parametrize(
    "point",
    ["manifest", *(pytest.param(x, marks=pytest.mark.slow)
                   for x in ("shard", "rename", "step-250", "build"))],
)  # fmt: skip
def test_killed_while_it_is_written_the_one_before_is_whole(point, tmp_path, stopped):
    for _ in range(2):  # at the first checkpoint, and when it goes on
        killed(tmp_path / "a", point)
    assert all(Stored(path).step for _, path in kept(tmp_path / "a" / "checkpoints"))
    with runner(out=tmp_path / "a", checkpoint_every=20.0, resume="auto") as one:
        assert spikes(one.run(100.0)) == stopped[1]


# --- what does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"network": Small(n=61)}, r'population "E": size: 60 there, 61 here'),
        ({"network": Small(tau=3.0)}, r'projection "exc": synapse.*2\.0.*there.*3\.0.*here'),
        ({"seed": 8}, "seed: 7 there, 8 here"),
        ({"dt": 0.05}, r"dt: 0\.1 there, 0\.05 here"),
        ({"precision": "float64"}, "precision: float32 there, float64 here"),
        ({"record": ["spikes", "E.V"]}, "record"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(a, change, text):
    with pytest.raises(CheckpointError, match=text):
        runner(out=a, resume="auto", **change)
    assert dd.load(a).stop == 600  # nothing was touched


def damaged(path, how):
    part, manifest = path / "part-0000.h5", path / "manifest.json"
    said = json.loads(manifest.read_text())
    if how == "a bit":
        content = bytearray(part.read_bytes())
        content[len(content) // 2] ^= 1
        part.write_bytes(content)
    elif how == "its end":
        os.truncate(part, part.stat().st_size - 100)
    elif how == "a file":
        part.unlink()
    elif how == "half of the manifest":
        manifest.write_text(manifest.read_text()[:200])
    elif how == "a newer format":
        manifest.write_text(json.dumps({**said, "format": 2}))
    elif how == "a file elsewhere":
        said["parts"][0]["file"] = "../../../secret.h5"
        manifest.write_text(json.dumps(said))
    else:
        other = path.parent / "step-000000000400" / "part-0000.h5"
        shutil.copy(other, part)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ("a bit", "part-0000.h5.* was changed"),
        ("its end", "part-0000.h5.* bytes where"),
        ("a file", "part-0000.h5.* cannot be read"),
        ("half of the manifest", "no checkpoint that can be read"),
        ("a newer format", "format 2 where 1 is known"),
        ("a file elsewhere", "secret"),
        ("that of another step", r"part-0000.h5.* (was changed|bytes where)"),
    ],
)
def test_what_is_damaged_is_seen(a, stopped, how, text):
    path = a / "checkpoints" / "step-000000000600"
    damaged(path, how)
    with pytest.raises(CheckpointError, match=text):
        runner(resume=path)
    with pytest.warns(UserWarning, match=text + r"[\s\S]* An older checkpoint is taken"):
        one = runner(out=a, resume="auto")
    assert one.t == 50.0
    with one:
        assert one.run(100.0).spikes_sha256() == stopped[2]


def test_if_none_is_whole_it_says_so(a):
    for _, path in kept(a / "checkpoints"):
        damaged(path, "a bit")
    with warnings.catch_warnings(), pytest.raises(CheckpointError, match="none of the checkpoints"):
        warnings.simplefilter("ignore")
        runner(out=a, resume="auto")


def test_made_elsewhere_it_warns(a):
    manifest = a / "checkpoints" / "step-000000000600" / "manifest.json"
    said = json.loads(manifest.read_text())
    said["made_by"]["jax"] = "0.0.1"
    del said["sha256"]
    manifest.write_text(json.dumps({**said, "sha256": digest(said)}))
    with pytest.warns(UserWarning, match=r"jax 0\.0\.1 -> "):
        runner(out=a, resume="auto").close()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"checkpoint_every": 10.0, "out": None}, ParameterError, "Give out"),
        ({"max_wall": "1h", "out": None}, ParameterError, "Give out"),
        ({"resume": "auto", "out": None}, ParameterError, "Give out"),
        ({"checkpoint_every": 0.05}, TimeError, "0.05"),
        ({"checkpoint_every": -1.0}, ParameterError, "-1.0"),
        ({"checkpoint_every": "soon"}, ParameterError, "soon"),
        ({"checkpoint_every": "xms"}, ParameterError, "xms"),
        ({"checkpoint_every": True}, ParameterError, "True"),
        ({"max_wall": "12"}, ParameterError, "12"),
        ({"max_wall": "0s"}, ParameterError, "0s"),
        ({"keep": 0}, ParameterError, "keep = 0"),
        ({"keep": 1.5}, ParameterError, r"keep = 1\.5"),
        ({"resume": 3}, ParameterError, "resume = 3"),
        ({"resume": ""}, ParameterError, "resume"),
        ({"resume": "nowhere"}, CheckpointError, "nowhere.* is no checkpoint"),
    ],
)
def test_what_cannot_be_asked_for(options, error, text, tmp_path):
    with pytest.raises(error, match=text):
        runner(**{"out": tmp_path / "a", **options})
    assert not (tmp_path / "a").exists()


def test_a_weight_that_was_set_to_a_distribution_cannot_be_kept(tmp_path):
    with runner(out=tmp_path / "a", checkpoint_every=5.0) as one:
        one["exc"].weight = dd.Uniform(1.0, 2.0)
        with pytest.raises(CheckpointError, match=r"exc\.weight"):
            one.run(10.0)


def test_a_run_that_goes_on_is_not_reset(a):
    with runner(out=a, resume="auto") as one, pytest.raises(CheckpointError, match="reset"):
        one.reset()


# --- when -----------------------------------------------------------------------------------------


def test_schedule_of_the_model():
    plan = Schedule("50ms", 0.1)
    assert [plan.next(step, 1200) for step in (0, 499, 500, 1100)] == [500, 500, 1000, 1200]
    assert [plan.is_due(step) for step in (500, 501, 1000)] == [True, False, True]
    assert plan.stop() == 0


def test_schedule_of_the_wall(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(schedule.time, "monotonic", lambda: now[0])
    plan = Schedule("10min", 0.1, "1h")
    assert plan.next(7, 1200) == 1200
    now[0] += 599.0
    assert not plan.is_due(7)
    now[0] += 1.0
    assert plan.is_due(8)
    plan.written(2.0)
    assert not plan.is_due(8)
    assert plan.stop() == 0
    now[0] = 3700.0
    assert plan.stop() == 75


@pytest.mark.parametrize(("left", "cost", "code"), [(61, 0, 0), (59, 0, 75), (100, 30, 75)])
def test_it_stops_before_the_end_of_the_job(monkeypatch, left, cost, code):
    monkeypatch.setenv("SLURM_JOB_END_TIME", "2000000000")
    monkeypatch.setattr(schedule.time, "time", lambda: 2000000000.0 - left)
    plan = Schedule(None, 0.1)
    plan.written(cost)
    assert plan.stop() == code


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGUSR1, 75), (signal.SIGTERM, 143)], ids=["USR1", "TERM"]
)
def test_a_signal_stops_it_at_a_checkpoint(number, code, tmp_path):
    words = ["run", "coba", "--set", "n=400", "--duration", "1e7", "--out", str(tmp_path / "a")]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "distdyn", *words]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        began = time.monotonic()
        while not (tmp_path / "a" / "spikes.h5").exists() and time.monotonic() - began < 90:
            time.sleep(0.1)
        time.sleep(1.0)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, err
    assert b"--resume auto" in err
    [step] = checkpoints(tmp_path / "a")
    assert dd.load(tmp_path / "a").stop == step
    again = [*command, "--resume", "auto", "--max-wall", "2s"]
    ended = subprocess.run(again, env=env, capture_output=True, timeout=100)
    assert ended.returncode == 75, ended.stderr
    assert checkpoints(tmp_path / "a")[0] > step


def test_in_the_middle_of_a_call_of_run_it_stops_too(tmp_path):
    one = runner(out=tmp_path / "a")

    def call(runner):
        if runner.t == 30.0:
            os.kill(os.getpid(), signal.SIGUSR1)

    with pytest.raises(SystemExit) as stop, one:
        one.run(1000.0, every=10.0, call=call)
    assert stop.value.code == 75
    [step] = checkpoints(tmp_path / "a")
    assert step >= 300
    assert one.recording.stop == step


def test_one_rank_by_itself_reads_what_many_wrote(a):
    stored = Stored(a / "checkpoints" / "step-000000000600")
    stored.verify(World())
    key = np.array([3, 17, 59])
    with jax.enable_x64(True):
        found = stored.read("cells/E", key)
    assert found["state.V"].shape == (3,)
    with pytest.raises(CheckpointError, match="1 of 2 rows"):
        stored.read("cells/E", np.array([3, 60]))

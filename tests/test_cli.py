"""The command line: networks by name and from a file, records, results as JSON, wrong input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import distdyn as dd
from distdyn.cli import main

ROOT = Path(__file__).parents[1]

KEYS = (
    "network neurons synapses ranks devices dt duration seed rtf phases bytes_per_synapse peak_rss "
    "spikes rates spikes_sha256 counters"
).split()

NETWORK = """
import distdyn as dd
from constants import RATE


class Pair(dd.Network):
    def __init__(self, n=20, kind="noisy", **others):
        self.source = dd.Population(n, dd.Poisson(rate=RATE))
        self.E = dd.Population(n, dd.LIF(**others))
        self.syn = dd.Projection(
            self.source, self.E, dd.OneToOne(), dd.Exponential(tau=2.0), weight=900.0, delay=1.0
        )
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty directory with a network in a file, and the module that it imports."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_net.py").write_text(NETWORK)
    (tmp_path / "constants.py").write_text("RATE = 200.0\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "bytes.py").write_bytes(b'x = "\xff"\n')
    (tmp_path / "imports.py").write_text("import nowhere_at_all\n")
    yield tmp_path
    for name in ("my_net", "constants", "empty", "broken", "bytes", "imports"):
        sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def _the_path_stays(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def run(capsys, *arguments, status=0):
    """The result of `distdyn run ... --json`: the last line of stdout."""
    assert main(["run", *arguments, "--json"]) == status
    written = capsys.readouterr()
    return json.loads(written.out.splitlines()[-1]) if status == 0 else written.err


def test_json_has_exactly_its_keys_in_their_order(capsys):
    result = run(capsys, "brunel", "--set", "n=200", "--duration", "50", "--seed", "3")
    assert list(result) == KEYS
    assert {key: result[key] for key in ("network", "neurons", "dt", "duration", "seed")} == {
        "network": "brunel", "neurons": 200, "dt": 0.1, "duration": 50.0, "seed": 3,
    }  # fmt: skip
    assert result["ranks"] == result["devices"] == 1
    assert {"build", "compile", "run"} <= set(result["phases"])
    assert result["rtf"] == pytest.approx(result["phases"]["run"] / 0.05, abs=1e-4)
    assert 0 < result["bytes_per_synapse"] and 2**26 < result["peak_rss"] < 2**36
    assert list(result["spikes"]) == list(result["rates"])
    assert len(result["spikes_sha256"]) == 64


def test_file_with_a_class_and_arguments(here, capsys):
    result = run(
        capsys, "my_net.py:Pair", "--set", "n=30", "--set", "I_e=200.", "--duration", "100"
    )
    assert result["neurons"] == 60 and result["synapses"] == 30
    assert result["spikes"]["source"] > 0 and result["spikes"]["E"] > 0
    assert result["rates"]["E"] == pytest.approx(result["spikes"]["E"] / 30 / 0.1)


def test_class_need_not_be_named_where_there_is_one(here, capsys):
    assert run(capsys, "my_net.py", "--duration", "1")["neurons"] == 40


def test_same_arguments_give_the_same_spikes(here, capsys):
    arguments = ("my_net.py", "--duration", "50", "--seed", "5")
    hashes = {run(capsys, *arguments)["spikes_sha256"] for _ in range(2)}
    hashes.add(run(capsys, *arguments[:-1], "6")["spikes_sha256"])
    assert len(hashes) == 2


def test_without_json_a_report_is_printed(here, capsys):
    assert main(["run", "my_net.py", "--duration", "50"]) == 0
    out = capsys.readouterr().out
    assert "Pair: 40 neurons" in out and "real-time factor" in out and "Hz" in out
    assert "1 cpu device" in out and "seed 0" in out
    phases = {line.split()[0] for line in out.splitlines()[-4:]}
    assert phases == {"build", "compile", "run", "record"}


def test_quiet_prints_the_json_alone(here, capsys):
    run(capsys, "my_net.py", "--duration", "1", "--quiet")
    assert main(["run", "my_net.py", "--duration", "1", "--quiet", "--json"]) == 0
    written = capsys.readouterr()
    assert len(written.out.splitlines()) == 1 and not written.err


def test_record_of_a_variable_and_of_some_spikes(here, capsys):
    result = run(
        capsys, "my_net.py", "--duration", "20", "--out", "a", "--record", "E.V@1", "source.spikes"
    )
    assert list(result["spikes"]) == ["source"]
    assert result["spikes_sha256"] is None, "without all spikes there is no hash"
    assert dd.load("a").traces["E.V"].value.shape == (20, 20)


def test_record_of_nothing(here, capsys):
    result = run(capsys, "my_net.py", "--duration", "20", "--record", "none")
    assert (result["spikes"], result["rates"], result["spikes_sha256"]) == (None, None, None)


def test_record_of_nothing_leaves_no_zeros_in_the_directory(here, capsys):
    run(capsys, "my_net.py", "--duration", "20", "--record", "none", "--out", "a")
    kept = json.loads(Path("a/run.json").read_text())
    assert (kept["spikes"], kept["rates"], kept["spikes_sha256"]) == (None, None, None)
    assert dd.load("a").counts() == {}


def test_merge_and_watchdog_are_for_ranks_and_harmless_without(here, capsys):
    run(capsys, "my_net.py", "--duration", "1", "--out", "a", "--no-merge", "--watchdog", "5")
    assert sorted(file.name for file in Path("a").iterdir()) == ["run.json", "spikes.h5"]
    message = run(capsys, "my_net.py", "--duration", "1", "--watchdog", "0", status=2)
    assert "watchdog" in message


def test_warm_up_is_outside_all_results(here, capsys):
    whole = run(capsys, "my_net.py", "--duration", "60", "--out", "whole")
    warm = run(capsys, "my_net.py", "--duration", "40", "--warmup", "20", "--out", "warm")
    late = dd.load("whole").between(20.0, 60.0)
    assert warm["duration"] == 40.0 and warm["phases"]["warmup"] > 0
    assert warm["spikes"] == late.counts() != whole["spikes"]
    assert warm["rates"] == pytest.approx(late.rates())
    assert warm["spikes_sha256"] == late.spikes_sha256()
    assert warm["rtf"] == pytest.approx(warm["phases"]["run"] / 0.04, abs=1e-3)


def test_run_directory_holds_what_was_printed(here, capsys):
    result = run(capsys, "my_net.py", "--duration", "20", "--out", "runs/deep/a")
    kept = json.loads(Path("runs/deep/a/run.json").read_text())
    for key in ("spikes", "spikes_sha256", "seed", "network"):
        assert kept[key] == result[key]
    assert kept["lines_lengthened"] == 0  # there are none
    assert dd.load("runs/deep/a").spikes_sha256() == result["spikes_sha256"]


def test_existing_run_is_refused_before_anything_is_built(here, capsys, monkeypatch):
    run(capsys, "my_net.py", "--duration", "1", "--out", "a")
    with monkeypatch.context() as patch:
        patch.setattr("distdyn.run.runner.Shard", None)  # whoever builds, calls it
        message = run(capsys, "my_net.py", "--duration", "1", "--out", "a", status=2)
    assert "RunDirectoryError" in message and "overwrite" in message
    longer = run(capsys, "my_net.py", "--duration", "2", "--out", "a", "--overwrite")
    assert longer["duration"] == dd.load("a").duration == 2.0


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["microcircit"], 'Did you mean "microcircuit"'),
        (["nothing.py:Pair"], 'no file "nothing.py"'),
        (["my_net.py:Pear"], 'Did you mean "Pair"'),
        (["brunel", "--set", "m=3"], "no argument"),
        (["brunel", "--set", "n"], "NAME=VALUE"),
        (["brunel", "--set", "n=-5"], "n"),
        (["brunel", "--set", "n='a'"], "brunel takes no n='a'"),
        (["json:loads"], "json:loads needs s"),
        (["json:loads", "--set", "s='[]'"], "makes a list, no network"),
        (["my_net.py", "--record", "e.spikes"], 'Did you mean "E.spikes"'),
        (["my_net.py", "--record", "E.V@often"], "interval"),
        (["my_net.py", "--precision", "single"], "float32"),
        (["my_net.py", "--dt", "-1"], "dt"),
        (["my_net.py", "--warmup", "0.25"], "multiple of dt"),
        (["my_net.py", "--duration", "0.25"], "multiple of dt"),
        (["my_net.py", "--devices", "many"], "devices"),
        (["my_net.py", "--platform", "abacus"], "platform"),
        (["my_net.py", "--progress", "loud"], "progress"),
        (["my_net.py", "--set", "tau_m=-1"], "tau_m"),
        (["my_net.py", "--set", "tau_m=1", "--set", "tau_m=2"], "given twice"),
        (["my_net.py", "--max-rate", "-1"], "max_rate"),
        (["empty.py"], "has no network"),
        (["broken.py"], "invalid syntax (broken.py, line 1)"),
        (["bytes.py"], "can't decode byte 0xff"),
        (["imports.py"], "No module named 'nowhere_at_all'"),
        (["."], "no published network"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_wrong_input_ends_with_2_and_says_what_to_do(here, capsys, arguments, words):
    if "--duration" not in arguments:
        arguments = [*arguments, "--duration", "1"]
    message = run(capsys, *arguments, status=2)
    assert words in message and "Traceback" not in message
    assert len(message.splitlines()) == 1


def test_a_run_that_fails_ends_with_1(here, capsys):
    words = ["brunel", "--set", "n=200", "--duration", "100", "--max-rate", "1", "--quiet"]
    message = run(capsys, *words, status=1)
    assert "SimulationError" in message and "more than max_rate = 1 Hz" in message


def test_wrong_options_end_with_2(capsys):
    for arguments in (["fly"], [], ["run", "brunel"], ["run", "brunel", "--duration", "long"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_plot_writes_a_picture(here, capsys):
    run(capsys, "my_net.py", "--duration", "100", "--out", "a")
    assert main(["plot", "a"]) == 0
    assert main(["plot", "a", "-o", "part.png", "--window", "20", "60"]) == 0
    for picture in ("a/raster.png", "part.png"):
        assert Path(picture).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "raster.png" in capsys.readouterr().out
    assert main(["plot", "a", "-o", "\udc80.png"]) == 0  # a name that no terminal can show
    assert "\\udc80.png" in capsys.readouterr().out


def test_plot_of_nothing_ends_with_2(here, capsys):
    assert main(["plot", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_doctor_is_well(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for words in ("jax", "cores", "CPU kernels", "spiked", "all is well"):
        assert words in out


def test_package_runs_as_a_module(here):
    def call(*arguments):
        command = [sys.executable, "-m", "distdyn", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False
        )

    assert call("--version").stdout == f"distdyn {dd.__version__}\n"
    assert call("run", "microcircit", "--duration", "1").returncode == 2
    done = call("run", "my_net.py:Pair", "--duration", "10", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)) == KEYS

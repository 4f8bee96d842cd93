"""python -m partition: tables, JSON, files, and wrong input with exit status 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from partition import load
from partition.__main__ import __doc__ as manual
from partition.__main__ import main

EXAMPLE = manual[manual.index("    {\n") : manual.index("Left out:")]


@pytest.fixture
def sizes(tmp_path):
    path = tmp_path / "sizes.json"
    path.write_text(EXAMPLE)
    return path


def test_the_example_of_the_manual_is_planned_and_saved(sizes, tmp_path, capsys):
    file = tmp_path / "who.npz"
    assert main([str(sizes), "--parts", "8", "--save", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["neurons"] == 100_000 and told["populations"] == ["E", "I"]
    assert told["parts"]["synapses"]["mean"] == pytest.approx(3.2e7 / 8)
    assert told["cut"]["device"]["synapses"] == pytest.approx(7 / 8, abs=0.01)
    assert told["digest"] == load(file).digest()
    assert main(["show", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == told["digest"]


def test_it_runs_as_a_program_that_knows_nothing_of_distdyn(sizes):
    probe = (
        "import sys, partition.__main__ as m; s = m.main(sys.argv[1:]);"
        "assert not {'jax', 'distdyn', 'mpi4py'} & set(sys.modules); sys.exit(s)"
    )
    command = [sys.executable, "-c", probe, str(sizes), "--ranks", "2", "--devices", "2"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert "100,000 neurons of 2 populations, 1 node, 2 ranks, 4 parts" in done.stdout
    assert "max/mean" in done.stdout and "bytes/exchange" in done.stdout


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "is not JSON"),
        ("[]", 'has no "populations"'),
        ('{"populations": {"E": {"size": 1.5}}}', "1.5 is not a whole number"),
        ('{"populations": {"E": {"size": -1}}}', "size = -1"),
        ('{"populations": {"E": {"size": "many"}}}', "'many' is not a number"),
        ('{"populations": {"E": {"n": 1}}}', "Give size"),
        ('{"populations": {"E": {"size": 1, "rat": 3}}}', "possible are area, block, rate, size"),
        ('{"populations": {"E": {"size": 1}}, "projections": {}}', "is not a list"),
        (
            '{"populations": {"E": {"size": 1}}, '
            '"projections": [{"pre": "E", "post": "X", "synapses": 1}]}',
            "the populations are E",
        ),
    ],
)
def test_wrong_input_is_one_message_and_exit_status_2(tmp_path, capsys, text, message):
    path = tmp_path / "sizes.json"
    path.write_text(text)
    assert main([str(path), "--parts", "2"]) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


def test_wrong_arguments_are_refused(sizes, tmp_path, capsys):
    assert main([str(sizes), "--parts", "2", "--ranks", "2"]) == 2
    assert main([str(sizes), "--parts", "0"]) == 2
    assert main([str(tmp_path / "nowhere.json")]) == 2
    assert main(["show", str(sizes)]) == 2
    assert "is not a decomposition" in capsys.readouterr().err

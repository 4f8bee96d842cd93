"""`distdyn sbatch`: the script of a run, with memory and time that fit it."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from distdyn import cli, jobscript
from distdyn.cli import main
from distdyn.commands import sbatch
from distdyn.errors import ParameterError
from distdyn.network.network import graph
from distdyn.zoo import by_name

RUN = ["brunel", "--set", "n=1000", "--duration", "100"]


def written(capsys, *words, status=0):
    assert main(["sbatch", *words]) == status
    out, error = capsys.readouterr()
    return out if status == 0 else error


def directives(text):
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", text, re.M))


def run_of(text):
    """The words that the script gives to `distdyn run` when it has no arguments."""
    (line,) = re.findall(r"^    set -- (.*)$", text.split("SLURM_RESTART_COUNT")[0], re.M)
    shell = subprocess.run(["bash", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True)
    return shell.stdout.splitlines()


def test_the_options_of_the_run_go_to_the_run(capsys):
    run = [*RUN, "--record", "E.spikes", "E.V@1", "--seed", "3"]
    text = written(capsys, *RUN, "--nodes", "2", *run[len(RUN) :], "--ranks-per-node=8")
    assert run_of(text) == run
    asked = directives(text)
    assert (asked["nodes"], asked["ntasks-per-node"], asked["cpus-per-task"]) == ("2", "8", "1")
    assert asked["signal"] == "B:USR1@300" and asked["open-mode"] == "append"
    assert "--mpi=pmix" in text and "#SBATCH --requeue" in text


def test_words_with_spaces_and_quotes_stay_what_they_are(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my net.py").write_text(
        "import distdyn as dd\n"
        "class Net(dd.Network):\n"
        "    def __init__(self, text=''):\n"
        "        self.E = dd.Population(5, dd.LIF())\n"
    )
    value = "text=it's $HOME {name} `date`"
    text = written(capsys, "my net.py:Net", "--set", value, "--duration", "1")
    assert run_of(text)[:3] == ["my net.py:Net", "--set", value]


def test_site_and_mpi_are_written_where_they_are_given(capsys):
    text = written(
        capsys, *RUN, "--partition", "long", "--account", "p-12", "--nodes", "2", "--mpi", "pmi2"
    )
    assert directives(text)["partition"] == "long" and directives(text)["account"] == "p-12"
    assert "srun --mpi=pmi2 " in text
    assert "##SBATCH --partition=PARTITION" in written(capsys, *RUN)


def test_gpus(capsys):
    text = written(capsys, *RUN, "--gpus-per-node", "4", "--cpus-per-rank", "8")
    assert directives(text)["gres"] == "gpu:4" and "--gpu-bind=none" in text
    assert run_of(text)[-2:] == ["--platform", "gpu"]
    again = written(capsys, *RUN, "--platform=gpu", "--gpus-per-node", "4")
    assert run_of(again)[-1] == "--platform=gpu"


def test_array(capsys):
    text = written(capsys, *RUN, "--array", "0-9%2")
    assert directives(text)["array"] == "0-9%2" and "%A_%a" in directives(text)["output"]
    assert '--seed "$SLURM_ARRAY_TASK_ID"' in text
    assert "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" in text


def test_output_is_a_script_that_is_not_overwritten(capsys, tmp_path):
    file = tmp_path / "job.sh"
    assert written(capsys, *RUN, "--output", str(file)) == ""
    assert os.access(file, os.X_OK) and run_of(file.read_text()) == RUN
    subprocess.run(["bash", "-n", file], check=True)
    assert "there is a file already" in written(capsys, *RUN, "--output", str(file), status=2)
    nowhere = str(tmp_path / "no" / "job.sh")
    assert "cannot be written" in written(capsys, *RUN, "--output", nowhere, status=2)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--nodes", "0"], "--nodes 0"),
        (["--ranks-per-node", "-1"], "--ranks-per-node -1"),
        (["--gpus-per-node", "4", "--ranks-per-node", "3"], "one per GPU"),
        (["--time", "soon"], "1:30:00"),
        (["--time", "1:2:3"], "1:30:00"),
        (["--mem", "lots"], "--mem"),
        (["--array", "a-b"], "0-99%10"),
        (["--array", "0-3", "--seed", "1"], "Leave --seed out"),
        (["--array", "0-3", "--out=a"], "Leave --out out"),
        (["--partition", "a\nrm -r ."], "partition"),
        (["--name", "a b"], "--name"),
        (["--set", "m=3"], "no argument"),
        (["--warmup", "inf"], "--warmup inf"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_what_cannot_be_is_refused_in_one_line(capsys, words, message):
    error = written(capsys, *RUN, *words, status=2)
    assert message in error and len(error.splitlines()) == 1


def test_an_option_that_nobody_knows_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["sbatch", *RUN, "--node", "2"])
    assert caught.value.code == 2


def test_what_is_given_wins_over_what_is_expected(capsys):
    text = written(capsys, *RUN, "--mem", "3G", "--time", "2-12")
    assert directives(text)["mem"] == "3G" and directives(text)["time"] == "2-12"


def test_more_nodes_need_less_of_each(capsys):
    run = ["microcircuit", "--duration", "1000000", "--cpus-per-rank", "4"]
    one, eight = (directives(written(capsys, *run, "--nodes", n)) for n in ("1", "8"))
    assert gib(one) > gib(eight)
    assert minutes(one) > 2 * minutes(eight)


def gib(asked):
    return int(asked["mem"].removesuffix("G"))


def minutes(asked):
    days, _, clock = asked["time"].rpartition("-")
    hours, minutes, _ = map(int, clock.split(":"))
    return (24 * int(days or 0) + hours) * 60 + minutes


def plan(**options):
    given = {"devices": None, "dt": 0.1, "precision": "float32"} | options
    job = jobscript.Job(("brunel",), nodes=2, ranks_per_node=2, cpus_per_rank=4)
    network = graph(by_name("brunel")(n=50_000))
    return sbatch.plan_of(job, network, argparse.Namespace(**given))


def test_time_is_that_of_the_slowest_part_with_a_factor():
    of = plan()
    stepping = of.work.max() * 1000 + 1e7 * sbatch.STEP
    build = of.synapses.max() * sbatch.BUILD
    assert sbatch.seconds_for(of, 1e6) == pytest.approx(3 * (sbatch.START + build + stepping))
    assert sbatch.seconds_for(of, 1.0) == sbatch.LEAST


def test_memory_is_that_of_the_fullest_node():
    of = plan()
    nodes = of.per_rank.reshape(2, 2).sum(axis=1)
    assert sbatch.bytes_for(of) == pytest.approx(1.25 * nodes.max())


def test_the_plan_has_the_devices_that_the_run_will_have():
    assert plan().topology.devices == 4
    assert plan(devices="2").topology.devices == 2


def test_what_does_not_fit_is_the_error_of_the_plan(capsys):
    error = written(capsys, "microcircuit", "--duration", "1", "--mem", "1G", status=2)
    assert "CapacityError" in error and "ranks" in error and len(error.splitlines()) == 1


def test_slurm_reads_what_we_write():
    assert sbatch.slurm_time(601) == "00:15:00"
    assert sbatch.slurm_time(86400 + 7200) == "1-02:00:00"
    assert sbatch.slurm_bytes("3G") == 3 * 2**30 and sbatch.slurm_bytes("512") == 2**29
    assert sbatch.slurm_memory(1) == "1G" and sbatch.slurm_memory(2**31 + 1) == "3G"


def test_job_checks_itself():
    with pytest.raises(ParameterError, match="nodes"):
        jobscript.Job(("coba",), nodes=0)


def test_no_option_has_two_meanings():
    # argparse would refuse to build the parser: the options of run and of the job are one command
    assert cli.parser().parse_args(["sbatch", *RUN]).nodes == 1


def test_a_run_survives_the_signal_of_its_script(tmp_path):
    command = [sys.executable, "-m", "distdyn", "run", "coba", "--set", "n=100", "--json"]
    command += ["--duration", "20000", "--progress", "lines", "--record", "none"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        run.stdout.readline()  # the banner: it has started
        run.send_signal(signal.SIGUSR1)
        out, error = run.communicate(timeout=100)
    finally:
        run.kill()
    assert run.returncode == 0 and json.loads(out.splitlines()[-1])["duration"] == 20000.0
    assert "SIGUSR1" in error

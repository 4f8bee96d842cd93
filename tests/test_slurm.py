"""The scripts of slurm/ do what they say, under stand-ins for sbatch, srun and scontrol.

The stand-ins start as many tasks as the directives of the script ask for, with the variables that
Slurm gives them. `distdyn` is a stand-in too, which notes how it was called and ends as told.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import distdyn as dd
from distdyn import cli, jobscript

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path.name for path in (ROOT / "slurm").glob("*.sbatch"))
by_script = pytest.mark.parametrize("script", SCRIPTS)
OTHERS = ("sweep.sbatch", "train.sbatch")
of_runs = pytest.mark.parametrize("script", [name for name in SCRIPTS if name not in OTHERS])

SBATCH = """\
import os, re, shutil, sys
text = open(sys.argv[1]).read()
shutil.copy(sys.argv[1], "spooled")  # as Slurm does: the script does not know where it came from
given = dict(re.findall(r"^#SBATCH --([\\w-]+)(?:=(\\S+))?$", text, re.M))
job = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": given["job-name"], "SLURM_SUBMIT_DIR": os.getcwd(),
       "SLURM_JOB_NUM_NODES": given["nodes"], "SLURM_CPUS_PER_TASK": given["cpus-per-task"],
       "SLURM_NTASKS": str(int(given["nodes"]) * int(given["ntasks-per-node"]))}
if "array" in given:
    job |= {"SLURM_ARRAY_JOB_ID": "4700", "SLURM_ARRAY_TASK_ID": "7",
            "SLURM_ARRAY_TASK_COUNT": "10", "SLURM_ARRAY_TASK_MIN": "0"}
os.execvpe("bash", ["bash", "spooled", *sys.argv[2:]], os.environ | job)
"""

SRUN = """\
import os, signal, subprocess, sys
n = int(os.environ["SLURM_NTASKS"])
first = next(k for k, word in enumerate(sys.argv[1:], 1) if not word.startswith("--"))
open("srun.log", "w").write("\\n".join([*sys.argv[1:first], os.environ["SRUN_CPUS_PER_TASK"]]))
tasks = []
signal.signal(signal.SIGUSR1, lambda *_: [task.send_signal(signal.SIGUSR1) for task in tasks])
for k in range(n):
    task = {"SLURM_PROCID": str(k), "SLURM_STEP_NUM_TASKS": str(n), "SLURM_LOCALID": "0"}
    tasks.append(subprocess.Popen(sys.argv[first:], env=os.environ | task))
codes = [task.wait() for task in tasks]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""

SCONTROL = """\
import sys
open("scontrol.log", "a").write(" ".join(sys.argv[1:]) + "\\n")
"""

# Ends with END; if it waits, USR1 makes it end (with 75 if it is told to).
DISTDYN = """\
#!/usr/bin/env bash
rank=$SLURM_PROCID
printf '%s\\n' "$@" > "rank$rank.args"
told=
trap 'told=1; echo x >> "rank$rank.usr1"' USR1
touch "rank$rank.ready"
if [ -n "${WAIT:-}" ]; then
    while [ ! -e go ]; do sleep 0.02; done
fi
exit "${END:-0}"
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A directory, with a space in its name, on a machine where there is only our Slurm."""
    programs, home = tmp_path / "bin", tmp_path / "my project"
    programs.mkdir()
    home.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "scontrol": SCONTROL}.items():
        code = tmp_path / f"{name}.py"
        code.write_text(text)  # Python's own path may have a space, which #! cannot
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" "{code}" "$@"\n')
    (programs / "distdyn").write_text(DISTDYN)
    for program in programs.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    for name in [name for name in os.environ if name.startswith(("SLURM_", "SRUN_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(home)
    yield home
    while JOBS:
        end(JOBS.pop())


JOBS = []


def end(job):
    if job.poll() is None:
        os.killpg(job.pid, signal.SIGKILL)
    job.communicate()


def submit(script, *arguments, **variables):
    command = ["sbatch", str(ROOT / "slurm" / script), *arguments]
    job = subprocess.Popen(
        command,
        env=os.environ | variables,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    JOBS.append(job)
    return job


def status(job):
    job.communicate(timeout=30)
    return job.returncode


def ranks(script):
    job = jobscript.EXAMPLES[script]
    return job.nodes * job.ranks_per_node


def words(rank=0):
    return Path(f"rank{rank}.args").read_text().splitlines()


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def all_have(script, suffix):
    return lambda: all(Path(f"rank{k}.{suffix}").exists() for k in range(ranks(script)))


def test_the_files_are_what_the_command_writes():
    assert SCRIPTS == sorted(jobscript.EXAMPLES)
    for name, job in jobscript.EXAMPLES.items():
        text = (ROOT / "slurm" / name).read_text()
        assert text == jobscript.script(job, file=f"slurm/{name}"), f"slurm/{name} is out of date"
        assert os.access(ROOT / "slurm" / name, os.X_OK)


@by_script
def test_bash_understands_it(script):
    subprocess.run(["bash", "-n", ROOT / "slurm" / script], check=True)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@by_script
def test_shellcheck_has_nothing_to_say(script):
    subprocess.run(["shellcheck", "-e", "SC1091", ROOT / "slurm" / script], check=True)


@by_script
def test_every_task_runs_the_same(script, site):
    assert status(submit(script)) == 0
    assert all_have(script, "args")()
    assert not Path(f"rank{ranks(script)}.args").exists()
    assert len({tuple(words(k)) for k in range(ranks(script))}) == 1


@of_runs
def test_what_it_runs_is_a_command_of_ours(script, site):
    assert status(submit(script)) == 0
    run, *given = words()
    assert run == "run"
    options = cli.parser().parse_args(["run", *given])
    assert options.network == "microcircuit" and options.devices == "auto"
    is_gpu = script.startswith("gpu")
    assert options.platform == ("gpu" if is_gpu else None)
    job = "4700_7" if script.startswith("array") else "4711"
    assert options.out == f"runs/distdyn-{job}"
    assert options.seed == (7 if script.startswith("array") else 0)
    assert not options.overwrite and options.resume == "auto"


@of_runs
def test_arguments_take_the_place_of_its_run(script, site):
    assert status(submit(script, "my_net.py:Net", "--set", "name=a b", "--duration", "5")) == 0
    options = cli.parser().parse_args(words())
    assert (options.network, options.set, options.duration) == ("my_net.py:Net", ["name=a b"], 5.0)


@pytest.mark.parametrize("given", [(), ("evidence", "--epochs", "3")])
@pytest.mark.parametrize("start", [0, 1])
def test_a_training_is_kept_and_goes_on_with_the_same_words(given, start, site):
    assert status(submit("train.sbatch", *given, SLURM_RESTART_COUNT=str(start))) == 0
    options = cli.parser().parse_args(words())
    assert (options.task, options.epochs) == (("evidence", 3) if given else ("yinyang", None))
    assert options.checkpoint == "runs/distdyn-4711.h5" and options.resume is None


@pytest.mark.parametrize("given", [(), ("LIF", "--grid", "I_e=0:1:2", "--duration", "5")])
def test_a_job_of_a_sweep_has_its_share_of_one_table(given, site):
    assert status(submit("sweep.sbatch", *given)) == 0
    options = cli.parser().parse_args(words())
    assert (options.system, len(options.grid)) == (("LIF", 1) if given else ("brunel", 2))
    assert (options.out, options.devices, options.seed) == ("runs/sweep-4700.h5", "auto", 0)
    assert options.share is None and not options.overwrite  # Slurm's variables say which


@by_script
def test_srun_binds_each_task_to_its_cores(script, site):
    status(submit(script))
    *options, cpus = Path("srun.log").read_text().splitlines()
    assert cpus == str(jobscript.EXAMPLES[script].cpus_per_rank), "srun would give one core"
    assert "--cpu-bind=cores" in options
    assert ("--mpi=pmix" in options) == (ranks(script) > 1)
    assert ("--gpu-bind=none" in options) == script.startswith("gpu")
    directives = (ROOT / "slurm" / script).read_text()
    assert "#SBATCH --gpus-per-task" not in directives
    assert ("#SBATCH --gres=gpu:4" in directives) == script.startswith("gpu")


@by_script
def test_75_asks_for_another_start(script, site):
    assert status(submit(script, END="75")) == 75
    job = "4700_7" if script.startswith(("array", "sweep")) else "4711"
    assert Path("scontrol.log").read_text() == f"requeue {job}\n"


@pytest.mark.parametrize("code", [0, 1, 2, 130, 138, 143])
def test_every_other_status_is_final(code, site):
    assert status(submit("cpu_mpi.sbatch", END=str(code))) == code
    assert not Path("scontrol.log").exists()


@by_script
def test_the_signal_reaches_every_rank_and_the_script_goes_on_waiting(script, site):
    job = submit(script, WAIT="1", END="75")
    wait_for(all_have(script, "ready"))
    for times in (1, 2):

        def told(times=times):
            # The script alone is told, as --signal=B: says; and it is told until it has heard:
            # Bash forgets a signal that comes before it is done with the one before.
            os.kill(job.pid, signal.SIGUSR1)
            time.sleep(0.2)
            heard = [Path(f"rank{k}.usr1") for k in range(ranks(script))]
            return all(path.exists() and path.read_text().count("x") >= times for path in heard)

        wait_for(told)
    assert job.poll() is None, "the script left its ranks"
    Path("go").touch()
    assert status(job) == 75
    assert "requeue" in Path("scontrol.log").read_text()


def test_ranks_that_die_of_the_signal_are_not_started_again(site):
    stand_in = Path(shutil.which("distdyn"))
    stand_in.write_text(stand_in.read_text().replace("trap", "# trap"))
    job = submit("cpu_mpi.sbatch", WAIT="1")
    wait_for(all_have("cpu_mpi.sbatch", "ready"))
    os.kill(job.pid, signal.SIGUSR1)
    assert status(job) == 128 + signal.SIGUSR1
    assert not Path("scontrol.log").exists()


def test_a_job_that_is_started_again_has_the_same_words(site):
    status(submit("cpu_mpi.sbatch"))
    first = words()
    status(submit("cpu_mpi.sbatch", SLURM_RESTART_COUNT="1"))
    assert words() == first


def test_the_environment_beside_it_is_used(site):
    active = site / ".venv" / "bin"
    active.mkdir(parents=True)
    (active / "activate").write_text(f'PATH="{active}:$PATH"\n')
    shutil.move(shutil.which("distdyn"), active / "distdyn")
    assert status(submit("cpu_mpi.sbatch")) == 0 and words()


def test_without_distdyn_it_says_so(site):
    Path(shutil.which("distdyn")).unlink()
    job = submit("cpu_mpi.sbatch")
    assert "activate its environment" in job.communicate(timeout=30)[1]
    assert job.returncode == 1 and not Path("srun.log").exists()


MPI_SRUN = """\
import os, sys
first = next(k for k, word in enumerate(sys.argv[1:], 1) if not word.startswith("--"))
mpirun = [{mpirun!r}, "-n", os.environ["SLURM_NTASKS"], *sys.argv[first:]]
os.execv(mpirun[0], mpirun)
"""


@pytest.mark.slow
@pytest.mark.mpi
def test_a_real_run_of_two_ranks(site):
    mpirun = Path(sys.executable).with_name("mpirun")
    programs = Path(shutil.which("srun")).parent
    (programs / "srun").write_text(f"#!{sys.executable}\n" + MPI_SRUN.format(mpirun=str(mpirun)))
    (programs / "distdyn").write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m distdyn "$@"\n'
    )
    run = ["coba", "--set", "n=400", "--duration", "20"]
    assert cli.main(["sbatch", *run, "--nodes", "2", "--output", "job.sh"]) == 0
    job = subprocess.run(["sbatch", "job.sh"], capture_output=True, text=True, timeout=200)
    assert job.returncode == 0, job.stderr
    assert "2 ranks" in job.stdout
    assert dd.load("runs/distdyn-4711").duration == 20.0
    again = subprocess.run(["sbatch", "job.sh"], capture_output=True, text=True, timeout=200)
    assert again.returncode == 2 and "overwrite" in again.stderr, "a run is not replaced unasked"
    assert not Path("scontrol.log").exists()

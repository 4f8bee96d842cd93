"""Start several ranks from a test: `ranks(n, script)` under the mpirun of this environment.

The test's own process never loads MPI: an MPI library that sees itself inside another job starts
no second one. What was started is gone when the call returns, however it ends.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
MPIRUN = Path(sys.executable).with_name("mpirun")  # never the first one on PATH: it may be foreign
# For scripts that need no model: the package without its face, which loads JAX (a second a rank).
LIGHT = f"""
import sys, types
face = types.ModuleType("distdyn")
face.__path__ = [{str(ROOT / "distdyn")!r}]
sys.modules["distdyn"] = face
"""
FOREIGN = ("PMI", "OMPI_COMM_", "MPI_", "HYD", "SLURM", "DISTDYN", "JAX_NUM_CPU", "XLA_FLAGS")


class Ended(NamedTuple):
    """How a job ended."""

    code: int
    out: str
    err: str
    seconds: float


class Job:
    """A job that runs; `wait` ends it at its limit."""

    def __init__(self, command: list[str], env: dict[str, str], cwd: Path) -> None:
        self.began = time.monotonic()
        self.files = [open(cwd / f"job.{name}", "w+") for name in ("out", "err")]
        self.process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=self.files[0],
            stderr=self.files[1], start_new_session=True,
        )  # fmt: skip

    def output(self) -> str:
        """What it has printed so far."""
        return Path(self.files[0].name).read_text()

    def wait(self, limit: float) -> Ended:
        """Its end; at the limit all its processes are killed and the test fails."""
        try:
            code = self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.kill()
            out, err = (Path(file.name).read_text()[-3000:] for file in self.files)
            pytest.fail(f"the job did not end within {limit:g} s\n{out}\n{err}")
        seconds = time.monotonic() - self.began
        out, err = (Path(file.name).read_text() for file in self.files)
        return Ended(code, out, err, seconds)

    def kill(self) -> None:
        """End mpirun and all ranks, stopped ones too: ranks are in the session, not the group."""
        for pid in session(self.process.pid, is_alive=self.process.poll() is None):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for file in self.files:
            file.close()


def session(leader: int, is_alive: bool) -> list[int]:
    """The processes of the leader's session, and their descendants: mpirun may open new ones."""
    rows = subprocess.run(
        ["ps", "-eo", "pid=,ppid=,sid="], capture_output=True, text=True, timeout=10, check=True
    ).stdout.split("\n")
    table = [tuple(map(int, row.split())) for row in rows if row.strip()]
    found = {pid for pid, _, sid in table if sid == leader} | ({leader} if is_alive else set())
    while True:
        more = {pid for pid, parent, _ in table if parent in found} - found
        if not more:
            return sorted(found)
        found |= more


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """This environment without variables of launchers and devices; the checkout on the path."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
    return env | {"PYTHONUNBUFFERED": "1"} | (extra or {})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """`start(n, script, *arguments, env=, light=)` begins a job and returns it at once.

    `script` is the text of a Python script, or a list of words: the arguments of `python`, such as
    `["-m", "distdyn", "run", ...]`. `light` leaves out the public face: `from distdyn.parallel...`
    works, `import distdyn as dd` is empty. `n = None` starts a plain process without mpirun.
    """
    jobs: list[Job] = []

    def begin(
        n: int | None,
        script: str | Sequence[str],
        *arguments: str,
        env: dict[str, str] | None = None,
        light: bool = False,
    ) -> Job:
        folder = tmp_path / f"job{len(jobs)}"
        folder.mkdir()
        if isinstance(script, str):
            file = folder / "script.py"
            file.write_text((LIGHT if light else "") + script)
            words = [str(file), *arguments]
        else:
            words = [*script, *arguments]
        command = [sys.executable, *words]
        if n is not None:
            if not MPIRUN.exists():
                pytest.skip("this environment has no mpirun: pip install mpich")
            command = [str(MPIRUN), "-n", str(n), *command]
        jobs.append(Job(command, environment(env), folder))
        return jobs[-1]

    yield begin
    for job in jobs:
        job.kill()


@pytest.fixture
def ranks(start: Callable[..., Job]) -> Callable[..., Ended]:
    """`ranks(n, script, *arguments, env=, light=, limit=60, ok=True)` runs a job to its end.

    With `ok` a job that ends with another code than 0 fails the test and shows what it printed.
    """

    def run(
        n: int | None,
        script: str | Sequence[str],
        *arguments: str,
        env: dict[str, str] | None = None,
        light: bool = False,
        limit: float = 60.0,
        ok: bool = True,
    ) -> Ended:
        ended = start(n, script, *arguments, env=env, light=light).wait(limit)
        if ok and ended.code:
            pytest.fail(f"exit code {ended.code}\n{ended.out[-3000:]}\n{ended.err[-6000:]}")
        return ended

    return run

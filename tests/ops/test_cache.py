"""Compiled kernels are kept in a private place of the node, and compiled there by one process."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import pytest
from numba import cfunc, njit, types

from distdyn.ops import cache

PROGRAM = """
import importlib.util, json, sys, time
from pathlib import Path
from numba import cfunc, njit, types
from numba.core import event

spec = importlib.util.spec_from_file_location("cache", sys.argv[3])  # without all of distdyn
cache = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cache)
cached, directory = cache.cached, cache.directory

@cached(njit)
def twice(x):
    return x + x

@cached(njit)
def four_times(x):
    return twice(twice(x))

Path(sys.argv[2] + ".ready").touch()
while not Path("go").exists():
    time.sleep(0.01)
number = {"int": int, "float": float}[sys.argv[1]](3)
with event.install_recorder("numba:compile") as recorder:
    answer = four_times(number)
    callback = cached(cfunc, types.float64(types.float64))(twice.py_func)
compiled = sum(event.is_start for _, event in recorder.buffer)
kept = len(list(directory().glob("*/*.nbc"))) if directory() else 0
print(json.dumps([answer, callback.ctypes(2.0), compiled, kept]))
"""

CLOSURES = """
import importlib.util, sys
from numba import cfunc, njit, types

spec = importlib.util.spec_from_file_location("cache", sys.argv[1])
cache = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cache)

def kernel(factor):
    @njit
    def inner(x):  # too long to be inlined
LINES
        return x

    name = f"times_{int(factor)}"
    source = compile(f"def {name}(x): return inner(x)", __file__, "exec")
    space = {"__name__": __name__, "inner": inner}
    exec(source, space)
    return cache.cached(cfunc, types.float64(types.float64))(space[name])

print([kernel(float(word)).ctypes(1.0) for word in sys.argv[2:]])
""".replace("LINES", "\n".join("        x = x * factor + 1.0 / (x + factor)" for _ in range(150)))


def test_closures_of_one_name_from_several_processes_do_not_mix(tmp_path):
    (tmp_path / "closures.py").write_text(CLOSURES)
    environment = os.environ | {"DISTDYN_CACHE": str(tmp_path / "cache")}

    def run(*factors):
        command = [sys.executable, "closures.py", cache.__file__, *factors]
        ended = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 0, ended.stderr
        return eval(ended.stdout)

    (double,), (triple,) = run("2"), run("3")
    assert double != triple
    assert run("2", "3") == [double, triple]
    assert run("3", "2") == [triple, double]


@pytest.fixture
def start(tmp_path):
    """Start a process that compiles three functions once the file `go` is there."""
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {k: v for k, v in os.environ.items() if k not in cache.JOBS}
    environment["DISTDYN_CACHE"] = str(tmp_path / "cache")
    started = []

    def start(kind, **variables):
        name = str(len(started))
        command = [sys.executable, "program.py", kind, name, cache.__file__]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment | variables, **pipes)
        started.append(process)
        while process.poll() is None and not (tmp_path / f"{name}.ready").exists():
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def answer(process):
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return eval(out)


def lock_of(tmp_path):
    (path,) = tmp_path.glob("cache/kernels-*/lock")
    return path.open("r+")


def test_processes_that_start_together_compile_once(start, tmp_path):
    processes = [start("int") for _ in range(3)]
    (tmp_path / "go").touch()
    answers = [answer(process) for process in processes]
    assert all(each[:2] == [12, 4.0] for each in answers)
    # Numba announces four_times and, inside it, twice; not the callback.
    assert sum(each[2] for each in answers) == 2, "each function is compiled by one of them"
    assert answer(start("int"))[2] == 0


def test_signatures_entered_together_do_not_mix(start, tmp_path):
    processes = [start(kind) for kind in ("int", "float", "int", "float")]
    (tmp_path / "go").touch()
    for process in processes:
        answer(process)
    for kind, expected in (("int", 12), ("float", 12.0)):
        result = answer(start(kind))
        assert result[0] == expected and type(result[0]) is type(expected) and result[2] == 0


def test_who_finds_nothing_waits_for_its_turn(start, tmp_path):
    process = start("int")
    with lock_of(tmp_path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (tmp_path / "go").touch()
        time.sleep(0.5)
        assert process.poll() is None and not list(tmp_path.glob("cache/*/*/*.nbc"))
    assert answer(process)[2] > 0


def test_who_finds_everything_does_not_wait(start, tmp_path):
    (tmp_path / "go").touch()
    answer(start("int"))
    with lock_of(tmp_path) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert answer(start("int"))[2] == 0


def test_a_damaged_file_is_replaced(start, tmp_path):
    (tmp_path / "go").touch()
    answer(start("int"))
    for path in tmp_path.glob("cache/*/*/*.nb?"):
        path.write_bytes(path.read_bytes()[:40])
    assert answer(start("int"))[2] > 0
    assert answer(start("int"))[2] == 0


def test_without_a_place_everything_works_and_nothing_is_kept(start, tmp_path):
    (tmp_path / "go").touch()
    assert answer(start("int", DISTDYN_CACHE="/dev/null/no"))[3] == 0


def test_an_error_gives_the_turn_back(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTDYN_CACHE", str(tmp_path))
    cache.directory.cache_clear()
    try:
        broken = cache.cached(njit)(lambda x: x.no_such_thing)
        with pytest.raises(numba.TypingError):
            broken(1)
        turn = cache._turn(cache.directory())
        assert not turn.is_ours
        assert numba.core.config.CACHE_DIR != str(cache.directory()), "other people's code stays"
    finally:
        cache.directory.cache_clear()


def test_callbacks_are_compiled_at_once():
    callback = cache.cached(cfunc, types.int64(types.int64))(_successor)
    assert callback.ctypes(4) == 5


def _successor(x):
    return x + 1


HOME = {"HOME": "/home/ada", "XDG_CACHE_HOME": "", "TMPDIR": "/local/7"}


@pytest.mark.parametrize(
    "environment, first",
    [
        (HOME, "/home/ada/.cache/distdyn"),
        (HOME | {"XDG_CACHE_HOME": "/xdg"}, "/xdg/distdyn"),
        (HOME | {"SLURM_JOB_ID": "3"}, f"/local/7/distdyn-{os.getuid()}"),
        (HOME | {"PBS_JOBID": "3", "SLURM_TMPDIR": "/s"}, f"/s/distdyn-{os.getuid()}"),
        ({"SLURM_JOB_ID": "3"}, f"/tmp/distdyn-{os.getuid()}"),
        (HOME | {"SLURM_JOB_ID": "3", "DISTDYN_CACHE": "/mine"}, "/mine"),
        (HOME | {"NUMBA_CACHE_DIR": "/numba"}, "/numba"),
    ],
)
def test_the_place_is_on_the_node_inside_a_job(environment, first):
    assert next(cache.places(environment)) == Path(first)


def place(monkeypatch, home):
    monkeypatch.setattr(os, "environ", {"HOME": str(home), "TMPDIR": str(home / "tmp")})
    return cache.directory.__wrapped__()


def test_the_directory_is_private(monkeypatch, tmp_path):
    path = place(monkeypatch, tmp_path)
    assert path.is_relative_to(tmp_path / ".cache" / "distdyn")
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent)] == [0o700, 0o700]


def test_a_place_that_others_may_write_is_not_trusted(monkeypatch, tmp_path):
    open_to_all = tmp_path / ".cache" / "distdyn"
    open_to_all.mkdir(parents=True)
    open_to_all.chmod(0o777)
    assert place(monkeypatch, tmp_path).is_relative_to(tmp_path / "tmp")


def test_code_of_other_versions_is_thrown_away_after_a_month(monkeypatch, tmp_path):
    base = tmp_path / ".cache" / "distdyn"
    for name in ("kernels-old", "kernels-new", "other"):
        (base / name).mkdir(parents=True)
    base.chmod(0o700)
    for name in ("kernels-old", "other"):
        os.utime(base / name, (0, 0))
    path = place(monkeypatch, tmp_path)
    assert {p.name for p in base.iterdir()} == {"kernels-new", "other", path.name}

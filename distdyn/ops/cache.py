"""Where compiled kernels are kept: a directory of this node, in which each is compiled once.

    kernel = cached(njit, nogil=True)(function)

Numba keeps machine code beside the source. On a cluster that is a file system that all nodes share,
with processors of several kinds. Here it is a directory of the user alone, for one processor, one
version of everything and one state of these sources. `DISTDYN_CACHE` names another place; without a
writable one, nothing is kept.

Numba's files are replaced as a whole, but two processes that enter different signatures of one
function at the same time choose the same file for both, and one would later run the code of the
other. Hence the turn: what is missing is compiled and entered by one process at a time, while the
others wait and then find it. What is there is read without waiting.

Inside one process a name stands for one piece of code: of two that bring the same name, the linker
keeps the first for both. Numba tells closures of one name apart by counting the functions that a
process compiles, from 1 in each of them. Hence here every process counts from a place of its own.
"""

# Numba is typed loosely:
# pyright: reportAttributeAccessIssue=false

import fcntl
import functools
import hashlib
import itertools
import os
import platform
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
from numba import cfunc
from numba.core import config, event, sigutils
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc

# What batch systems set. In a job, the home directory is probably on another machine.
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "COBALT_JOBID", "JOB_ID")
PREFIX = "kernels-"
PATIENCE = 120.0  # seconds to wait for others in all; then compile, and keep nothing
POLL = 0.02  # seconds between two looks
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
UNUSED = 30 * 86400.0  # seconds after which the code of other versions is thrown away


def cached(decorate: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[Any], Any]:
    """Numba's `njit` or `cfunc` with these arguments, keeping what it compiles."""

    def decorated(function: Any) -> Any:
        path = directory()
        if path is None:
            return decorate(*arguments, **options)(function)
        with _numba_writes_to(path):
            store = _Store(function, _turn(path))
        if decorate is cfunc:  # compiles at once
            (signature,) = arguments
            signature = sigutils.normalize_signature(signature)
            compiled = CFunc(function, signature, locals={}, options=options)
            compiled._cache = store  # where Numba's own `enable_caching` puts it
            compiled.compile()
        else:
            compiled = decorate(*arguments, **options)(function)
            compiled._cache = store
        return compiled

    return decorated


def _count_apart() -> None:
    """Count the functions of this process where no other process counts its own."""
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(62))


_count_apart()
os.register_at_fork(after_in_child=_count_apart)


# --- the directory -------------------------------------------------------------------------------


@functools.cache
def directory() -> Path | None:
    """The directory of this process, made if need be; None if there is no place for one."""
    for base in places(os.environ):
        path = base / (PREFIX + _key())
        try:
            base.mkdir(mode=0o700, parents=True, exist_ok=True)
            is_new = not path.is_dir()
            path.mkdir(mode=0o700, exist_ok=True)
            if not _is_ours(path) or not (_is_ours(base) or base == named(os.environ)):
                continue
            with tempfile.TemporaryFile(dir=path) as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # some network file systems know no locks
            os.utime(path)  # in use
        except OSError:
            continue
        if is_new:
            _throw_away_unused(base)
        return path
    return None


def named(environment: Mapping[str, str]) -> Path | None:
    """The place that the user names."""
    for variable in ("DISTDYN_CACHE", "NUMBA_CACHE_DIR"):
        if environment.get(variable):
            return Path(environment[variable]).expanduser().resolve()
    return None


def places(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where the directory may be, in order: the first that works is used."""
    if place := named(environment):
        yield place
        return
    node = [environment.get("SLURM_TMPDIR"), environment.get("TMPDIR"), "/tmp"]
    of_the_node = [Path(path).resolve() / f"distdyn-{os.getuid()}" for path in node if path]
    if any(environment.get(name) for name in JOBS):
        yield from of_the_node
    if environment.get("XDG_CACHE_HOME"):
        yield Path(environment["XDG_CACHE_HOME"]).resolve() / "distdyn"
    elif environment.get("HOME"):
        yield Path(environment["HOME"]).resolve() / ".cache" / "distdyn"
    yield from of_the_node


def _is_ours(path: Path) -> bool:
    """Whether nobody else can put code there, which we would run."""
    found = path.stat(follow_symlinks=False)
    is_private = found.st_uid == os.geteuid() and not found.st_mode & WRITABLE_BY_OTHERS
    return stat.S_ISDIR(found.st_mode) and is_private


def _key() -> str:
    """What machine code depends on: the processor, the versions, and the sources of this room.

    Numba looks at the file of a function only; a kernel also holds code and constants of others.
    """
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    stamps = [(str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in sources]
    versions = platform.python_version(), numba.__version__, llvmlite.__version__
    processor = llvm.get_host_cpu_name()
    what = processor, versions, str(Path(__file__).parent), stamps
    return f"{processor}-{hashlib.sha256(repr(what).encode()).hexdigest()[:16]}"


def _throw_away_unused(base: Path) -> None:
    for path in base.glob(PREFIX + "*"):
        try:
            if time.time() - path.stat().st_mtime > UNUSED:
                shutil.rmtree(path, ignore_errors=True)
        except OSError:  # another process was faster
            continue


# --- one process at a time -----------------------------------------------------------------------


@contextmanager
def _numba_writes_to(path: Path) -> Iterator[None]:
    """Numba decides where to keep a function when it is decorated; other people's stay theirs."""
    before, config.CACHE_DIR = config.CACHE_DIR, str(path)
    try:
        yield
    finally:
        config.CACHE_DIR = before


class _Turn(event.Listener):
    """The right to compile and enter, held until Numba's outermost compilation is over.

    A lock on an open file: it ends with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._depth = 0  # compilations under way or waiting, of all threads
        self._guard = threading.Lock()
        self.is_ours = False
        self.waited = 0.0  # seconds

    def take(self) -> bool:
        """Take the turn if it is free; whether it is ours."""
        with self._guard:
            if not self.is_ours and self._depth:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self.is_ours = True
                except OSError:  # another process has it
                    pass
            return self.is_ours

    def wait(self) -> None:
        """Let others work for a moment."""
        time.sleep(POLL)
        self.waited += POLL

    def on_start(self, event: Any) -> None:
        with self._guard:
            self._depth += 1

    def on_end(self, event: Any) -> None:
        with self._guard:
            self._depth -= 1
            if self._depth == 0 and self.is_ours:
                fcntl.flock(self._file, fcntl.LOCK_UN)
                self.is_ours = False


@functools.cache
def _turn(path: Path) -> _Turn:
    turn = _Turn(path)
    event.register("numba:compiler_lock", turn)  # held by Numba from the look to the entry
    return turn


class _Store(FunctionCache):
    """Numba's cache of one function, whose entries are made in turn."""

    def __init__(self, function: Any, turn: _Turn) -> None:
        FunctionCache.__init__(self, function)
        self._turn = turn

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        turn = self._turn
        while True:
            is_final = turn.is_ours or turn.waited > PATIENCE
            found = self._look(sig, target_context)
            if found is not None or is_final:
                return found
            if not turn.take():
                turn.wait()

    def _look(self, sig: Any, target_context: Any) -> Any:
        try:
            return FunctionCache.load_overload(self, sig, target_context)
        except Exception:  # a damaged file is a missing one: it is replaced
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        if not self._turn.is_ours:
            return
        with suppress(OSError):  # no room: the code is used and not kept
            try:
                FunctionCache.save_overload(self, sig, data)
            except OSError:
                raise
            except Exception:  # a damaged index: begin anew
                for path in Path(self.cache_path).glob(self._impl.filename_base + ".*"):
                    path.unlink(missing_ok=True)
                FunctionCache.save_overload(self, sig, data)

"""One run per directory: the file `lock`, made by whoever creates it first.

It names its owner: process, host and when the process started. The lock of a process that no longer
lives on this host is taken over.
"""

import json
import os
import socket
import uuid
import weakref
from contextlib import suppress
from pathlib import Path

from distdyn.errors import RunDirectoryError


class Lock:
    """Holds the file `lock` in a directory until `release`, or until the process ends.

    Raises:
        RunDirectoryError: another run holds it, or the directory cannot be written.
    """

    def __init__(self, directory: Path, *, take_own: bool = False) -> None:
        """Take the lock.

        Args:
            directory: an existing directory.
            take_own: take it from an earlier run of this very process, too: a notebook cell that
                is run again still has the old runner.
        """
        self.path = directory / "lock"
        owner = _this_process()
        self._text = json.dumps(owner | {"token": uuid.uuid4().hex})
        while not _create(self.path, self._text):
            found = _read(self.path)
            if found is None:  # released in between
                continue
            holder = _parse(found)
            is_own = all(holder.get(key) == owner[key] for key in owner)
            if not (take_own and is_own) and _may_live(holder):
                raise RunDirectoryError(_busy(self.path, holder, is_own))
            _remove(self.path, found)
        self._finalizer = weakref.finalize(self, _release, self.path, self._text, os.getpid())

    @property
    def is_held(self) -> bool:
        """Whether the file is still ours."""
        return self._finalizer.alive and _read(self.path) == self._text

    def release(self) -> None:
        """Give the directory free; a second call does nothing."""
        self._finalizer()


def _this_process() -> dict:
    pid = os.getpid()
    return {"pid": pid, "host": socket.gethostname(), "started": _started(pid)}


def _started(pid: int) -> int | None:
    """When a process of this host started, in ticks since boot; None if that is not known.

    Tells a process from a later one with the same number.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rsplit(")", 1)[1].split()[19])  # the name, in parentheses, may hold anything


def _create(path: Path, text: str) -> bool:
    """Make the lock; False if there is one."""
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    try:
        with open(file, "w") as lock:
            lock.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(path.parent, error) from error
    return True


def _unwritable(directory: Path, error: OSError) -> RunDirectoryError:
    return RunDirectoryError(
        f'out: cannot write in "{directory}": {error.strerror}. Use another directory.'
    )


def _read(path: Path) -> str | None:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            return ""
        with open(path, errors="replace") as file:
            return file.read(1000)
    except FileNotFoundError:
        return None


def _parse(text: str) -> dict:
    try:
        holder = json.loads(text)
    except (ValueError, RecursionError):
        holder = None
    return holder if isinstance(holder, dict) else {}


def _may_live(holder: dict) -> bool:
    """Whether the process that holds a lock may still be running."""
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or type(pid) is not int or pid <= 0:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it lives and belongs to someone else
        return True
    return holder.get("started") in (None, _started(pid))


def _busy(path: Path, holder: dict, is_own: bool) -> str:
    if is_own:
        return (
            f'out: an earlier run of this process is still writing to "{path.parent}". Close its '
            "runner, or pass overwrite=True to replace it."
        )
    who = f"process {holder.get('pid', '?')} on host {holder.get('host', '?')}"
    return (
        f'out: {who} is writing to "{path.parent}". Use another directory, or wait for it; if that '
        f'process is dead, delete "{path}".'
    )


def _remove(path: Path, found: str) -> None:
    """Remove a lock, unless another process has taken it over in the meantime."""
    aside = path.with_name(f"lock-{uuid.uuid4().hex}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if _read(aside) != found:
        with suppress(OSError):
            os.link(aside, path)  # it was the other's lock: put it back
    aside.unlink()


def _release(path: Path, text: str, pid: int) -> None:
    if os.getpid() == pid and _read(path) == text:  # not in a forked child
        path.unlink(missing_ok=True)

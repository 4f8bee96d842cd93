"""Programs that take part in a benchmark: distdyn by its command line, a peer by its worker."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from peers.answering import ANSWERS
from peers.environments import ROOT, python_of

SCRIPTS = ROOT / "scripts"


class PeerError(RuntimeError):
    """A worker that ended before it answered; its own message is on stderr."""


class Worker:
    """A peer's program: it builds at once, and runs whenever it is asked.

    Args:
        peer: the name of its environment.
        program: `peers.PROGRAM_worker`; by default named as the environment.
        request: what its program is to build.

    Attributes:
        built: what it said about building.
    """

    def __init__(self, peer: str, program: str | None = None, **request: Any) -> None:
        self.peer, self.program, self.request = peer, program or peer, request
        self._start()

    def _start(self) -> None:
        peer = self.peer
        ours, theirs = os.pipe()  # beside stdout, where the peers greet
        python = python_of(peer)
        path = os.pathsep.join([os.path.dirname(python), os.environ.get("PATH", "")])
        self.process = subprocess.Popen(
            [python, "-m", f"peers.{self.program}_worker"],
            stdin=subprocess.PIPE,
            stdout=sys.stderr,
            text=True,
            cwd=SCRIPTS,
            env={**os.environ, "PATH": path, ANSWERS: str(theirs)},  # as if it were activated
            pass_fds=(theirs,),
        )
        os.close(theirs)
        self.answers = os.fdopen(ours)
        try:
            self.built = self._ask(self.request)
        except BaseException:
            self.close()
            raise

    def build_anew(self, **changed: Any) -> None:
        """Begin again, with something of the request changed."""
        self.close()
        self.request |= changed
        self._start()

    def run(self, **request: Any) -> dict:
        """Go on for the duration that was asked for; what it took, and the rates.

        Args:
            request: what the program wants to know of this run alone.
        """
        return self._ask(request)

    def _ask(self, question: dict) -> dict:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self.process.wait()
            raise PeerError(f"{self.peer} ended with {code} before it answered (see above).")
        return json.loads(line)

    def close(self) -> None:
        """End the program; it has then given its memory back."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.answers.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def program(
    peer: str, open_: ExitStack, *, is_rebuilt: bool = False, **request: Any
) -> Callable[[int], dict]:
    """A peer for `turns.take_turns`; what it says of a run has what it said of building in `built`.

    Args:
        peer: as in `Worker`.
        open_: closes it at last.
        is_rebuilt: whether it is built anew in each turn, with another seed, and gives its memory
            back before the others run; if not it is built now, and goes on where it was.
        request: as in `Worker`, with `seed`.
    """
    if not is_rebuilt:
        worker = open_.enter_context(Worker(peer, **request))
        return lambda _turn: worker.run() | {"built": worker.built}

    def build_and_run(turn: int) -> dict:
        with Worker(peer, **{**request, "seed": request["seed"] + turn}) as worker:
            return worker.run() | {"built": worker.built}

    return build_and_run


def run_distdyn(network: str, *, ranks: int = 1, **options: Any) -> dict:
    """What `distdyn run NETWORK --json` reports.

    Args:
        network: its name in the zoo.
        ranks: how many of MPI.
        options: of the command; `set` is a dict of the arguments of the network. None is left out.
    """
    words = [sys.executable, "-m", "distdyn", "run", network, "--json", "--quiet"]
    for name, value in (options.pop("set", None) or {}).items():
        words += ["--set", f"{name}={value}"]
    for name, value in options.items():
        words += [f"--{name}", str(value)] if value is not None else []
    if ranks > 1:
        words = [str(Path(sys.executable).with_name("mpirun")), "-n", str(ranks), *words]
    output = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(output.stdout.splitlines()[-1])

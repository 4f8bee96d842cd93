"""Damages files and mixes words of the command line at random: only listed errors may come of it.

    python tests/fuzz/fuzz.py --seconds 1800 --seed 3
    python tests/fuzz/fuzz.py --seed 3 --case 4711          # one of them again

Each case is a function of the seed and its number. A process of its own (`tests/run/judge.py`)
reads what was damaged; what kills it, keeps it longer than PATIENCE, takes more than MEMORY or is
no error of the list is told, and kept in --keep.
"""

import argparse
import json
import os
import random
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from partition import CommunicationGraph, Topology, decompose, save  # noqa: E402
from tests.fuzz import words  # noqa: E402
from tests.run import test_untrusted as known  # noqa: E402
from tests.run import written  # noqa: E402

PATIENCE = 60.0  # s, of a machine that does much else
MEMORY = 2e9  # bytes
NASTY = (
    b"\0", b"\xff" * 4, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\0" * 64, b"OHDR", b"TREE", b"GCOL",
)  # fmt: skip
VALUES = (
    None, True, -1, 0, 1, 1 << 31, 1 << 63, 1 << 64, 10**30, 1.5, -0.0, 1e308, float("nan"), "",
    float("inf"), "x", "../x", "/etc/passwd", "\0", "\x1b[31m", "\u202e", "x" * 5000, [], {}, [[]],
    ["E"], {"E": 1}, [None] * 100,
)  # fmt: skip


class Judge:
    """The process that reads; a new one after each that was lost."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen | None = None

    def ask(self, kind: str, what: str | list[str]) -> dict:
        """How a reading ended; an error that begins with UNLISTED is a finding."""
        if self.process is None:
            self._start()
        process = self.process
        assert process is not None and process.stdin and process.stdout
        process.stdin.write(json.dumps([kind, what]) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], PATIENCE)[0]:
            self.stop()
            return {"error": "UNLISTED hang", "text": f"longer than {PATIENCE} s"}
        line = process.stdout.readline()
        if not line:
            code = process.wait()
            self.stop()
            return {"error": "UNLISTED crash", "text": f"status {code}"}
        found = json.loads(line)
        if found["rss"] > MEMORY:
            self.stop()
            if kind != "cli":
                found["error"] = f"UNLISTED {found['rss'] / 1e9:.1f} GB"
        return found

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/run/judge.py")], cwd=self.folder, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        )  # fmt: skip
        assert self.process.stdout and self.process.stdout.readline() == "ready\n"

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            with self.process:  # waits, and closes the pipes
                self.process = None


# --- what is damaged -----------------------------------------------------------------------------


def originals(folder: Path) -> dict[str, Path]:
    """One file or directory of each kind."""
    found = {}
    for kind, (make, _) in known.FILES.items():
        if kind == "heidelberg":  # of others: arrays of variable length, in which HDF5 may hang
            continue
        (folder / kind).mkdir()
        found[kind] = make(folder / kind)[0]
    run = written.run(folder / "whole", stop=300)
    for step in (100, 200):
        written.checkpoint(run / "checkpoints", step)
    found["run"] = run
    pre = np.arange(50)
    (folder / "edges").mkdir()
    np.savez(folder / "edges/edges.npz", pre=pre, post=pre, weight=pre * 0.5)
    found["edges"] = folder / "edges/edges.npz"
    rows = "".join(f"{k},{k},0.5\n" for k in range(50))
    (folder / "edges/edges.csv").write_text(f"pre,post,weight\n{rows}")
    found["table"] = folder / "edges/edges.csv"
    graph = CommunicationGraph([80, 20], [16, 16], [], [8.0, 8.0])
    save(decompose(graph, Topology((0, 0), 1)), folder / "edges/d.npz")
    found["decomposition"] = folder / "edges/d.npz"
    return found


READERS = {
    "trace": ["recording"], "table": ["edges"], "run": ["recording", "verify"],
    "recording": ["recording", "verify"], "state": ["state", "verify"], "arrays": ["arrays"],
}  # fmt: skip


def damage(rng: random.Random, path: Path) -> None:
    """Change some bytes of a file."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 2, 5, 50))):
        n = max(1, len(content))
        at, size = rng.randrange(n), rng.randrange(1, 1 + min(n, 300))
        deed = rng.randrange(7)
        if deed == 0 and content:
            content[at % len(content)] ^= 1 << rng.randrange(8)
        elif deed == 1:
            content[at : at + 1] = rng.randbytes(1)
        elif deed == 2:
            nasty = rng.choice(NASTY)
            content[at : at + len(nasty)] = nasty
        elif deed == 3:
            content[at : at + size] = content[rng.randrange(n) :][:size]
        elif deed == 4:
            content[at:at] = rng.randbytes(size)
        elif deed == 5:
            del content[at : at + size]
        elif rng.random() < 0.3:
            del content[at:]
    path.write_bytes(content)


def replace(rng: random.Random, path: Path) -> None:
    """Change some values of a JSON file."""
    said = json.loads(path.read_text())
    for _ in range(rng.choice((1, 1, 2, 4))):
        inner = said
        while isinstance(inner, dict | list) and inner:
            key = rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
            if rng.random() < 0.3 or not isinstance(inner[key], dict | list) or not inner[key]:
                if rng.random() < 0.2:
                    del inner[key]
                else:
                    inner[key] = rng.choice(VALUES)
                break
            inner = inner[key]
    path.write_text(json.dumps(said))


def hide(rng: random.Random, path: Path) -> None:
    """Put something else in the place of an object of an HDF5 file."""
    import h5py

    with h5py.File(path, "r+") as file:
        names = []
        file.visit(names.append)
        name = rng.choice(names)
        old = file[name]
        old = old if isinstance(old, h5py.Dataset) and old.ndim else np.zeros(9)
        del file[name]
        trick = rng.choice([x for x in known.HIDDEN if x is not known.compressed])
        try:
            trick(file, name, old, path)
        except (OSError, ValueError, TypeError, RuntimeError, AttributeError):  # not possible here
            pass


def of_files(rng: random.Random, kind: str, path: Path) -> None:
    """Damage one or two files of what lies at a path."""
    files = [path] if path.is_file() else sorted(x for x in path.rglob("*") if x.is_file())
    for file in rng.sample(files, min(len(files), rng.choice((1, 1, 2)))):
        deeds: list[Callable] = [damage]
        deeds += {".json": [replace] * 3, ".h5": [hide]}.get(file.suffix, [])
        try:
            rng.choice(deeds)(rng, file)
        except (OSError, ValueError, KeyError, RuntimeError):  # an earlier deed was too much for it
            pass
    for manifest in path.rglob("manifest.json") if path.is_dir() else ():
        if rng.random() < 0.7:  # whoever damages on purpose says so in the manifest
            try:
                known.reseal(manifest.parent)
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                pass


# --- cases ---------------------------------------------------------------------------------------


class Fuzzer:
    """Cases by number, and what was found.

    Args:
        seed: of all of them.
        folder: for files.
        keep: where the files of a finding go; None: they are lost.
    """

    def __init__(self, seed: int, folder: Path, keep: Path | None = None) -> None:
        self.seed, self.folder, self.keep = seed, folder, keep
        (folder / "originals").mkdir()
        (folder / "here").mkdir()
        self.originals = originals(folder / "originals")
        self.judge = Judge(folder / "here")
        self.counts: Counter[str] = Counter()
        self.findings: list[str] = []

    def run(self, case: int) -> None:
        """One case."""
        rng = random.Random(f"{self.seed} {case}")
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        if rng.random() < 0.25:
            return self._judged(case, "cli", words.line(rng, self.originals), work)
        kind = rng.choice(list(self.originals))
        path = work / self.originals[kind].name
        copy = shutil.copytree if self.originals[kind].is_dir() else shutil.copy
        copy(self.originals[kind], path)
        of_files(rng, kind, path)
        for reader in READERS.get(kind, [kind]):
            self._judged(case, reader, str(path), work)
        if rng.random() < 0.1:
            other = str(self.originals[rng.choice(("run", "state", "recording"))])
            self._judged(case, "cli", words.about(rng, str(path), other), work)
        return None

    def _judged(self, case: int, kind: str, what: str | list[str], work: Path) -> None:
        found = self.judge.ask(kind, what)
        self.counts[f"{kind}: {found['error'] or 'read'}"] += 1
        if found["error"].startswith("UNLISTED"):
            text = found["text"][:500]
            self.findings.append(f"case {case}: {kind} {what}: {found['error']}: {text}")
            print(self.findings[-1], flush=True)
            if self.keep is not None:
                shutil.copytree(work, self.keep / f"{self.seed}-{case}", dirs_exist_ok=True)

    def close(self) -> None:
        self.judge.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="only this one")
    parser.add_argument("--keep", type=Path, help="where the files of findings go")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(options.seed, Path(folder), options.keep)
        end, case = time.monotonic() + options.seconds, options.case or 0
        while time.monotonic() < end:
            fuzzer.run(case)
            case += 1
            if options.case is not None:
                break
        fuzzer.close()
    print(json.dumps({"cases": case, "findings": len(fuzzer.findings), **fuzzer.counts}, indent=1))
    return bool(fuzzer.findings)


if __name__ == "__main__":
    sys.exit(main())

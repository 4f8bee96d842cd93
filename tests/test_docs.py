"""Every block of code in README.md and docs/ runs.

A page is a story: its blocks run in order, in one empty directory, python blocks in one
namespace, as a script would. Of a shell block the lines run that begin with `distdyn`, `python` or
`mpirun -n N` before one of them, behind any `NAME=VALUE` of its environment. A python block whose
first line is `# name.py` is saved under that name, for the command lines below it. What cannot run
anywhere says why: ```bash no-run: needs SLURM

Lines of one shell block that print a hash of spikes must print the same one: such a block shows
that the same network was cut in several ways.
"""

import os
import re
import shlex
import subprocess
import sys
import types
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest

from distdyn.cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
LINKING = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "slurm" / "README.md"]
PYTHON = {"python", "py"}
SHELL = {"bash", "sh", "shell", "console"}
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>```+|~~~+) *(?P<info>.*)$")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*=")
HASH = re.compile(r"\b[0-9a-f]{64}\b")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
LINK = re.compile(r"\]\((?!https?:)(?P<file>[^)#\s]*)(#(?P<part>[^)\s]*))?\)")


class Command(NamedTuple):
    environment: dict[str, str]  # `NAME=VALUE` before the command
    words: list[str]


class Block(NamedTuple):
    line: int  # of its first line of code, in the page
    info: str
    code: str

    @property
    def language(self) -> str:
        return self.info.split(" ")[0].lower()

    @property
    def is_run(self) -> bool:
        return self.language in PYTHON | SHELL and "no-run" not in self.info


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, without the indentation of their fence."""
    found, lines, opened = [], [], None
    for number, line in enumerate(text.splitlines(), start=1):
        fence = FENCE.match(line)
        if opened is None:
            if fence:
                opened, lines = (number + 1, fence), []
        elif fence and fence["fence"].startswith(opened[1]["fence"]) and not fence["info"]:
            code = "\n".join(each.removeprefix(opened[1]["indent"]) for each in lines)
            found.append(Block(opened[0], opened[1]["info"].strip(), code))
            opened = None
        else:
            lines.append(line)
    assert opened is None, f"the block opened before line {opened[0]} is never closed"
    return found


def commands(code: str) -> list[Command]:
    """The command lines of a shell block that call distdyn or Python."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        environment = dict(word.split("=", 1) for word in takewhile(VARIABLE.match, words))
        words = words[len(environment) :]
        launcher = 3 if words[:2] == ["mpirun", "-n"] else 0
        if words[launcher : launcher + 1] in (["distdyn"], ["python"]):
            found.append(Command(environment, words))
    return found


def runnable(words: list[str]) -> list[str]:
    """The same with the Python and the mpirun of this environment, and distdyn as a module.

    So the page is tested as it is in this checkout, whatever is installed.
    """
    called = {
        "mpirun": [str(Path(sys.executable).with_name("mpirun"))],
        "python": [sys.executable],
        "distdyn": [sys.executable, "-m", "distdyn"],
    }
    start = 3 if words[0] == "mpirun" else 0
    launcher = [*called["mpirun"], *words[1:3]] if start else []
    return [*launcher, *called[words[start]], *words[start + 1 :]]


def run_shell(block: Block, where: str) -> None:
    base = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    hashes = {}
    for environment, words in commands(block.code):
        run = subprocess.run(
            runnable(words), env=base | environment, capture_output=True, text=True, timeout=250
        )
        assert run.returncode == 0, f"{where}: {shlex.join(words)}\n{run.stderr[-4000:]}"
        hashes |= dict.fromkeys(HASH.findall(run.stdout), shlex.join(words))
    assert len(hashes) <= 1, f"{where}: not the same spikes: {hashes}"


def run_python(block: Block, page: Path, namespace: dict) -> None:
    first = re.match(r"# (\w+\.py)\b", block.code)
    if first:
        Path(first[1]).write_text(block.code + "\n")
    # The empty lines make a traceback point at the line of the page.
    source = "\n" * (block.line - 1) + block.code
    exec(compile(source, str(page), "exec"), namespace)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_the_code_of_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)  # where dataclasses look their names up
    for block in filter(lambda block: block.is_run, blocks(page.read_text())):
        if block.language in PYTHON:
            run_python(block, page, script.__dict__)
        else:
            run_shell(block, f"{page.name}:{block.line}")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_a_block_that_does_not_run_says_why(page):
    for block in blocks(page.read_text()):
        where = f"{page.name}:{block.line}"
        assert block.info, f"{where}: name the language of the block (text, if it is none)"
        if "no-run" in block.info:
            assert re.search(r"no-run: \w+", block.info), f"{where}: no-run needs a reason"


def anchors(page: Path) -> set[str]:
    """What links to the headings of a page are called."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKING, ids=[str(page.relative_to(ROOT)) for page in LINKING])
def test_links_to_files_lead_somewhere(page):
    for link in LINK.finditer(page.read_text()):
        target = (page.parent / link["file"]).resolve() if link["file"] else page
        assert target.exists(), f"{page.name}: {link[0]} leads nowhere"
        if link["part"]:
            assert link["part"] in anchors(target), f"{page.name}: {link[0]} has no such heading"


def test_every_option_that_a_page_names_for_distdyn_exists(capsys):
    options: dict[str, set[str]] = {}
    for command in ("run", "plan", "sbatch", "plot"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        options[command] = set(OPTION.findall(capsys.readouterr().out))
        assert "--help" in options[command]
    for page in LINKING:
        text = page.read_text().replace("\\\n", " ")
        for command, rest in re.findall(r"\bdistdyn (run|plan|sbatch|plot) (.*)", text):
            named = set(OPTION.findall(rest.split("`")[0]))
            unknown = sorted(named - options[command])
            assert not unknown, f"{page.name}: distdyn {command} has no {unknown}"


def test_the_readme_has_both_commands_on_its_first_screen():
    screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:30])
    assert "scripts/quickstart" in screen and "scripts/test" in screen


def tree_of_the_readme() -> dict[str, set[str]]:
    """Directory -> the files that the tree of the README names in it."""
    (tree,) = (
        block.code
        for block in blocks((ROOT / "README.md").read_text())
        if block.code.startswith("partition/")
    )
    named, parents = {}, []
    for line in tree.splitlines():
        name, depth = line.split()[0], (len(line) - len(line.lstrip())) // 2
        del parents[depth:]
        if name.endswith("/"):
            parents.append(name.rstrip("/"))
            named["/".join(parents)] = set()
        else:
            named["/".join(parents)].add(name)
    return named


def test_the_tree_of_the_readme_is_that_of_the_packages():
    named = tree_of_the_readme()
    for directory, files in named.items():
        there = {path.name for path in (ROOT / directory).glob("*.py")}
        assert files <= there, f"{directory} has no {sorted(files - there)}"
        # A room says what each file is for, or one sentence stands for all of them.
        if files:
            new = {name for name in there - files if not name.startswith("__")}
            assert not new, f"{directory}: the tree of the README lacks {sorted(new)}"
    rooms = {
        path.parent
        for package in ("distdyn", "partition")
        for path in ROOT.glob(f"{package}/**/*.py")
    }
    for room in rooms:
        assert str(room.relative_to(ROOT)) in named, f"the tree of the README lacks {room.name}/"


def test_blocks_and_commands_are_found():
    page = "\n".join(
        [
            "text",
            "```bash",
            "$ distdyn run coba \\",
            "    --set n=400  # small",
            "A=1 B_2=x mpirun -n 2 python net.py",
            "pip install distdyn",
            "```",
            "- a list",
            "  ```python no-run: a sketch",
            "  if x:",
            "      ...",
            "  ```",
        ]
    )
    shell, python = blocks(page)
    assert commands(shell.code) == [
        ({}, ["distdyn", "run", "coba", "--set", "n=400"]),
        ({"A": "1", "B_2": "x"}, ["mpirun", "-n", "2", "python", "net.py"]),
    ]
    assert runnable(["distdyn", "run"])[1:] == ["-m", "distdyn", "run"]
    assert runnable(["mpirun", "-n", "2", "python", "net.py"])[1:3] == ["-n", "2"]
    assert (shell.line, shell.is_run, python.is_run) == (3, True, False)
    assert python.code == "if x:\n    ..."

"""The house rules that can be read off the source: imports point down, each library has its room.

Every rule is a function from a module and its syntax tree to the places that break it. It is
applied to all modules of both packages, and to planted faults: a rule that sees nothing is noticed.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Lower may not import higher; rooms of one floor do not import each other.
FLOORS = {
    "errors": 0,
    "units": 0,
    "random": 0,
    "_jax": 0,
    "ops": 1,
    "core": 2,
    "models": 3,
    "network": 3,
    "parallel": 4,
    "run": 5,
    "train": 6,
    "analysis": 6,
    "zoo": 7,
    "plot": 7,
    "jobscript": 7,
    "catalogue": 7,
    "commands": 8,
    "cli": 9,
    "": 10,  # distdyn/__init__.py, the public face
    "__main__": 10,
}
GROUND = 0  # the one floor without walls: units and random raise errors
# `import distdyn` runs everything below: only what nothing below imports may say it.
ABOVE_THE_FACE = {
    "zoo",
    "plot",
    "jobscript",
    "catalogue",
    "commands",
    "cli",
    "__main__",
}
NOT_MODELS = {"network", "parallel", "run"}
DRAWS = ("analysis", "plot")  # an answer of analysis draws itself, where it is asked to
PARTITION_USERS = {"network", "parallel"}

# Library -> the modules that may name it (patterns of dotted names).
LIBRARY_ROOMS = {
    "h5py": ["distdyn.run.store.*", "distdyn.train.tasks.heidelberg"],  # our files, and others'
    "llvmlite": ["distdyn.ops.*"],
    "matplotlib": ["distdyn.plot.style"],
    "mpi4py": ["distdyn.parallel.launch.*", "distdyn.parallel.exchange.*"],
    "numba": ["distdyn.ops.*"],
    "optax": ["distdyn.train", "distdyn.train.*"],
}
NEVER = ["pickle", "cloudpickle", "dill", "marshal", "shelve"]

# Names of jax that may change between minor versions -> the modules that may use them.
UNSTABLE_JAX = {
    "jax._src": [],
    "jax.experimental": ["distdyn._jax"],
    "jax.extend": ["distdyn._jax"],
    "jax.extend.core": ["distdyn._jax", "distdyn.ops.*"],
    "jax.interpreters": ["distdyn._jax"],
    "jax.lib": ["distdyn._jax"],
}

NO_GRADIENT = {
    *("distdyn.parallel.chunk", "distdyn.parallel.learning"),  # of the simulator
    "distdyn.analysis.sweep.models",  # no device says anything to another
}

Faults = Iterator[tuple[int, str]]  # line, what is wrong there
Rule = Callable[[str, ast.Module], Faults]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[Path]:
    return sorted(p for package in ("distdyn", "partition") for p in (ROOT / package).rglob("*.py"))


def imports(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every (line, dotted name) that a module imports, at its top level or inside a function."""
    is_package = ROOT.joinpath(*module.split("."), "__init__.py").is_file()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                here = module.split(".") if is_package else module.split(".")[:-1]
                base = ".".join([*here[: len(here) - node.level + 1], *filter(None, [base])])
            for alias in node.names:
                # `from distdyn import errors` imports a room, `from distdyn import LIF` the face.
                is_face = base == "distdyn" and alias.name not in FLOORS
                yield node.lineno, base if is_face else f"{base}.{alias.name}"
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = ast.unparse(node.func)
            if function in ("__import__", "import_module", "importlib.import_module"):
                yield node.lineno, str(node.args[0].value)


def room(module: str) -> str:
    """The room of a module of distdyn: `distdyn.ops.deliver` -> `ops`."""
    return f"{module}.".split(".")[1]


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def is_allowed(module: str, patterns: list[str]) -> bool:
    return any(fnmatch(module, pattern) for pattern in patterns)


def imports_point_down(module: str, tree: ast.Module) -> Faults:
    if not is_within(module, "distdyn"):
        return
    here = room(module)
    if here not in FLOORS:
        yield 1, f'the room "{here}" is new: give it its place in FLOORS of this test first'
        return
    for line, name in imports(module, tree):
        if not is_within(name, "distdyn"):
            continue
        there = room(name)
        if there not in FLOORS:
            yield line, f"imports {name}, which does not exist"
        elif there == "":
            if here and here not in ABOVE_THE_FACE:
                yield line, "imports distdyn itself, which imports everything"
        elif there == here or (FLOORS[there] == FLOORS[here] == GROUND):
            pass
        elif (here, there) == DRAWS and line not in {node.lineno for node in tree.body}:
            pass  # within a function: nothing is loaded before
        elif FLOORS[there] >= FLOORS[here]:
            yield line, f"{here} imports {name}, which is not below it"
        elif there == "models" and here in NOT_MODELS:
            yield line, f"{here} imports {name}; it sees only core"


def partition_stands_alone(module: str, tree: ast.Module) -> Faults:
    for line, name in imports(module, tree):
        if is_within(module, "partition"):
            if name.split(".")[0] in ("jax", "jaxlib", "equinox", "mpi4py", "distdyn"):
                yield line, f"partition imports {name}; it knows numpy and scipy only"
        elif is_within(name, "partition") and room(module) not in PARTITION_USERS:
            yield line, f"imports {name}; only network and parallel do"


def libraries_stay_in_their_rooms(module: str, tree: ast.Module) -> Faults:
    for line, name in imports(module, tree):
        library = name.split(".")[0]
        if library in LIBRARY_ROOMS and not is_allowed(module, LIBRARY_ROOMS[library]):
            yield line, f"imports {name}; it belongs to {', '.join(LIBRARY_ROOMS[library])}"


def unstable_jax_is_in_one_file(module: str, tree: ast.Module) -> Faults:
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    used = [(node.lineno, ast.unparse(node)) for node in attributes]
    for line, name in sorted({*imports(module, tree), *used}):
        # The longest name that fits decides: jax.extend.core has its own line in the table.
        fitting = [unstable for unstable in UNSTABLE_JAX if is_within(name, unstable)]
        if fitting and not is_allowed(module, UNSTABLE_JAX[max(fitting, key=len)]):
            yield line, f"uses {name}, which is not stable; distdyn/_jax.py is the place, if any"


def nothing_is_pickled(module: str, tree: ast.Module) -> Faults:
    for line, name in imports(module, tree):
        if name.split(".")[0] in NEVER:
            yield line, f"imports {name}: files are read by other versions and other people"
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield node.value.lineno, "allow_pickle"


def nothing_is_global(module: str, tree: ast.Module) -> Faults:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}: state is an argument"


def what_varies_is_checked(module: str, tree: ast.Module) -> Faults:
    """A gradient inside of `shard_map(check_vma=False)` is wrong, and nobody says so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "check_vma" and module not in NO_GRADIENT:
            if not (isinstance(node.value, ast.Constant) and node.value.value is True):
                yield node.value.lineno, "check_vma other than True, where one may differentiate"


# Each rule with faults that it must see: (module, source).
RULES: dict[Rule, list[tuple[str, str]]] = {
    imports_point_down: [
        ("distdyn.errors", "import distdyn.ops"),
        ("distdyn.ops.deliver", "def f():\n    from distdyn.core import cell"),
        ("distdyn.network.rules", "from ..models import synapses"),
        ("distdyn.parallel.build", "import distdyn.models.synapses"),
        ("distdyn.run.runner", "import distdyn as dd"),
        ("distdyn.zoo.coba", "from distdyn import cli"),
        ("distdyn.analysis.points.fixed_points", "from distdyn.plot import phase"),
        ("distdyn.attic", ""),
    ],
    partition_stands_alone: [
        ("partition.blocks", "import jax.numpy as jnp"),
        ("partition.blocks", "from distdyn.errors import DistDynError"),
        ("distdyn.run.runner", "import partition"),
    ],
    libraries_stay_in_their_rooms: [
        ("distdyn.run.runner", "def f():\n    import h5py"),
        ("distdyn.parallel.build", "from numba import njit"),
        ("distdyn.cli", "import matplotlib.pyplot as plt"),
        ("distdyn.run.provenance", "from mpi4py import MPI"),
        ("distdyn.core.system", 'import importlib\nimportlib.import_module("optax")'),
    ],
    unstable_jax_is_in_one_file: [
        ("distdyn._jax", "from jax._src import core"),
        ("distdyn.ops.ffi", "from jax.interpreters import mlir"),
        ("distdyn.ops.ffi", "from jax.extend import backend"),
        ("distdyn.core.cell", "from jax.extend.core import Primitive"),
        ("distdyn.core.cell", "import jax\nx = jax._src.config"),
    ],
    nothing_is_pickled: [
        ("distdyn.run.store", "import pickle"),
        ("distdyn.run.store", 'import numpy\nnumpy.load("a", allow_pickle=True)'),
    ],
    what_varies_is_checked: [
        ("distdyn.ops.matrix.split", "jax.shard_map(f, check_vma=False)"),
        ("distdyn.train.bptt", "jax.shard_map(f, check_vma=not is_fast)"),
    ],
    nothing_is_global: [("distdyn.units", "def f():\n    global n\n    n = 1")],
}
BY_NAME = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


@BY_NAME
def test_every_module_keeps_the_rule(rule):
    assert modules(), "no module was found: this test looks in the wrong place"
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for path in modules()
        for line, fault in rule(module_name(path), ast.parse(path.read_text(), filename=path))
    ]
    assert not faults, "\n" + "\n".join(faults)


@BY_NAME
def test_the_rule_sees_a_planted_fault(rule):
    for module, source in RULES[rule]:
        assert list(rule(module, ast.parse(source))), f"{module}: {source!r} was not seen"


@pytest.mark.parametrize(
    "module, source",
    [
        ("distdyn.units", "from distdyn.errors import TimeError"),
        ("distdyn.ops.ffi", "import numba, jax\nfrom jax.extend.core import Primitive\njax.ffi"),
        ("distdyn.models.synapses", "from ..core import system\nfrom .. import units"),
        ("distdyn.zoo.coba", "import distdyn as dd"),
        ("distdyn.parallel.build", "import partition\nfrom distdyn.network import rules"),
        ("distdyn.analysis.points.fixed_points", "def plot():\n    from distdyn.plot import phase"),
    ],
)
def test_the_rules_let_good_imports_pass(module, source):
    tree = ast.parse(source)
    assert [fault for rule in RULES for fault in rule(module, tree)] == []


IMPORT_PROBE = """
import json, signal, sys, time
start = time.process_time()
import jax, equinox
of_jax = time.process_time() - start
before, x64 = set(sys.modules), jax.config.jax_enable_x64
hook, on_interrupt = sys.excepthook, signal.getsignal(signal.SIGINT)  # a shell may ignore it
start = time.process_time()
import distdyn
seconds = time.process_time() - start
from jax._src import xla_bridge
print(json.dumps({
    "seconds": seconds,
    "of_jax": of_jax,
    "loaded": sorted(set(sys.modules) - before),
    "backend": xla_bridge.backends_are_initialized(),
    "hooks": sys.excepthook is not hook,
    "signals": signal.getsignal(signal.SIGINT) is not on_interrupt,
    "config": jax.config.jax_enable_x64 != x64,
}))
"""


@pytest.fixture(scope="module")
def fresh_imports() -> list[dict]:
    """What three fresh interpreters say about `import distdyn` after jax and equinox."""
    command = [sys.executable, "-c", IMPORT_PROBE]
    runs = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        for _ in range(3)
    ]
    for run in runs:
        assert run.returncode == 0, run.stderr
    return [json.loads(run.stdout) for run in runs]


@pytest.mark.parametrize("library", [*LIBRARY_ROOMS, "scipy.stats", "distdyn.plot"])
def test_import_leaves_the_library_alone(fresh_imports, library):
    loaded = [name for name in fresh_imports[0]["loaded"] if is_within(name, library)]
    assert not loaded, f"import distdyn loads {loaded[0]}"


@pytest.mark.parametrize("deed", ["backend", "hooks", "signals", "config"])
def test_import_touches_nothing(fresh_imports, deed):
    assert not fresh_imports[0][deed]


def test_import_takes_little_beside_that_of_jax(fresh_imports):
    # Of the processor, in one process: how fast the machine is just now is in both. About 0.8.
    assert min(run["seconds"] / run["of_jax"] for run in fresh_imports) < 1.5

"""Hard cases of partitioned networks, the same on any ranks, devices and nodes: see `checks.py`."""

import json
from pathlib import Path

import pytest

pytestmark = pytest.mark.mpi

SCRIPT = str(Path(__file__).with_name("checks.py"))
AT_BUILD = ("intervals", "delays", "differing", "exploding")
SMALL = ("streams", "tiny", "counts", "access")
GROUPS = {
    "build": AT_BUILD, "small": SMALL, "sums": ("weights",), "sizes": ("uneven",),
    "bursts": ("burst",), "pauses": ("pauses",),
}  # fmt: skip
LONG = 240.0  # s; beyond 300 pytest itself ends


@pytest.fixture
def found(ranks):
    """`found(n, devices, checks)`: what each check has found on so many parts."""

    def run(n, devices, checks, *options, per_node=None, limit=240.0, **env):
        if per_node:
            env["DISTDYN_RANKS_PER_NODE"] = str(per_node)
        words = [SCRIPT, "--devices", str(devices), *options, *checks]
        ended = ranks(n, words, env=env, limit=limit)
        *lines, last = ended.out.strip().split("\n")
        print("MEASURED", n, "x", devices, *lines, sep="  ")
        return json.loads(last)

    return run


@pytest.fixture(scope="session")
def alone():
    return {}


def on_one(found, alone, checks, *options, limit=240.0):
    """What one process with one device finds, computed once."""
    known = alone.setdefault(options, {})
    missing = [name for name in checks if name not in known]
    if missing:
        known.update(found(None, 1, missing, *options, limit=limit))
    return {name: known[name] for name in checks}


def test_what_is_found_at_build_hardly_any_cells_and_exact_counts(found, alone):
    """Of two nodes with two devices each."""
    checks = (*AT_BUILD, "tiny", "counts")  # D8, D9, D16; D4; D6
    here = found(2, 2, checks, per_node=1)
    assert here == on_one(found, alone, checks)
    errors = here["delays"]
    assert all(text.startswith("DelayError: ") for text in errors.values()), errors
    for name in ("1000000000.0", "0.26", "0.04", "one of 1000000000.0", "one of 0.26"):
        assert 'projection "loop"' in errors[name], errors


@pytest.mark.slow
@pytest.mark.parametrize("checks", GROUPS)
@pytest.mark.parametrize(
    ("n", "devices", "per_node"),
    [(None, 3, None), (2, 1, None), (3, 2, 2), (4, 2, None), (7, 1, None), (8, 1, 4)],
)
def test_everything(found, alone, n, devices, per_node, checks):  # D2 to D9, D16, D20, D21, D23
    names = GROUPS[checks]
    expected = on_one(found, alone, names)
    assert found(n, devices, names, per_node=per_node, limit=LONG) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "devices", "options", "env"),
    [
        (None, 2, ["--no-kernels"], {}),
        (2, 2, ["--no-kernels"], {}),
        (2, 1, [], {"DISTDYN_COLLECTIVES": "1"}),
    ],
    ids=["devices", "devices and ranks", "collectives over ranks"],
)
def test_sums_without_kernels(found, alone, n, devices, options, env):  # D2
    """XLA adds what arrives, to the same bits; it rounds a step of a cell in a way of its own."""
    checks = ("weights", "tiny", "counts")
    here = found(n, devices, checks, *options, limit=LONG, **env)
    xla = on_one(found, alone, checks, "--no-kernels")
    kernels = on_one(found, alone, checks)
    assert here == xla
    for precision in ("float32", "float64"):
        assert here["weights"][precision]["sum"] == kernels["weights"][precision]["sum"]
    assert here["counts"] == kernels["counts"]
    for sizes, (_, spikes, _) in here["tiny"].items():
        assert spikes == kernels["tiny"][sizes][1]


def test_wrong_input_is_said_once(ranks, tmp_path):  # D9
    file = tmp_path / "net.py"
    file.write_text(
        "import distdyn as dd\n\n\nclass Net(dd.Network):\n    def __init__(self, delay=1.0):\n"
        "        self.N = dd.Population(64, dd.LIF())\n"
        "        self.loop = dd.Projection(self.N, self.N, dd.OneToOne(), dd.Delta(), weight=1.0,"
        " delay=delay)\n"
    )
    command = ["-m", "distdyn", "run", str(file), "--duration", "10", "--set"]
    for delay, words in (
        (0.0, "Projection: delay = 0 ms is not possible"),
        (0.26, 'projection "loop": delay 0.26 ms is not a multiple of dt'),
        (1e9, 'projection "loop": delay = 1e+09 ms'),
    ):
        ended = ranks(2, [*command, f"delay={delay}"], limit=30.0, ok=False)
        print(f"MEASURED delay {delay}: {ended.seconds:.2f} s")
        assert ended.code == 2, ended.err
        assert ended.err.count(f"DelayError: {words}") == 1, ended.err
        assert "Traceback" not in ended.err, ended.err

"""A package of somebody else adds one of each thing, and nothing of distdyn is touched for it.

It is installed as pip does it, into a directory of its own, and its network is run by the command
line: in one process, and on two devices.
"""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import distdyn as dd
from distdyn.cli import main

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests" / "plugin"
FILES = sorted((PLUGIN / "src" / "their_pkg").glob("[a-z]*.py"))
DT, STEPS = 0.1, 1000


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A directory with the package in it, as pip installs it; nothing is downloaded."""
    target = tmp_path_factory.mktemp("site")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--quiet")
    pip(*offline, "--target", target, PLUGIN)
    return target


@pytest.fixture
def their_pkg(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    import their_pkg

    assert Path(their_pkg.__file__).is_relative_to(site)
    yield their_pkg
    for name in [name for name in sys.modules if name.split(".")[0] == "their_pkg"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def result(site):
    return run_net(site)


def pip(*words):
    command = [sys.executable, "-m", "pip", "install", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def run_net(site, *options):
    """What `distdyn run their_pkg:Net --json` prints."""
    words = f"their_pkg:Net --duration {DT * STEPS} --dt {DT} --seed 1 --precision float64 --json"
    done = subprocess.run(
        [sys.executable, "-m", "distdyn", "run", *words.split(), *options],
        env=os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{ROOT}"},
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_its_network_has_the_same_spikes_on_two_devices(site, result):
    cut = run_net(site, "--devices", "2")
    assert (result["devices"], cut["devices"]) == (1, 2)
    assert min(result["spikes"].values()) > 0
    assert cut["spikes_sha256"] == result["spikes_sha256"]


def test_its_network_fires_as_computed_without_distdyn(their_pkg, result):
    runner = dd.DSRunner(their_pkg.Net(), dt=DT, seed=1, precision="float64")
    edges = runner["near"].edges()
    count = ring_by_numpy(edges.pre, edges.post, n=200, weight=15.0, delay=15)
    assert 500 < count == result["spikes"]["N"]
    assert result["rates"]["N"] == pytest.approx(count / 200 / (DT * STEPS / 1000))


def ring_by_numpy(pre, post, *, n, weight, delay):
    """How many spikes N has: Taylor's scheme written out, and the order of a step."""
    C_m, g_L, E_L, E_K, V_th, tau_g, dg, tau = 200.0, 20.0, -65.0, -70.0, -50.0, 100.0, 1.2, 2.0
    I_e, V = np.linspace(300.0, 400.0, n), np.linspace(-65.0, -51.0, n)
    a, s, h, k = np.zeros((4, n))  # adaptation, the synapse and its two inner variables
    due, count = np.zeros((delay, n)), 0
    for step in range(STEPS):
        V1 = (g_L * (E_L - V) + a * (E_K - V) + I_e + s) / C_m
        a1, s1, h1, k1 = -a / tau_g, (h - s) / tau, (k - h) / tau, -k / tau
        V2 = (-g_L * V1 + a1 * (E_K - V) - a * V1 + s1) / C_m
        a2, s2, h2, k2 = -a1 / tau_g, (h1 - s1) / tau, (k1 - h1) / tau, -k1 / tau
        V, a, s, h, k = (
            x + DT * x1 + DT**2 / 2 * x2
            for x, x1, x2 in (
                (V, V1, V2), (a, a1, a2), (s, s1, s2), (h, h1, h2), (k, k1, k2),
            )
        )  # fmt: skip
        k = k + due[step % delay] * np.exp(2.0) / 2
        spikes = V >= V_th
        V, a = np.where(spikes, E_L, V), a + dg * spikes
        due[step % delay] = weight * np.bincount(post[spikes[pre]], minlength=n)
        count += spikes.sum()
    return count


def test_its_rule_is_what_it_says(their_pkg):
    edges = dd.DSRunner(their_pkg.Net(), dt=DT, seed=3)["near"].edges()
    assert (np.bincount(edges.post, minlength=200) == 10).all()
    distance = (edges.pre - edges.post + 100) % 200 - 100
    assert abs(distance.mean()) < 0.45, "4 standard errors of 2,000 draws"
    assert np.std(distance) == pytest.approx(np.sqrt(25 + 1 / 12), abs=0.32)


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_each_file_is_short_and_says_what_it_is(file):
    source = file.read_text()
    assert source.startswith('"""') and len(source.splitlines()) <= 45


@pytest.mark.parametrize("name", ["channel", "synapse", "rule", "plasticity", "coupling"])
def test_each_file_runs_by_itself(name, capsys):
    runpy.run_path(str(PLUGIN / "src" / "their_pkg" / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out


def test_its_integrator_is_of_second_order(their_pkg):
    from their_pkg.integrator import Taylor2

    error = [
        dd.integrate(lambda t, y: t - y, 1.0, [0.0, 1.0], method=Taylor2(), dt=dt)[-1] - 2 / np.e
        for dt in (0.1, 0.05)
    ]
    assert np.log2(error[0] / error[1]) == pytest.approx(2.0, abs=0.1)


def test_its_operator_has_a_kernel_that_agrees(their_pkg):
    from their_pkg.coupling import reference, ring

    V = np.random.default_rng(1).normal(-60.0, 5.0, 1000).astype(np.float32)
    assert "cpu" in ring.kernels
    np.testing.assert_allclose(ring(V, g=0.5), reference(V, g=0.5), atol=3e-5)


def test_its_models_are_described(their_pkg, capsys):
    from their_pkg.cell import Tiring

    text = str(dd.describe(Tiring))
    for part in ("C_m V' = g_L (E_L - V)", "tau_g    100  ms", "potassium"):
        assert part in text, text
    assert main(["describe", "their_pkg.cell:Tiring"]) == 0
    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("their_pkg:Nett", 'has no network "Nett". Did you mean "Net"'),
        ("their_package:Net", 'there is no module "their_package"'),
        ("their_pkg.networks:Net", 'there is no module "their_pkg.networks"'),
        ("half_done:Net", "\"half_done\" cannot be imported: No module named 'not_installed'"),
    ],
)
def test_a_name_that_leads_nowhere_says_so(their_pkg, site, capsys, name, message):
    (site / "half_done.py").write_text("import not_installed\n")
    assert main(["run", name, "--duration", "1"]) == 2
    assert message in capsys.readouterr().err

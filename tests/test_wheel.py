"""The wheel that a user gets: built, looked into, installed into an empty environment, used."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    # Nothing of this checkout may be seen by the environment under test.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    # Without isolation: the backend is in the test extra, so building downloads nothing.
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=ROOT)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bin_directory(wheel, tmp_path_factory) -> Path:
    """The bin of an empty environment with the wheel in it.

    The dependencies, a gigabyte, are borrowed from the environment of the tests: a path file names
    its directory, which comes after the new environment's own and whose path files, an editable
    install of this checkout among them, are not read.
    """
    root = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", root, cwd=root)
    (site,) = root.glob("lib/python*/site-packages")
    borrowed = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    pip = (sys.executable, "-m", "pip", "--python", root / "bin" / "python")
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=root)
    return root / "bin"


def test_the_wheel_holds_both_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"distdyn", "partition"}
    assert {"distdyn/py.typed", "partition/py.typed", "distdyn/__init__.py"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_package_is_that_of_the_wheel(bin_directory, tmp_path):
    probe = "import distdyn as d, partition as p; print(d.__version__, d.__file__, p.__file__)"
    version, *files = run(bin_directory / "python", "-c", probe, cwd=tmp_path).split()
    assert f'version = "{version}"' in (ROOT / "pyproject.toml").read_text()
    environment = bin_directory.parent.resolve()
    assert all(Path(file).resolve().is_relative_to(environment) for file in files)


def test_the_command_line_runs(bin_directory, tmp_path):
    command = bin_directory / "distdyn"
    assert "run" in run(command, "--help", cwd=tmp_path)
    arguments = ["brunel", "--set", "n=100", "--duration", "10", "--seed", "1", "--json"]
    result = json.loads(run(command, "run", *arguments, cwd=tmp_path).splitlines()[-1])
    assert (result["network"], result["neurons"], result["duration"]) == ("brunel", 100, 10.0)
    assert len(result["spikes_sha256"]) == 64

"""The virtual environments of the peers: `.venv-NAME` beside the files of this repository."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What pip installs for each. The versions are those that the published figures were measured with.
PINS = {
    "nest": ("nest-simulator==3.10.0",),
    "brian2": ("brian2==2.9.0", "numpy<2.4", "cython", "setuptools"),
    # jax 0.10.2 miscompiles on CPU (jax issue 39103); numba is what its event operators run on.
    "brainpy": ("brainpy==2.8.2", "jax==0.10.1", "jaxlib==0.10.1", "numba"),
    "brainpy_gpu": ("brainpy==2.8.2", "jax[cuda12]==0.10.1", "jaxlib==0.10.1", "numba"),
    "brainevent": ("brainevent==0.2.1", "jax==0.10.1", "jaxlib==0.10.1", "numba", "scipy"),
    "annarchy": ("ANNarchy==5.0.4.1", "setuptools"),
    # setuptools for nrnivmodl, which compiles the mechanisms.
    "torch": ("torch==2.14.1", "torchvision==0.29.1", "snntorch==1.0.0", "norse==1.1.0"),
    "spyx": ("spyx==1.0.0", "jax==0.10.1", "jaxlib==0.10.1"),
    "neuron": ("neuron==9.0.2", "numpy", "setuptools"),
}


# What our own environment has.
OURS = ("distdyn", "bcoo", "scipy", "memory")


def python_of(peer: str) -> str:
    """The Python of a peer's environment, which is made if it is not there."""
    if peer in OURS:
        return sys.executable
    place = ROOT / f".venv-{peer}"
    python = place / "bin" / "python"
    done = place / "installed"  # what an installation that was broken off lacks
    wanted = "\n".join(PINS[peer])
    if not done.exists() or done.read_text() != wanted:
        print(f"Making {place} with {', '.join(PINS[peer])}.", file=sys.stderr, flush=True)
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, *PINS[peer]], check=True, stdout=sys.stderr)
        done.write_text(wanted)
    return os.fspath(python)

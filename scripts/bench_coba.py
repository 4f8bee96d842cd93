"""distdyn and Brian2 on the same network, side by side, as one JSON object.

The network is `coba` of the zoo: Vogels & Abbott with constant drive, connections drawn pair by
pair with p = 80 / n, a delay of one step of 0.1 ms. Brian2 runs as C++ standalone with 1 and 2
OpenMP threads, in single and in double precision. Brian2 counts spikes, distdyn records them;
building and compiling are not timed. The programs take turns, so that a machine that slows down
slows both; each turn gives one ratio of real-time factors, the fastest Brian2 over distdyn, and the
median is what counts (above 1: distdyn is faster). The rates show that both did the same work.

    python scripts/bench_coba.py
    python scripts/bench_coba.py --sizes 4000 --turns 9 --devices 2 --brian2-python PATH

Brian2 gets a virtual environment of its own, `.venv-brian2`, unless `--brian2-python` names one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
BRIAN2 = ("brian2==2.9.0", "numpy<2.4", "cython", "setuptools")
DT = 0.1  # ms


def main() -> None:
    arguments = parse()
    if arguments.worker:
        print(json.dumps(build_brian2(arguments)))
        return
    python = arguments.brian2_python or brian2_python()
    results = [compare(n, python, arguments) for n in arguments.sizes]
    print(json.dumps({"network": "coba", "duration": arguments.duration, "results": results}))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[4000, 40000], metavar="N")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--duration", type=float, default=2000.0, help="model time of a run, ms")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of Brian2")
    parser.add_argument("--devices", help="of distdyn; its default if not given")
    parser.add_argument("--precision", default="float32", choices=["float32", "float64"])
    parser.add_argument(
        "--brian2-precision",
        nargs="+",
        default=["float32", "float64"],
        choices=["float32", "float64"],
    )
    parser.add_argument("--brian2-python", help="a Python that can import Brian2")
    parser.add_argument("--worker", choices=["brian2"], help=argparse.SUPPRESS)
    parser.add_argument("--directory", help=argparse.SUPPRESS)
    return parser.parse_args()


def compare(n: int, python: str, arguments: argparse.Namespace) -> dict:
    """Builds the Brian2 programs of one size, then lets everybody run in turns."""
    with tempfile.TemporaryDirectory(prefix="bench_coba") as directory:
        programs = {
            f"{precision}, {threads} thread(s)": prepare_brian2(
                python, n, threads, precision, Path(directory), arguments.duration
            )
            for precision in arguments.brian2_precision
            for threads in arguments.threads
        }
        turns = []
        for turn in range(arguments.turns):
            ours = run_distdyn(n, turn, arguments)
            theirs = {
                name: run_brian2(program["directory"]) / arguments.duration
                for name, program in programs.items()
            }
            turns.append({"distdyn": ours["rtf"], "brian2": theirs})
            print(f"n = {n}, turn {turn}: {turns[-1]}", file=sys.stderr)
    return {
        "n": n,
        "ratio": median(min(t["brian2"].values()) / t["distdyn"] for t in turns),
        "rtf_distdyn": median(t["distdyn"] for t in turns),
        "rtf_brian2": {k: median(t["brian2"][k] for t in turns) for k in programs},
        "rates_distdyn": ours["rates"],
        "rates_brian2": {k: program["rates"] for k, program in programs.items()},
        "synapses_distdyn": ours["synapses"],
        "synapses_brian2": next(iter(programs.values()))["synapses"],
        "turns": turns,
    }


def run_distdyn(n: int, seed: int, arguments: argparse.Namespace) -> dict:
    command = [sys.executable, "-m", "distdyn", "run", "coba", "--set", f"n={n}", "--json"]
    command += ["--duration", str(arguments.duration), "--seed", str(seed)]
    command += ["--precision", arguments.precision, "--progress", "off"]
    if arguments.devices:
        command += ["--devices", arguments.devices]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(output.stdout.splitlines()[-1])


def prepare_brian2(
    python: str, n: int, threads: int, precision: str, directory: Path, duration: float
) -> dict:
    """Has Brian2 write and compile one program; it runs once, so that its files are warm."""
    place = directory / f"{n}_{threads}_{precision}"
    command = [python, __file__, "--worker", "brian2", "--directory", str(place)]
    command += ["--sizes", str(n), "--threads", str(threads), "--duration", str(duration)]
    command += ["--brian2-precision", precision]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {"directory": place, **json.loads(output.stdout.splitlines()[-1])}


def run_brian2(directory: Path) -> float:
    """Wall time of the simulation loop in ms, as the standalone program itself reports it."""
    quiet = subprocess.DEVNULL
    subprocess.run(["./main"], cwd=directory, check=True, stdout=quiet)
    seconds, _completed = (directory / "results" / "last_run_info.txt").read_text().split()
    return 1000 * float(seconds)


def build_brian2(arguments: argparse.Namespace) -> dict:
    """Runs inside Brian2's Python: writes and compiles the program, and runs it once."""
    import brian2 as b2
    import numpy as np

    n, threads = arguments.sizes[0], arguments.threads[0]
    b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    b2.prefs.core.default_float_dtype = getattr(np, arguments.brian2_precision[0])
    b2.set_device("cpp_standalone", directory=arguments.directory)
    b2.defaultclock.dt = DT * b2.ms
    b2.seed(1)

    equations = """
        drive = 20*mV - g_e*v - g_i*(v + 80*mV) : volt
        dv/dt = (-(v + 60*mV) + drive) / (20*ms) : volt (unless refractory)
        dg_e/dt = -g_e / (5*ms) : 1
        dg_i/dt = -g_i / (10*ms) : 1
    """
    cells = b2.NeuronGroup(
        n,
        equations,
        threshold="v >= -50*mV",
        reset="v = -60*mV",
        refractory=5 * b2.ms,
        method="exponential_euler",
    )
    cells.v = "-55*mV + 5*mV*randn()"
    n_E, delay = round(0.8 * n), DT * b2.ms
    exc = b2.Synapses(cells[:n_E], cells, on_pre="g_e_post += 0.6", delay=delay)
    inh = b2.Synapses(cells[n_E:], cells, on_pre="g_i_post += 6.7", delay=delay)
    exc.connect(p=80 / n)
    inh.connect(p=80 / n)
    spikes = b2.SpikeMonitor(cells, record=False)
    network = b2.Network(cells, exc, inh, spikes)
    network.run(arguments.duration * b2.ms)

    counts, seconds = np.asarray(spikes.count[:]), arguments.duration / 1000
    rates = {"E": counts[:n_E].mean() / seconds, "I": counts[n_E:].mean() / seconds}
    rtf = b2.device._last_run_time / seconds
    return {"rates": rates, "synapses": len(exc) + len(inh), "rtf": rtf}


def brian2_python() -> str:
    """The Python of `.venv-brian2` beside this repository's files, made if it is not there."""
    place = ROOT / ".venv-brian2"
    python = place / "bin" / "python"
    if not python.exists():
        print(f"Making {place} with Brian2.", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *BRIAN2], check=True)
    return os.fspath(python)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""distdyn and its peers on the conductance-based network, side by side, as one JSON object.

The network is `coba` of the zoo: Vogels & Abbott with constant drive, connections drawn pair by
pair with p = 80 / n, a delay of one step of 0.1 ms. It is run by

    distdyn     on one device, and with --devices auto: one for 2,000 cells, at most one per core,
                the faster choice where nobody else uses the cores; single precision; records every
                spike; a network of its own in each turn (seed = turn)
    Brian2      C++ standalone, 1 and 2 threads, single and double precision; counts spikes
    NEST        iaf_cond_exp (adaptive Runge-Kutta), 1 and 2 threads; counts spikes. Not as ranks
                of MPI, for its wheel on PyPI is built without; the JSON tells of the one at hand
    BrainPy     on CPU, compiled by its own jax; single precision; counts spikes
    ANNarchy    C++ that CMake compiles, 1 and 2 threads, single precision; records every spike

all in turns. A turn gives one ratio for each peer: the fastest of its variants over the fastest of
ours, as real-time factors of the steps alone. The median is what counts; above 1 distdyn is faster.
Building and compiling are listed apart. A peer that cannot be installed or compiled, or not built
in minutes (ANNarchy with more than 40,000 cells), is listed under `missing`, with the reason.

No ratio is given, and the exit status is 1, unless the rates agree: the mean over the turns of E
and of I must lie within 20 % sqrt(4000 / n), at least 8 %, of ours. One network of 4,000 cells
differs from the next by 6 % (standard deviation), larger ones by less; 8 % is for the differences
between programs in when the conductances decay and the refractory time ends.

    python scripts/bench_coba.py                                              # hours, and 20 GB
    python scripts/bench_coba.py --sizes 4000 --turns 2 --duration 500 --slow-duration 200
    python scripts/bench_coba.py --sizes 4000 --peers brian2 --threads 2      # Brian2 alone

Each peer gets a virtual environment of its own, `.venv-NAME`, made by pip when it is first needed.
"""

from peers.side_by_side import benchmark

if __name__ == "__main__":
    benchmark(
        "coba", __doc__, sizes=[4000, 40_000, 400_000],
        peers=["brian2", "nest", "brainpy", "annarchy"], allowed=0.2,
    )  # fmt: skip

#!/usr/bin/env python
"""distdyn and its peers on the network of Hodgkin-Huxley cells, side by side, as one JSON object.

The network is `cobahh` of the zoo: cells of Traub & Miles without any input, which keep each other
going; connections drawn pair by pair with p = 80 / n, a delay of one step of 0.1 ms. All start
from potentials around -65 mV with closed gates. It is run by

    distdyn     exponential Euler, on one device, and with --devices auto: one for 2,000 cells, at
                most one per core; single precision; records every spike; a network of its own in
                each turn (seed = turn)
    Brian2      C++ standalone, exponential Euler, 1 and 2 threads, single and double precision;
                counts spikes; another network in each turn
    NEST        hh_cond_exp_traub (adaptive Runge-Kutta), 1 and 2 threads; counts spikes; another
                network in each turn. A spike is a maximum above -33 mV, with t_ref = 2 ms one for
                each upward crossing

all in turns. A turn gives one ratio for each peer: the fastest of its variants over the fastest of
ours, as real-time factors of the steps alone. The median is what counts; above 1 distdyn is faster.
Building and compiling are listed apart. A peer that cannot be installed or compiled is listed under
`missing`, with the reason.

No ratio is given, and the exit status is 1, unless the rates agree: the mean over the turns of E
and of I must lie within 20 % sqrt(4000 / n), at least 8 %, of ours. One network of 4,000 cells
differs from the next by 8.5 % (standard deviation, E), larger ones by less: take three turns or
more. A ratio to NEST is one at the same step and not at the same accuracy. Exponential Euler with
steps of 0.1 ms makes the network fire a seventh less than it does in finer ones. So Brian2 is
compared with ours in these steps, and NEST, whose steps adapt, with ours in steps of 0.01 ms on one
device; how fast that is, is listed too.

    python scripts/bench_cobahh.py                                            # an hour
    python scripts/bench_cobahh.py --sizes 4000 --turns 2 --duration 500 --slow-duration 200

Each peer gets a virtual environment of its own, `.venv-NAME`, made by pip when it is first needed.
"""

from peers.side_by_side import benchmark

if __name__ == "__main__":
    benchmark(
        "cobahh", __doc__, sizes=[4000, 40_000], peers=["brian2", "nest"], allowed=0.2, fine=0.01
    )

"""`distdyn plot`: the picture of a run.

distdyn plot runs/a
distdyn plot runs/a -o raster.png --window 500 700
"""

import argparse

from distdyn.errors import ExitCode
from distdyn.units import printable


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = run.__doc__
    add = parser.add_argument
    add("directory", help="a run directory")
    add("-o", "--output", help="the picture; DIRECTORY/raster.png by default")
    add("--window", nargs=2, type=float, metavar="MS", help="first and last time")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Draw the spikes, rates and activity of a run."""
    from distdyn.plot import plot_run  # here: it loads matplotlib

    window = tuple(options.window) if options.window else None
    written = plot_run(options.directory, options.output, window=window)
    print(printable(str(written)))
    return ExitCode.OK

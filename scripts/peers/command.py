"""What the command lines of the benchmarks have in common."""

import argparse


def parser_of(
    description: str | None, *, turns: int, warmup: float | None = None
) -> argparse.ArgumentParser:
    """A parser with `--turns`, and `--warmup` for what has one."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--turns", type=int, default=turns, help=f"of all programs (default {turns})"
    )
    if warmup is not None:
        parser.add_argument(
            "--warmup",
            type=float,
            default=warmup,
            metavar="MS",
            help=f"model time before what is timed (default {warmup:g})",
        )
    return parser


def add_duration(parser: argparse.ArgumentParser, who: str, option: str, default: float) -> None:
    """Model time of a timed run of some programs; slow ones are given less of it."""
    parser.add_argument(
        option,
        type=float,
        default=default,
        metavar="MS",
        help=f"model time of a timed run of {who} (default {default:g})",
    )


def add_nest(parser: argparse.ArgumentParser) -> None:
    """Threads of NEST, and whether it stays in memory between its turns."""
    parser.add_argument("--threads", type=int, default=2, help="of NEST (default 2)")
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="build NEST anew in each turn, where it does not fit into memory beside distdyn",
    )

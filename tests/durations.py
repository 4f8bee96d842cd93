"""Which tests a first look leaves out, because they take long: the lines of `thorough.txt`.

    scripts/test --thorough --durations=0 --durations-min=1 > all.log
    python tests/durations.py all.log > tests/thorough.txt
    scripts/test --durations=0 --durations-min=1 > rest.log    # the first of those that share
    python tests/durations.py all.log rest.log > tests/thorough.txt    # programs compiles them

All of them run in CI. Of each promise between ranks one test stays in the first look, however long.
"""

import re
import sys
from collections import Counter
from pathlib import Path

LONG = 2.0  # s, with setup, on a machine with other work
KEPT = (
    "tests/mpi/test_checkpoint.py::test_from_rank_to_rank[plastic-n0-60.0]",
    "tests/mpi/test_distributed.py::test_two_processes_add[mpirun]",
    "tests/mpi/test_faults.py::test_one_rank_fails[raise-wait]",
    "tests/mpi/test_health.py::test_what_cannot_fit_is_refused_before_it_is_made[3]",
    "tests/mpi/test_messages.py::test_ranks_that_stumble_receive_the_same",
    "tests/mpi/test_output.py::test_files_become_those_of_one_rank[3]",
    "tests/mpi/test_run_faults.py::test_killed_rank_ends_a_run_that_can_be_read",
    "tests/mpi/test_same_spikes.py::test_a_node_with_a_single_part_among_others",
    "tests/mpi/test_same_spikes.py::test_command_line",
    "tests/mpi/test_statistics.py::test_ranks_change_nothing[2]",
    "tests/test_docs.py::test_the_code_of_the_page_runs[README.md]",
    "tests/train/test_checkpoint.py::test_ranks_stop_together_and_go_on_to_the_same[None]",
    "tests/train/test_trainer.py::test_the_loss_becomes_smaller",
    "tests/validation/test_networks.py::test_coba",
)
LINE = re.compile(r"\s*([\d.]+)s (?:call|setup|teardown)\s+(tests/\S+?\.py::.*)")


def long_tests(log: str) -> list[str]:
    """The tests of a log that take long."""
    seconds: Counter[str] = Counter()
    for found in map(LINE.fullmatch, log.splitlines()):
        if found:
            seconds[found[2]] += float(found[1])
    return sorted(name for name, t in seconds.items() if t > LONG and name not in KEPT)


if __name__ == "__main__":
    logs = [Path(name).read_text(errors="replace") for name in sys.argv[1:]]
    print("\n".join(sorted({name for log in logs for name in long_tests(log)})))

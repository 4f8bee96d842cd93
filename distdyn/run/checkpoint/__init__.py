"""Checkpoints of a run: from any of them it goes on, bit for bit, on any ranks and devices.

    out/checkpoints/step-000000010000/     one directory for each, whole or not there

`writing` makes one, `stored` reads one, `schedule` says when one is due, and `course` is what a run
does with all of it.
"""

CHECKPOINTS = "checkpoints"  # in the directory of a run
FAILED = "failed-"  # prefix of the state of a run that could not go on

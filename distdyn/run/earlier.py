"""What earlier processes recorded of a run that goes on, up to its checkpoint.

    set_aside(directory, step)        # before/: one file each, nothing after the step
    load_aside(directory, step)       # every rank takes what is its own into its new files
    forget(directory)                 # when all of them are on the disk

How many ranks there were does not matter. As long as `before/` is there it is what counts: a
process that ends in the middle of this has lost nothing.
"""

import json
import os
import shutil
from pathlib import Path

from distdyn.errors import CheckpointError, DistDynError
from distdyn.run import store
from distdyn.run.merging import write_files
from distdyn.run.provenance import write_json
from distdyn.run.reader import load, read_run
from distdyn.run.recording import Recording

BEFORE, _DRAFT = "before", ".before.draft"


def set_aside(directory: Path, step: int) -> None:
    """Keep what was recorded up to a step, and nothing after it.

    Raises:
        CheckpointError: the recording does not reach the step.
        RunDirectoryError: it cannot be read, or written; it is as it was.
    """
    aside, draft = directory / BEFORE, directory / _DRAFT
    is_done = aside.is_dir()  # by a process that came no further
    recording = load(aside if is_done else directory)
    if not recording.start <= step <= recording.stop:
        raise CheckpointError(
            f'"{directory}" holds a recording of the steps {recording.start} to {recording.stop}, '
            f"and the checkpoint is of step {step}. Files of another run are in it: use another "
            "directory."
        )
    if is_done:
        return
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        write_files(recording.part(recording.start, step), draft)
        write_json(draft / "run.json", {**read_run(directory), "rank_files": 0})
        os.rename(draft, aside)
    except (OSError, json.JSONDecodeError) as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, DistDynError):
            raise
        raise store.unusable(draft, "w", error) from error


def load_aside(directory: Path, step: int) -> Recording:
    """What was set aside, up to a step."""
    recording = load(directory / BEFORE)
    return recording.part(recording.start, step)


def forget(directory: Path) -> None:
    """Remove what was set aside; it is in other files now."""
    for name in (BEFORE, _DRAFT):
        shutil.rmtree(directory / name, ignore_errors=True)

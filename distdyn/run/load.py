"""Reading a run back, without loading the HDF5 library before it is needed."""

import os

from distdyn.run.recording import Recording


def load(directory: str | os.PathLike) -> Recording:
    """Read back what a run wrote to its directory, also while it runs or after it died.

    Raises:
        RunDirectoryError: the directory or a file of it is missing, damaged or of another kind.
    """
    from distdyn.run.reader import load as read

    return read(directory)

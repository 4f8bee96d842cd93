"""One of each thing that a package can add to distdyn; each file runs by itself."""

from their_pkg.network import Net as Net

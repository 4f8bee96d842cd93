"""What the benchmarks share: how distdyn and its peers are run side by side, and compared.

Each peer lives in a virtual environment of its own (`environments`) and is driven by a worker, a
program that its Python runs (`*_worker.py`) and that answers one question after the other
(`workers`, `answering`), so that all take turns (`turns`).
"""

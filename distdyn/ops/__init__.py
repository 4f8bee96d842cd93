"""Operators: what moves spikes and advances cells, each with a reference and fast kernels."""

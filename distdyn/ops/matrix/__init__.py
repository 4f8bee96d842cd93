"""Matrices of synapses: rows are pre neurons, so `spikes @ A` is what the post neurons receive."""

"""How parts exchange spikes: with whom, how often, and by which road."""

"""From a description to something that runs: groups, tables of synapses, shards."""

"""The description of a network: populations, projections, rules, distributions. No arrays."""

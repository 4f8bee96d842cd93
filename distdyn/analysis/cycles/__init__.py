"""Limit cycles: collocation, Floquet multipliers, branches with their bifurcations and ends."""

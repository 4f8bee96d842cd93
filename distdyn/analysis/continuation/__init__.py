"""Branches of equilibria under a parameter, their bifurcations, and curves of these in two."""

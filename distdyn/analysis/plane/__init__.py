"""The plane of two variables: nullclines, trajectories, separatrices, slices of larger systems."""

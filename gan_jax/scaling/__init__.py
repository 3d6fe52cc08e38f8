"""Execution on devices: compiled programs, many runs at once, data parallelism, several processes, ensembles."""

"""Benchmarks: cases, compiled programs with their costs, rounds in turns, and rows of results for `gan-jax bench`."""

"""Measurements of speed: rows, rounds in turns, programs with their costs, cases, and what `gan-jax bench` measures."""

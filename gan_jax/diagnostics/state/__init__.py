"""Measurements of a training state: numerics of `gan-jax diagnose`."""

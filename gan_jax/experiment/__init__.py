"""The definition of a run: components, settings, players, checks, configs, remedies, sweeps."""

"""What a run is: components, settings, players, checks, configs, remedies, sweeps."""

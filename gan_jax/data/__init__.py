"""Mixtures, images and stacked images; where training batches come from."""

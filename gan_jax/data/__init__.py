"""The sources of training batches: mixtures, images and stacked images."""

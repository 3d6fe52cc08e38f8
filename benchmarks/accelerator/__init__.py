"""Everything that is worth measuring on an accelerator, by one command: `python -m benchmarks.accelerator`."""

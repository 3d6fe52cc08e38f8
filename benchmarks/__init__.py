"""One script for each question: how fast, how large, and what a study found. `harness` is what they share."""

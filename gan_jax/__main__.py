"""`python -m gan_jax`: the command line."""

from gan_jax.cli.main import entry

if __name__ == "__main__":
    entry()

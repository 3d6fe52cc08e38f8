"""Makes `from benchmarks.harness import ...` work in `python benchmarks/NAME.py` as in `python -m benchmarks.NAME`.

A script that is run as a file finds modules in its own folder only. There `benchmarks` is this module, which a
`__path__` makes a package of that folder.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parent)]

# %% [markdown]
# # Your own remedy, scored on CollapseBench
#
# CollapseBench is a fixed set of games that are known to collapse, with their seeds. A remedy is a file that defines
# `remedy(experiment)`, and its score is the share of these collapses that it prevents. This notebook writes one and
# plays one game with it; the whole bench has nine.
#
# In a hosted notebook, install the package first: `%pip install "gan-jax @ git+URL"`, with the address of its
# repository.

# %%
from pathlib import Path

import gan_jax as gj
from gan_jax.cli.main import main

# %% [markdown]
# ## The remedy
#
# In the game `cities_three_g` G takes three updates for one of D, and runs away from it. A remedy may change anything
# in an experiment: here G's learning rate is divided by the number of its updates.

# %%
code = '''
import gan_jax as gj


def remedy(experiment):
    """G moves as far in all its updates of a step as it would in one."""
    generator = experiment.generator
    rate = generator.learning_rate / generator.updates_per_step
    return gj.replace(experiment, "generator.learning_rate", rate)
'''
Path("calm.py").write_text(code, encoding="utf-8")
print(gj.load("ring+calm.py").generator.learning_rate)  # any config takes it; G of `ring` makes one update a step

# %% [markdown]
# ## The score
#
# The same as `gan-jax collapsebench calm.py --game cities_three_g` on the command line. It plays the seeds whose
# collapse is known, and stores the runs in `runs/collapsebench`, where every one can be looked at.

# %%
main(["collapsebench", "calm.py", "--game", "cities_three_g", "--strategy", "vmap", "--quiet"])

# %% [markdown]
# `prevented` is the share of the known collapses that did not happen, with its 95 % interval; `healthy` asks besides
# that the run formed and ends with well-made samples of most modes. One game says little: a remedy for games in which
# G is too fast may do nothing where D is. The columns, the games and the part that chance plays are explained in the
# guide
# [CollapseBench](../collapsebench.md).

# %% [markdown]
# # A study as one program
#
# A run is a function of (experiment, data, key), so a study is that function under `vmap`: here over learning rates
# of the generator and over seeds. Floats of an experiment are leaves of a pytree, so arms that differ in numbers
# share one program.
#
# In a hosted notebook, install the package first: `%pip install "gan-jax @ git+URL"`, with the address of its
# repository.

# %%
# %matplotlib inline
import jax
import numpy as np

import gan_jax as gj

# %% [markdown]
# ## The game
#
# `cities_three_g` of CollapseBench: samples are temperatures of two cities, and G takes three updates for one of D.
# Most seeds collapse onto one city within a few hundred steps. Does a slower G prevent it?

# %%
games = {arm.name: arm.experiment for arm in gj.load_sweep("collapsebench").arms}
short = {"num_steps": 1000, "eval_every_steps": 50, "detector.num_samples": 500}
base = gj.replace(games["cities_three_g"], short)

# %% [markdown]
# ## Arms by seeds
#
# `gj.stack` puts the experiments of the arms on a leading axis, and two `vmap`s make the study.

# %%
rates = (1e-3, 3e-4, 1e-4)
arms = gj.stack([gj.replace(base, "generator.learning_rate", rate) for rate in rates])
keys = jax.random.split(jax.random.key(0), 8)
study = jax.jit(jax.vmap(jax.vmap(gj.train, in_axes=(None, None, 0)), in_axes=(0, None, None)))
result = study(arms, (), keys)
print("outcomes, [arm, seed]:", result.verdict.outcome.shape)

# %%
sentences = np.array(result.verdict.sentences()).reshape(len(rates), len(keys))
for rate, row in zip(rates, sentences, strict=True):
    print(f"learning rate {rate:g}")
    print(*(f"    seed {seed}: {sentence}" for seed, sentence in enumerate(row)), sep="\n")

# %% [markdown]
# ## Survival
#
# A run without a collapse is censored at its last step: it lasted at least so long. Kaplan-Meier curves and the
# log-rank test take that into account; means of the observed times would not.

# %%
verdicts = list(result.verdict.verdicts())
times = [verdict.onset_step or verdict.last_step for verdict in verdicts]
observed = [verdict.onset_step is not None for verdict in verdicts]
groups = np.repeat([f"learning rate {rate:g}" for rate in rates], len(keys))
gj.plot.survival(times, observed, groups)
# %%
onsets = {
    name: [
        gj.metrics.Onset(time, "collapse" if failed else None)
        for time, failed, group in zip(times, observed, groups, strict=True)
        if group == name
    ]
    for name in dict.fromkeys(groups)
}
test = gj.metrics.log_rank(onsets)
print(f"log-rank over {len(rates)} arms: chi2 = {test.statistic:.3g}, p = {test.p:.2g}")

# %% [markdown]
# ## The samples
#
# Histograms of the last samples beside those of the data, one panel a run, for the first 16 runs.

# %%
gj.plot.samples(result)

# %% [markdown]
# The command line does the same with checkpoints, resume and a report: `gan-jax sweep ring_label_noise`. It
# measures which execution strategy is fastest on the machine at hand; see the guide [Scale](../scale.md).

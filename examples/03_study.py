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
# `ring_momentum` of CollapseBench: a ring of eight Gaussians, Adam with $\beta_1 = 0.9$ and five updates of D a
# step. Most seeds collapse.

# %%
games = {arm.name: arm.experiment for arm in gj.load_sweep("collapsebench").arms}
base = gj.replace(games["ring_momentum"], {"num_steps": 3000, "detector.num_samples": 1000})

# %% [markdown]
# ## Arms by seeds
#
# `gj.stack` puts the experiments of the arms on a leading axis, and two `vmap`s make the study.

# %%
rates = (0.0, 0.1, 0.2)
flips = gj.replace(base, "discriminator.transforms", (gj.losses.ExactFlips(rate=0.0),))
arms = gj.stack([gj.replace(flips, "discriminator.transforms.0.rate", rate) for rate in rates])
keys = jax.random.split(jax.random.key(0), 8)
study = jax.jit(jax.vmap(jax.vmap(gj.train, in_axes=(None, None, 0)), in_axes=(0, None, None)))
result = study(arms, (), keys)
print("outcomes, [arm, seed]:", result.verdict.outcome.shape)

# %%
for rate, verdicts in zip(rates, np.array(result.verdict.sentences()).reshape(len(rates), -1), strict=True):
    print(f"{rate:.0%} of the labels flipped")
    print(*(f"    seed {seed}: {sentence}" for seed, sentence in enumerate(verdicts)), sep="\n")

# %% [markdown]
# ## Survival
#
# A run without a collapse is censored at its last step: it lasted at least so long. Kaplan-Meier curves and the
# log-rank test take that into account; means of the observed times would not.

# %%
verdicts = list(result.verdict.verdicts())
times = [verdict.onset_step or verdict.last_step for verdict in verdicts]
observed = [verdict.onset_step is not None for verdict in verdicts]
groups = np.repeat([f"{rate:.0%} flips" for rate in rates], len(keys))
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
# One panel a run; the first row of panels is the arm without flips.

# %%
gj.plot.samples(result)

# %% [markdown]
# The command line does the same with checkpoints, resume and a report: `gan-jax sweep ring_label_noise`. It
# measures which execution strategy is fastest on the machine at hand; see the guide [Scale](../scale.md).

# %% [markdown]
# # A collapse on digits: seen, explained, prevented
#
# Two small MLPs play a GAN on scikit-learn's handwritten digits. One run is plain, in the other a fifth of D's
# labels are flipped. Both are one program. It takes one to two minutes on two cores, most of it
# training; nothing is downloaded.
#
# In a hosted notebook, install the package first: `%pip install "gan-jax @ git+URL"`, with the address of its
# repository.

# %%
# %matplotlib inline
import jax
import matplotlib.pyplot as plt
import numpy as np

import gan_jax as gj

# %% [markdown]
# ## Two runs as one program
#
# `digits_collapse` is a shipped config: Adam with $\beta_1 = 0.9$, five updates of D a step, no batch norm. An
# experiment is a pytree whose floats are leaves, so the two flip rates stack, and `lax.map` makes one program that runs
# them one after the other. (`vmap` runs them side by side, which is faster on a GPU and slower on a CPU.)

# %%
plain = gj.replace(
    gj.load("digits_collapse"),
    {
        "num_steps": 5000,
        "detector.num_samples": 320,
        "discriminator.transforms": (gj.losses.ExactFlips(rate=0.0),),
    },
)
flipped = gj.replace(plain, "discriminator.transforms.0.rate", 0.2)
data = gj.load_data(plain)
train = jax.jit(lambda runs, key: jax.lax.map(lambda run: gj.train(run, data, key), runs))
result = train(gj.stack([plain, flipped]), jax.random.key(0))
for name, sentence in zip(("plain", "flipped"), result.verdict.sentences(), strict=True):
    print(f"{name}: {sentence}")

# %% [markdown]
# ## Seen
#
# Real digits and the last samples of both runs, from the same latents:

# %%
gj.plot.samples(result)
# %% [markdown]
# How many classes are in the samples? At each evaluation a classifier, whose accuracy on real test images was
# checked first, names the class of 320 samples. `effective_classes` is the exponential of the entropy of these
# counts: 10 for real digits, 1 where all samples are of one class. The plain run loses classes; the flipped one
# keeps most of them. Its verdict is "never formed" since too many of its samples are not yet well made: a run has
# formed once it covers the data with good samples, which takes flipped runs of this game about 10,000 steps.

# %%
evaluations = result.evaluations
metrics = evaluations.metrics["running"]
steps = np.asarray(evaluations.step[0])
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for index, name in enumerate(("plain", "flipped")):
    axes.plot(steps, metrics.effective_classes[index], "o-", markersize=3, label=name)
axes.set(xlabel="step", ylabel="effective classes", ylim=(0, 10.5))
_ = axes.legend(frameon=False)
# %% [markdown]
# ## Explained
#
# With five updates a step D is far ahead of G: it tells real from fake almost without error, and G follows whatever
# direction D's scores give, all samples at once. The gap between D's mean scores of real and of fake examples shows
# it.

# %%
gap = result.metrics["real_score"] - result.metrics["fake_score"]
smooth = np.asarray(gap).reshape(2, -1, 50).mean(axis=-1)
figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
for index, name in enumerate(("plain", "flipped")):
    axes.plot(50 * np.arange(1, smooth.shape[1] + 1), smooth[index], label=name)
axes.set(xlabel="step", ylabel="D(real) - D(fake)")
_ = axes.legend(frameon=False)

# %% [markdown]
# ## Prevented
#
# A flipped label trains D to give some fakes the score of real examples. A D that minimises this loss has bounded
# scores: with a share $r$ of both sides flipped,
#
# ```math
# D^*(x) = \log \frac{(1 - r)\, p_\mathrm{data}(x) + r\, p_G(x)}{(1 - r)\, p_G(x) + r\, p_\mathrm{data}(x)},
# \qquad |D^*(x)| \le \log \frac{1 - r}{r}
# ```
#
# so the gap is at most twice that: 2.8 at $r = 0.2$. The flipped run stays at it, and keeps its classes. This is
# one seed; how often it helps is a question for many: `gan-jax sweep digits_label_noise` plays six rates by 33
# seeds, and [Label noise](../label_noise.md) has what they did in 20,000 steps.

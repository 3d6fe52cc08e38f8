# %% [markdown]
# # Evaluate the samples of a PyTorch model
#
# The metrics take samples of any program. At the end of a PyTorch script one line writes them to a file:
#
# ```python
# numpy.savez("samples.npz", samples=generator(latents).detach().cpu().numpy())   # [n, 1, 16, 16]
# ```
#
# and `gan-jax evaluate --samples samples.npz --data digits` prints every metric. This notebook does the same in
# Python, for four models whose faults are known, to show which metric sees which fault.
#
# In a hosted notebook, install the package first: `%pip install "gan-jax @ git+URL"`, with the address of its
# repository.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np

import gan_jax as gj

# %% [markdown]
# ## Four models
#
# No model is trained here. Each set of samples is made from scikit-learn's digits, so that its fault is known:
# held-out digits have none; a collapsed model makes ones and sevens alone, moved by up to a pixel; a memorising one
# repeats training images with noise that the eye does not see; and one blurs its samples. The arrays have PyTorch's
# layout and range: `[n, channels, height, width]`, in [-1, 1].

# %%
experiment = gj.load("digits_collapse")
dataset = gj.load_data(experiment).dataset
rng = np.random.default_rng(0)
train, test = (
    np.asarray(images, np.float32).transpose(0, 3, 1, 2) / 127.5 - 1 for images in (dataset.images, dataset.test_images)
)
labels = np.asarray(dataset.test_labels)
shifts = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
models = {
    "faultless": test,
    "collapsed": np.concatenate([np.roll(test[np.isin(labels, (1, 7))], shift, (2, 3)) for shift in shifts]),
    "memorising": rng.permutation(train)[: len(test)] + rng.normal(0, 0.01, test.shape),
    "blurred": np.mean([np.roll(test, shift, (2, 3)) for shift in shifts], axis=0),
}
models = {name: rng.permutation(np.clip(samples, -1, 1)).astype(np.float32) for name, samples in models.items()}
figure, axes = plt.subplots(4, 12, figsize=(6, 2.2), layout="constrained")
for row, (name, samples) in zip(axes, models.items(), strict=True):
    row[0].set_ylabel(name, rotation=0, ha="right")
    for axis, sample in zip(row, samples, strict=False):
        axis.imshow(sample[0], cmap="gray", vmin=-1, vmax=1)
        axis.set(xticks=[], yticks=[])

# %% [markdown]
# ## Which metric sees which fault?
#
# `evaluate_samples` compares the samples with as many training images. It
# can also give a 95 % interval for each value, which takes most of the time, and which is left out here.

# %%
columns = ["modes", "kl", "frechet", "precision_k5", "coverage", "authenticity", "copying"]
results = {
    name: gj.evaluate_samples(samples, "digits", metrics="modes,frechet,prdc,memorisation", intervals=False)
    for name, samples in models.items()
}
print(f"{'model':12}", *(f"{name:>12}" for name in columns))
for model, result in results.items():
    print(f"{model:12}", *(f"{result['values'][name]['value']:12.3g}" for name in columns))

# %% [markdown]
# The first row is what real images get. `modes` and `kl` see the collapse, and neither the blur nor the copies.
# `precision` stays high for the collapsed model, since its samples are real ones and sevens, and `coverage` falls. The
# Frechet distance sees collapse and blur, and takes the copies for faultless samples. Only the metrics of memorisation
# compare with the training set image by image: `authenticity` is the share of samples that are farther from
# their nearest training image than that image is from its own nearest neighbour, 0 for copies; `copying` is far
# below 0 for them. No metric sees all faults, so a claim about mode collapse needs several.
#
# The guide [Evaluation](../evaluation.md) has the definition of each metric, what it is blind to, and how to use the
# metrics as pure functions inside `jit` and `vmap`.

# %% [markdown]
# # Differentiate through an optimiser
#
# `gj.unroll.unroll` runs K updates of any optax optimiser and is differentiable in all that goes in. This notebook
# uses it on a problem without a GAN, then in a GAN, where the exact gradient of an unrolled generator is compared
# with the first-order one.
#
# In a hosted notebook, install the package first: `%pip install "gan-jax @ git+URL"`, with the address of its
# repository.

# %%
# %matplotlib inline
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

import gan_jax as gj
from gan_jax.unroll import unroll

# %% [markdown]
# ## A learning rate, learned
#
# A linear regression is trained for 40 updates of gradient descent with momentum, each on a batch of its own. The
# loss after the last update is a function of the learning rate:
#
# ```math
# F(\eta) = L(\theta_K(\eta)), \qquad \theta_{k+1} = \theta_k - \eta \, m_{k+1},
# \qquad m_{k+1} = 0.9 \, m_k + \nabla L(\theta_k, x_k)
# ```
#
# The optimiser is made inside the function, so its settings are arguments like any other.

# %%
inputs = jax.random.normal(jax.random.key(0), (40, 16, 8))
targets = inputs @ jnp.arange(8.0)


def loss(weights, batch):
    inputs, targets = batch
    return jnp.mean((inputs @ weights - targets) ** 2)


def final_loss(log_rate):
    optimizer = optax.sgd(jnp.exp(log_rate), momentum=0.9)
    weights = jnp.zeros(8)
    end = unroll(loss, optimizer, weights, optimizer.init(weights), (inputs, targets))
    return loss(end.params, (inputs[0], targets[0]))


log_rates = jnp.log(jnp.geomspace(1e-4, 0.06, 60))
values, slopes = jax.jit(jax.vmap(jax.value_and_grad(final_loss)))(log_rates)

figure, (above, below) = plt.subplots(2, 1, figsize=(6, 4.5), sharex=True, layout="constrained")
above.loglog(np.exp(log_rates), values)
above.set(ylabel="loss after 40 updates")
below.semilogx(np.exp(log_rates), slopes, label="gradient through the optimiser")
below.semilogx(np.exp(log_rates), np.gradient(values, log_rates), "k.", markersize=4, label="central differences")
below.set(xlabel="learning rate", ylabel="dF / d log rate", yscale="symlog")
_ = below.legend(frameon=False)
# %% [markdown]
# The gradient agrees with the differences between neighbouring points, through the oscillations that momentum
# makes. Steps of 0.2 in the logarithm against the sign of the gradient find the first minimum:

# %%
step = jax.jit(lambda log_rate: log_rate - 0.2 * jnp.sign(jax.grad(final_loss)(log_rate)))
log_rate = jnp.log(1e-4)
for _ in range(40):
    log_rate = step(log_rate)
print(f"rate 1e-4: loss {final_loss(jnp.log(1e-4)):.3g}; rate {jnp.exp(log_rate):.2g}: loss {final_loss(log_rate):.3g}")

# %% [markdown]
# ## The same in a GAN
#
# An unrolled generator differentiates its loss through K further updates of the discriminator:
#
# ```math
# \nabla_{\theta_G} f(\theta_G, \theta_D^K) = \frac{\partial f}{\partial \theta_G}
# + \frac{\partial f}{\partial \theta_D^K} \, \frac{d \theta_D^K}{d \theta_G}
# ```
#
# The first-order gradient drops the second term, as most public code does. `Unroll` is a field of the player; its
# `gradient` chooses between the two. A small GAN is trained for 200 steps, and takes one step by each rule from the
# same state:

# %%
experiment = gj.replace(
    gj.load("ring"),
    {
        "num_steps": 200,
        "eval_every_steps": 100,
        "generator.network.widths": (32, 32),
        "discriminator.network.widths": (32, 32),
        "generator.optimizer": gj.SGD(),
        "discriminator.optimizer": gj.SGD(),
        "generator.learning_rate": 1e-2,
        "discriminator.learning_rate": 3e-1,
    },
)
state = jax.jit(gj.train)(experiment, (), jax.random.key(0)).state


def direction(unrolled):
    """G's parameters after one step less those before it, as one vector."""
    changed = gj.replace(experiment, "generator.unroll", unrolled)
    after, _ = jax.jit(gj.step)(changed, (), state)
    params = [ravel_pytree(s.generator.variables.params)[0] for s in (after, state)]
    return params[0] - params[1]


counts = (1, 5, 20)
cosines, shares = [], []
for num_steps in counts:
    exact = direction(gj.Unroll(num_steps=num_steps))
    first = direction(gj.Unroll(num_steps=num_steps, gradient=gj.unroll.FirstOrder()))
    cosines.append(float(exact @ first / (jnp.linalg.norm(exact) * jnp.linalg.norm(first))))
    shares.append(float(jnp.linalg.norm(exact - first) / jnp.linalg.norm(exact)))

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
axes.plot(counts, cosines, "o-", label="cosine of exact and first order")
axes.plot(counts, shares, "s--", label="|exact - first order| / |exact|")
axes.set(xlabel="K, updates of D", ylim=(min(0, *cosines) - 0.05, None))
_ = axes.legend(frameon=False)

# %% [markdown]
# At every K the term that first-order unrolling leaves out is a large part of the gradient. Figures for longer
# rollouts, memory and time, and the check against central differences in float64 are in the guide
# [Unrolling](../unrolling.md).

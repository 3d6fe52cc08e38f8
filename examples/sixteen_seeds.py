import jax

import gan_jax as gj

experiment = gj.replace(gj.load("ring"), "num_steps", 3000)
data = gj.load_data(experiment)
keys = jax.random.split(jax.random.key(0), 16)
result = jax.jit(jax.vmap(gj.train, in_axes=(None, None, 0)))(experiment, data, keys)
print(*result.verdict.sentences(), sep="\n")
gj.plot.samples(result).savefig("sixteen_seeds.png")

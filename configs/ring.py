"""A plain GAN on a ring of eight Gaussians: the smallest place to watch modes come and go."""
from gan_jax.testing import tiny_ring
def experiment():
    return tiny_ring(num_steps=2000, eval_every_steps=100, batch_size=128)

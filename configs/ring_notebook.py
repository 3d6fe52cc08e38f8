"""The ring of the official unrolled-GAN notebook, without unrolling (K = 0).

Claim: the notebook's plain GAN does not cover the ring, its unrolled one does. Its `linspace(0, 2 pi, 8)` includes both
    ends, so it trains on 7 distinct modes, of which one has weight 2/8.
Command: gan-jax train ring_notebook  (unrolled: `ring_unrolled_notebook`)
Cost: 25,000 steps of batch 512: about 90 seconds on two cores.
Figure: modes captured of 7, and the onset if there is one; see docs/unrolling.md.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, and its notebook `Unrolled GAN demo.ipynb`:
    radius 1, std 0.01; tanh nets of two 128-unit layers, orthogonal with gain 1.4; latent 256; Adam b1 0.5, D 1e-4,
    G 1e-3; both players move at once, on the saddle point loss.
"""

from gan_jax.data.mixtures import Ring
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.losses.objectives import Minimax
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.dynamics import Simultaneous
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    net = {"widths": (128, 128), "activation": "tanh", "init_name": "orthogonal", "gain": 1.4}
    return Experiment(
        data=Ring(num_modes=8, radius=1.0, std=0.01, closed=True),
        generator=Generator(network=MLPGenerator(**net), learning_rate=1e-3, optimizer=Adam(b1=0.5), latent_dim=256),
        discriminator=Discriminator(network=MLPDiscriminator(**net), learning_rate=1e-4, optimizer=Adam(b1=0.5)),
        detector=MixtureDetector(),
        objective=Minimax(),
        batch_size=512,
        num_steps=25_000,
        eval_every_steps=500,
        dynamics=Simultaneous(),
    )

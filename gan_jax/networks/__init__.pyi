# Public names of this room and where they are defined; `__init__.py` imports each when it is first used.
from .autoencoder import AutoencoderDiscriminator as AutoencoderDiscriminator
from .committee import Committee as Committee
from .committee import ClassifierHead as ClassifierHead
from .dcgan import DCGANGenerator as DCGANGenerator
from .dcgan import DCGANDiscriminator as DCGANDiscriminator
from .encoder import Bidirectional as Bidirectional
from .encoder import JointDiscriminator as JointDiscriminator
from .generator_mixture import GeneratorMixture as GeneratorMixture
from .minibatch import MinibatchDiscrimination as MinibatchDiscrimination
from .minibatch import MinibatchStddev as MinibatchStddev
from .mlp import MLPGenerator as MLPGenerator
from .mlp import MLPDiscriminator as MLPDiscriminator
from .network import Variables as Variables
from .network import GeneratorNetwork as GeneratorNetwork
from .network import DiscriminatorNetwork as DiscriminatorNetwork
from .packing import Packed as Packed
from .points import PointGenerator as PointGenerator
from .points import LinearDiscriminator as LinearDiscriminator
from .progressive import ProgressiveGenerator as ProgressiveGenerator
from .progressive import ProgressiveDiscriminator as ProgressiveDiscriminator
from .norm_free import NormFreeGenerator as NormFreeGenerator
from .norm_free import NormFreeDiscriminator as NormFreeDiscriminator
from .resnet import ResNetGenerator as ResNetGenerator
from .resnet import ResNetDiscriminator as ResNetDiscriminator
from .spectral import SpectralNorm as SpectralNorm
from .stacked_networks import StackedGenerator as StackedGenerator
from .stacked_networks import StackedDiscriminator as StackedDiscriminator
from .strided import StridedGenerator as StridedGenerator
from .strided import StridedDiscriminator as StridedDiscriminator

__all__: list[str]

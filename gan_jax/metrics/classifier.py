"""The image classifiers of this project: shipped weights, their hashes, and the accuracy that every use requires."""

from __future__ import annotations

import functools
import hashlib
from importlib import resources
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Num

from gan_jax.data.image_arrays import NUM_CLASSES
from gan_jax.networks.classifier_network import CLASSIFIER_SIZE, ClassifierModule, resize_for_classifier

GATES = {"mnist": 0.993, "fashion_mnist": 0.92, "digits": 0.97}
"""Required accuracy on real held-out images, by data set; below it no metrics are computed."""

RESIZED_TOLERANCE = 0.003
"""How far below its gate the accuracy may be on images that were enlarged for a larger generator.

Enlarging and reducing an image (28 -> 64 -> 28) blurs it slightly, so a good classifier errs on a few more images.
"""

SHRUNK_TOLERANCE = 0.02
"""The same for images that were reduced for a smaller generator, which lose detail.

At 16x16 the shipped classifiers have accuracies of 98.3 % on MNIST and 90.2 % on Fashion-MNIST. That is enough to count
the classes of ten thousand samples; the ceilings of every metric include these errors.
"""

_BLOCK = 256


class UnvalidatedClassifier(ValueError):
    """A classifier that is missing, or whose accuracy on the given real images is below its gate."""


class Classifier(NamedTuple):
    """A frozen classifier: the parameters of `ClassifierModule()`, arrays only.

    Example:
        >>> sorted(load_classifier("digits").params)
        ['conv_0', 'conv_1', 'conv_2', 'hidden', 'output']
    """

    params: Any


def load_classifier(name: str) -> Classifier | None:
    """The shipped classifier of a data set, or None if there is none.

    Args:
        name: a data set, such as "mnist"; those with a classifier are the keys of `GATES`.

    Returns:
        The classifier; it is read once in a process.

    Example:
        >>> load_classifier("digits") is load_classifier("digits"), load_classifier("cifar10")
        (True, None)
    """
    if name not in GATES:
        return None
    return _load(name)


def read_classifier(file: Any) -> Classifier:
    """Reads a classifier from an npz file (a path or an open binary file) of arrays named "layer/parameter".

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> np.savez(file, **{"output/bias": np.zeros(10)})
        >>> _ = file.seek(0)
        >>> read_classifier(file).params["output"]["bias"].shape
        (10,)
    """
    params: dict[str, dict[str, Array]] = {}
    with np.load(file, allow_pickle=False) as arrays:
        for path in arrays.files:
            layer, name = path.split("/")
            params.setdefault(layer, {})[name] = jnp.asarray(arrays[path], jnp.float32)
    return Classifier(params)


def classifier_hash(classifier: Classifier) -> str:
    """The first 16 hex digits of the SHA-256 of the weights: names, shapes and float32 values.

    Example:
        >>> classifier_hash(load_classifier("digits"))
        '97cab9e85c09e464'
    """
    digest = hashlib.sha256()
    for path, array in jax.tree_util.tree_leaves_with_path(classifier.params):
        values = np.asarray(array, "<f4")
        digest.update(f"{jax.tree_util.keystr(path)}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]


@jax.jit
def classify(
    classifier: Classifier, images: Num[Array, "n height width 1"]
) -> tuple[Float[Array, "n 10"], Float[Array, "n 96"]]:
    """Class probabilities and penultimate features of images, in blocks of 256, which bounds the memory.

    Args:
        classifier: the weights, which may be traced.
        images: `[n, height, width, 1]` of any size, floats in [-1, 1] or uint8 in 0..255.

    Returns:
        Probabilities `[n, 10]` and features `[n, 96]` (rectified activations of the hidden layer).

    Example:
        A black image is no digit, so no class is probable:

        >>> probabilities, features = classify(load_classifier("digits"), -jnp.ones((1, 28, 28, 1)))
        >>> float(jnp.max(probabilities)) < 0.2, features.shape
        (True, (1, 96))
    """
    module = ClassifierModule()

    def block(x: Array) -> tuple[Array, Array]:
        outputs: Any = module.apply({"params": classifier.params}, resize_for_classifier(as_floats(x)))
        logits, features = outputs
        return jax.nn.softmax(logits), features

    num_images = images.shape[0]
    if num_images <= _BLOCK:
        return block(images)
    num_blocks = -(-num_images // _BLOCK)
    padding = [(0, num_blocks * _BLOCK - num_images)] + [(0, 0)] * (images.ndim - 1)
    blocks = jnp.pad(images, padding).reshape(num_blocks, _BLOCK, *images.shape[1:])
    probabilities, features = jax.lax.map(block, blocks)
    return probabilities.reshape(-1, NUM_CLASSES)[:num_images], features.reshape(-1, features.shape[-1])[:num_images]


def as_floats(images: Num[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Images as float32 in [-1, 1]; integers (0..255) are rescaled, floats are not.

    Example:
        >>> as_floats(jnp.array([0, 255], jnp.uint8)).tolist()
        [-1.0, 1.0]
    """
    if jnp.issubdtype(images.dtype, jnp.integer):
        return images.astype(jnp.float32) / 127.5 - 1.0
    return images.astype(jnp.float32)


def accuracy(classifier: Classifier, images: Any, labels: Any) -> float:
    """Share of images whose most probable class is their label.

    Args:
        classifier: any, validated or not.
        images: `[n, height, width, 1]`, floats in [-1, 1] or uint8.
        labels: whole numbers in 0..9, `[n]`.

    Returns:
        The accuracy, in [0, 1].

    Example:
        With all weights 0 the classes are equally probable, and the first one is taken:

        >>> blank = Classifier(jax.tree.map(jnp.zeros_like, load_classifier("digits").params))
        >>> accuracy(blank, jnp.zeros((4, 28, 28, 1)), [0, 0, 0, 7])
        0.75
    """
    probabilities, _ = classify(classifier, jnp.asarray(images))
    return float(np.mean(np.argmax(np.asarray(probabilities), axis=1) == np.asarray(labels)))


def validated_classifier(name: str, test_images: Any, test_labels: Any) -> tuple[Classifier, float]:
    """The shipped classifier of a data set, after its accuracy on real held-out images was checked.

    The required accuracy is `GATES[name]` at 28x28, as in training, minus `RESIZED_TOLERANCE` for larger images and
    minus `SHRUNK_TOLERANCE` for smaller ones.

    Args:
        name: the data set.
        test_images: real held-out images `[n, size, size, 1]`, floats in [-1, 1] or uint8, at the generator's size.
        test_labels: their classes `[n]`, whole numbers in 0..9.

    Returns:
        (the classifier, its measured accuracy in [0, 1]).

    Raises:
        UnvalidatedClassifier: if there is no classifier of that name, or its accuracy is below the required one.

    Example:
        >>> from gan_jax.data.images import Images
        >>> digits = Images("digits").load()
        >>> classifier, measured = validated_classifier("digits", digits.test_images, digits.test_labels)
        >>> round(measured, 3), GATES["digits"]
        (0.994, 0.97)
    """
    classifier = load_classifier(name)
    if classifier is None:
        known = ", ".join(sorted(GATES))
        raise UnvalidatedClassifier(
            f"there is no classifier for {name!r} (known: {known}): measure without one, by pixels only"
        )
    gate = GATES[name]
    if test_images.shape[1] > CLASSIFIER_SIZE:
        gate -= RESIZED_TOLERANCE
    elif test_images.shape[1] < CLASSIFIER_SIZE:
        gate -= SHRUNK_TOLERANCE
    measured = accuracy(classifier, test_images, test_labels)
    if not measured >= gate:
        raise UnvalidatedClassifier(
            f"the classifier for {name!r} gets {measured:.2%} of {len(test_labels)} real test images right, and "
            f"must get {gate:.2%}: are these the test images of {name!r}, in [-1, 1] or uint8, white on black?"
        )
    return classifier, measured


@functools.cache
def _load(name: str) -> Classifier:
    with (resources.files("gan_jax.metrics") / "weights" / f"{name}.npz").open("rb") as file:
        return read_classifier(file)

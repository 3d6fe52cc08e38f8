from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.convolution import Conv, ConvTranspose, conv, conv_transpose

# (batch, size, in, out, kernel, stride, padding)
CASES = [
    (2, 8, 3, 5, 4, 2, 1),
    (1, 6, 17, 4, 4, 2, 1),  # 4 * 17 channels a block: the products are not joined
    (2, 4, 4, 3, 4, 1, 0),
    (2, 7, 2, 3, 7, 1, 0),
    (2, 1, 6, 3, 4, 1, 0),
    (2, 5, 3, 4, 3, 1, 1),
    (1, 7, 2, 3, 5, 2, 2),
    (2, 6, 2, 2, 3, 2, 1),
    (1, 7, 2, 2, 2, 3, 0),  # the stride is wider than the kernel
    (1, 6, 3, 2, 1, 1, 0),
]
FUNCTIONS = {"conv": conv, "conv_transpose": conv_transpose}
TABLE = [
    pytest.param(name, case, id=f"{name}-k{case[4]}s{case[5]}p{case[6]}-{case[1]}x{case[2]}")
    for name in FUNCTIONS
    for case in CASES
    if name == "conv_transpose" or case[1] + 2 * case[6] >= case[4]
]


def arrays(case, dtype):
    batch, size, channels, features, k, _, _ = case
    rng = np.random.default_rng(sum(case))
    x = rng.normal(size=(batch, size, size + (1 < size < k + 2 and k not in (4, 7)), channels))
    kernel = rng.normal(size=(k, k, channels, features))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


def pair(name, case):
    """The two implementations as functions of (x, kernel)."""
    settings = {"stride": case[5], "padding": case[6]}
    return [lambda x, k, i=i: FUNCTIONS[name](x, k, **settings, implementation=i) for i in ("native", "matmul")]


def loop(name, x, kernel, stride, padding):
    """PyTorch's definitions, an output (or input) pixel at a time."""
    x, kernel = np.asarray(x), np.asarray(kernel)
    batch, height, width, _ = x.shape
    kh, kw, _, features = kernel.shape
    if name == "conv":
        x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        out_h = (height + 2 * padding - kh) // stride + 1
        out_w = (width + 2 * padding - kw) // stride + 1
        out = np.zeros((batch, out_h, out_w, features), x.dtype)
        for i in range(out_h):
            for j in range(out_w):
                window = x[:, i * stride : i * stride + kh, j * stride : j * stride + kw]
                out[:, i, j] = np.einsum("buvc,uvco->bo", window, kernel)
        return out
    out = np.zeros((batch, (height - 1) * stride + kh, (width - 1) * stride + kw, features), x.dtype)
    for i in range(height):
        for j in range(width):
            patch = np.einsum("bc,uvco->buvo", x[:, i, j], kernel)
            out[:, i * stride : i * stride + kh, j * stride : j * stride + kw] += patch
    return out[:, padding : out.shape[1] - padding, padding : out.shape[2] - padding]


def relative(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    return np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)


@pytest.mark.parametrize(("name", "case"), TABLE)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-6), ("bfloat16", 3e-2)])
def test_values_match_the_loop(name, case, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        x, kernel = arrays(case, dtype)
        expected = loop(name, np.asarray(x, np.float64), np.asarray(kernel, np.float64), *case[5:])
        for function in pair(name, case):
            out = function(x, kernel)
            assert out.dtype == x.dtype
            assert relative(out, expected) < tolerance


@pytest.mark.parametrize(("name", "case"), TABLE)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
def test_gradients_agree(name, case, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        x, kernel = arrays(case, dtype)

        @jax.jit
        def both(x, kernel):
            results = []
            for function in pair(name, case):
                out, pull = jax.vjp(function, x, kernel)
                weight = jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape)
                results.append((out, *pull(weight)))
            return results

        for native, matmul in zip(*both(x, kernel), strict=True):
            assert matmul.dtype == native.dtype == jnp.dtype(dtype)
            assert relative(matmul, native) < tolerance


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("case", [CASES[1], CASES[2], CASES[6]], ids=["k4s2p1", "k4s1p0", "k5s2p2"])
def test_second_derivatives_agree_in_both_modes(name, case):
    with jax.enable_x64(True):
        x, kernel = arrays(case, "float64")
        direction = (jnp.sin(x), jnp.cos(kernel))

        @jax.jit
        def both(x, kernel):
            results = []
            for function in pair(name, case):

                def scalar(x, kernel, function=function):
                    return jnp.sum(jnp.tanh(function(x, kernel) / 8) ** 2)

                gradient = jax.grad(scalar, argnums=(0, 1))

                def along(x, kernel, gradient=gradient):
                    g = gradient(x, kernel)
                    return jnp.vdot(g[0], direction[0]) + jnp.vdot(g[1], direction[1])

                tangent = jax.jvp(function, (x, kernel), direction)[1]
                forward = jax.jvp(gradient, (x, kernel), direction)[1]
                reverse = jax.grad(along, argnums=(0, 1))(x, kernel)
                results.append((tangent, forward, reverse))
            return results

        (native_jvp, native, _), (matmul_jvp, forward, reverse) = both(x, kernel)
        assert relative(matmul_jvp, native_jvp) < 1e-10
        for a, b, c in zip(forward, reverse, native, strict=True):
            assert relative(a, c) < 1e-10
            assert relative(b, c) < 1e-10


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=["x", "kernel", "both"])
def test_vmap_is_the_loop_and_stays_a_product(name, axes):
    with jax.enable_x64(True):
        case = CASES[1]
        _, function = pair(name, case)
        x, kernel = arrays(case, "float64")
        xs, kernels = jnp.stack([x, 2 * x, x**2]), jnp.stack([kernel, kernel + 1, kernel**2])
        operands = (xs if axes[0] == 0 else x, kernels if axes[1] == 0 else kernel)

        def gradients(x, kernel):
            out, pull = jax.vjp(function, x, kernel)
            return (out, *pull(jnp.cos(out)))

        mapped = jax.vmap(gradients, in_axes=axes)
        text = str(jax.make_jaxpr(mapped)(*operands))
        assert "dot_general" in text
        assert "conv_general_dilated" not in text
        results = jax.jit(mapped)(*operands)
        one = jax.jit(gradients)
        for i in range(3):
            single = one(xs[i] if axes[0] == 0 else x, kernels[i] if axes[1] == 0 else kernel)
            for a, b in zip(results, single, strict=True):
                assert relative(a[i], b) < 1e-12


def test_auto_is_matmul_on_the_cpu():
    x, kernel = arrays(CASES[0], "float32")
    text = str(jax.make_jaxpr(lambda x, k: conv(x, k, stride=2, padding=1))(x, kernel))
    assert ("conv_general_dilated" in text) == (jax.default_backend() != "cpu")


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_layers_share_parameters_between_implementations(layer):
    x, _ = arrays(CASES[0], "float32")
    make = {i: layer(5, (4, 4), 2, 1, implementation=i) for i in ("native", "matmul")}
    variables = make["native"].init(jax.random.key(0), x)
    shapes = jax.tree.map(jnp.shape, variables["params"])
    assert shapes == {"kernel": (4, 4, 3, 5), "bias": (5,)}
    assert shapes == jax.tree.map(jnp.shape, make["matmul"].init(jax.random.key(0), x)["params"])
    params = {"params": {**variables["params"], "bias": jnp.arange(5.0)}}
    native, matmul = (make[i].apply(params, x) for i in ("native", "matmul"))
    assert relative(matmul, native) < 1e-5
    without = layer(5, (4, 4), 2, 1, use_bias=False).apply({"params": {"kernel": params["params"]["kernel"]}}, x)
    np.testing.assert_allclose(matmul - without, np.broadcast_to(np.arange(5.0), matmul.shape), atol=1e-5)
    narrow = layer(5, (4, 4), 2, 1, dtype=jnp.bfloat16)
    assert narrow.apply(params, x).dtype == jnp.bfloat16
    assert narrow.init(jax.random.key(0), x)["params"]["kernel"].dtype == jnp.float32


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_errors(function):
    x, kernel = arrays(CASES[0], "float32")
    with pytest.raises(ValueError, match="'fft'.*auto, native, matmul"):
        function(x, kernel, implementation="fft")
    with pytest.raises(ValueError, match="do not fit"):
        function(x[..., :2], kernel)
    with pytest.raises(ValueError, match="at least 1 and 0"):
        function(x, kernel, stride=0)
    with pytest.raises(ValueError, match="the output would be"):
        function(x[:, :1, :1], kernel, padding=0 if function is conv else 2)

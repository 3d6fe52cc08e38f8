from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.bench.flops import matmul_flops
from gan_jax.networks.convolution import IMPLEMENTATIONS, Conv, ConvTranspose, conv, conv_transpose

# (batch, size, in, out, kernel, stride, padding)
CASES = [
    (2, 8, 3, 5, 4, 2, 1),
    (1, 6, 17, 4, 4, 2, 1),  # 4 * 17 channels a block: the products are not joined
    (2, 4, 4, 3, 4, 1, 0),
    (2, 7, 2, 3, 7, 1, 0),
    (2, 1, 6, 3, 4, 1, 0),
    (2, 1, 6, 3, 6, 2, 1),
    (2, 5, 3, 4, 3, 1, 1),
    (1, 7, 2, 3, 5, 2, 2),
    (2, 6, 2, 2, 3, 2, 1),
    (1, 7, 2, 2, 2, 3, 0),  # the stride is wider than the kernel
    (1, 6, 3, 2, 1, 1, 0),
    (2, 8, 16, 16, 4, 2, 1),  # wide and even: nine products by "winograd"
]
WIDE = CASES[-1]
UNEVEN = (2, 8, 16, 16, 3, 2, 1)  # two by two taps too, but one side is odd
FUNCTIONS = {"conv": conv, "conv_transpose": conv_transpose}
TABLE = [
    pytest.param(name, case, id=f"{name}-k{case[4]}s{case[5]}p{case[6]}-{case[1]}x{case[2]}")
    for name in FUNCTIONS
    for case in CASES
    # A kernel too large for the map is an error, and a transposed one of 7 by 7 elsewhere many products to compile.
    if (case[1] + 2 * case[6] >= case[4] if name == "conv" else case[4] < 7)
]


def arrays(case, dtype):
    batch, size, channels, features, k, _, _ = case
    rng = np.random.default_rng(sum(case))
    width = size + 1 if k in (3, 5) else size  # not all maps are square
    x = rng.normal(size=(batch, size, width, channels))
    kernel = rng.normal(size=(k, k, channels, features))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


def way(name, case, implementation):
    """An implementation as a function of (x, kernel)."""
    settings = {"stride": case[5], "padding": case[6], "implementation": implementation}
    return lambda x, kernel: FUNCTIONS[name](x, kernel, **settings)


def ways(name, case):
    return [way(name, case, implementation) for implementation in IMPLEMENTATIONS[1:]]


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


def loop_of(function, axes, operands):
    """What vmap of the function should be, by indexing."""
    function = jax.jit(function)
    operands = [np.asarray(operand) for operand in operands]
    for i in range(3):
        yield function(*(o[i] if axis == 0 else o for o, axis in zip(operands, axes, strict=True)))


def relative(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape
    return np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)


def check(name, case, dtype, value_tolerance, gradient_tolerance):
    x, kernel = arrays(case, dtype)
    expected = loop(name, np.asarray(x, np.float64), np.asarray(kernel, np.float64), *case[5:])
    weight = jnp.asarray(np.cos(np.arange(expected.size)).reshape(expected.shape), dtype)

    @jax.jit
    def all_of(x, kernel, weight):
        results = []
        for function in ways(name, case):
            out, pull = jax.vjp(function, x, kernel)
            results.append((out, *pull(weight)))
        return results

    native, *others = all_of(x, kernel, weight)
    for result in (native, *others):
        assert [r.dtype for r in result] == [jnp.dtype(dtype)] * 3
        assert relative(result[0], expected) < value_tolerance
    for result in others:
        for a, b in zip(result[1:], native[1:], strict=True):
            assert relative(a, b) < gradient_tolerance


@pytest.mark.parametrize(("name", "case"), TABLE)
def test_all_match_the_loop_and_each_other_in_float64(name, case):
    with jax.enable_x64(True):
        check(name, case, "float64", 1e-12, 1e-10)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("case", [CASES[1], CASES[6], WIDE], ids=["k4s2p1", "k3s1p1", "wide"])
@pytest.mark.parametrize(
    ("dtype", "value_tolerance", "gradient_tolerance"), [("float32", 2e-6, 1e-5), ("bfloat16", 3e-2, 3e-2)]
)
def test_narrower_dtypes_are_kept(name, case, dtype, value_tolerance, gradient_tolerance):
    check(name, case, dtype, value_tolerance, gradient_tolerance)


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("case", [CASES[0], CASES[6], WIDE], ids=["k4s2p1", "k3s1p1", "wide"])
def test_second_derivatives_agree_in_both_modes(name, case):
    with jax.enable_x64(True):
        x, kernel = arrays(case, "float64")
        direction = (jnp.sin(x), jnp.cos(kernel))

        @jax.jit
        def all_of(x, kernel):
            results = []
            for function in ways(name, case):

                def scalar(x, kernel, function=function):
                    return jnp.sum(jnp.tanh(function(x, kernel) / 8) ** 2)

                gradient = jax.grad(scalar, argnums=(0, 1))

                def along(x, kernel, gradient=gradient):
                    g = gradient(x, kernel)
                    return jnp.vdot(g[0], direction[0]) + jnp.vdot(g[1], direction[1])

                tangent = jax.jvp(function, (x, kernel), direction)[1]
                forward = jax.jvp(gradient, (x, kernel), direction)[1]
                results.append((tangent, forward, jax.grad(along, argnums=(0, 1))(x, kernel)))
            return results

        (native_jvp, native, _), *others = all_of(x, kernel)
        for tangent, forward, reverse in others:
            assert relative(tangent, native_jvp) < 1e-10
            for a, b, c in zip(forward, reverse, native, strict=True):
                assert relative(a, c) < 1e-10
                assert relative(b, c) < 1e-10


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)], ids=["x", "kernel", "both"])
@pytest.mark.parametrize(("implementation", "case"), [("matmul", CASES[0]), ("winograd", WIDE)])
def test_vmap_is_the_loop_and_stays_a_product(name, axes, implementation, case):
    with jax.enable_x64(True):
        function = way(name, case, implementation)
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
        for i, single in enumerate(loop_of(gradients, axes, operands)):
            for a, b in zip(results, single, strict=True):
                assert relative(a[i], b) < 1e-12


@pytest.mark.parametrize("name", FUNCTIONS)
def test_winograd_does_nine_sixteenths_of_the_multiplications(name):
    def operations(case, dtype, implementation):
        return matmul_flops(way(name, case, implementation), *arrays(case, dtype))

    with jax.enable_x64(True):
        for dtype, sixteenths in (("float32", 9), ("float64", 9), ("bfloat16", 16)):
            assert 16 * operations(WIDE, dtype, "winograd") == sixteenths * operations(WIDE, dtype, "matmul")
    odd, one_odd, thin = (2, 6 if name == "conv" else 3, 16, 16, 4, 2, 1), UNEVEN, CASES[0]
    for case in (odd, one_odd, thin):
        assert operations(case, "float32", "winograd") == operations(case, "float32", "matmul")


def test_auto_is_winograd_on_the_cpu():
    x, kernel = arrays(WIDE, "float32")
    primitives = str(jax.make_jaxpr(lambda x, k: conv(x, k, stride=2, padding=1))(x, kernel))
    if jax.default_backend() == "cpu":
        assert primitives.count("dot_general") == 9
    else:
        assert "conv_general_dilated" in primitives


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS[1:])
@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_an_empty_batch(function, implementation):
    x, kernel = arrays(WIDE, "float32")
    expected = function(x, kernel, stride=2, padding=1, implementation="native").shape[1:]
    assert function(x[:0], kernel, stride=2, padding=1, implementation=implementation).shape == (0, *expected)


@pytest.mark.parametrize("layer", [Conv, ConvTranspose])
def test_layers_share_parameters_between_implementations(layer):
    x, kernel = arrays(WIDE, "float32")
    params = {"kernel": kernel, "bias": jnp.arange(16.0)}
    results = []
    for implementation in IMPLEMENTATIONS[1:]:
        module = layer(16, (4, 4), 2, 1, implementation=implementation)
        made = jax.eval_shape(module.init, jax.random.key(0), x)["params"]
        assert jax.tree.map(lambda a: (a.shape, a.dtype.name), made) == {
            "kernel": ((4, 4, 16, 16), "float32"),
            "bias": ((16,), "float32"),
        }
        results.append(jax.jit(lambda p, x, m=module: m.apply({"params": p}, x))(params, x))
        narrow = layer(16, (4, 4), 2, 1, dtype=jnp.bfloat16, implementation=implementation)
        assert jax.eval_shape(lambda p, x, m=narrow: m.apply({"params": p}, x), params, x).dtype == jnp.bfloat16
    assert max(relative(result, results[0]) for result in results[1:]) < 1e-5
    name = "conv" if layer is Conv else "conv_transpose"
    expected = loop(name, np.asarray(x), np.asarray(kernel), 2, 1) + np.arange(16.0)
    assert relative(results[1], expected) < 1e-5
    without = layer(16, (4, 4), 2, 1, use_bias=False)
    assert jax.eval_shape(without.init, jax.random.key(0), x)["params"].keys() == {"kernel"}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_errors(function):
    x, kernel = arrays(CASES[0], "float32")
    with pytest.raises(ValueError, match=r"'fft'.*auto, native, matmul, winograd"):
        function(x, kernel, implementation="fft")
    with pytest.raises(ValueError, match="do not fit"):
        function(x[..., :2], kernel)
    with pytest.raises(ValueError, match="at least 1 and 0"):
        function(x, kernel, stride=0)
    with pytest.raises(ValueError, match="the output would be"):
        function(x[:, :1, :1], kernel, padding=0 if function is conv else 2)

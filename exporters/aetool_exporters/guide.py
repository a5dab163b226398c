"""The README.md inside a bundle: what a device developer needs on one page."""

from __future__ import annotations

from aetool_runtime.manifest import Manifest
from aetool_runtime.specs import Artifact

__all__ = ["GUIDE_PATH", "format_guide"]

GUIDE_PATH = "README.md"

_TEXT = """# {name}

An autoencoder, exported by aetool. All graphs take and return raw values: normalization is inside them.

| role | format | precision | file | signature | input | output |
|---|---|---|---|---|---|---|
{rows}

Does it compute the same here as where it was trained? `aetool verify THIS_FOLDER` runs every graph on every engine
that is installed against the vectors in `{golden}`; `manifest.json` says where each lies and what tolerance is
allowed. `sha256sum -c manifest.sha256` checks the manifest, which lists the digest of every other file.

In Python (needs NumPy and one engine, no TensorFlow; `pip install 'aetool[cpu]'` or `'aetool[litert]'`):

```python
from aetool_runtime import Autoencoder

with Autoencoder.open("THIS_FOLDER") as model:
    {call}
```
"""


def format_guide(manifest: Manifest) -> bytes:
    """The page's bytes."""
    rows = "\n".join(_row(artifact) for artifact in manifest.artifacts)
    encodes = any(artifact.role == "encoder" for artifact in manifest.artifacts)
    call = "latent = model.encode(samples)" if encodes else "reconstruction = model.decode(latents)"
    return _TEXT.format(name=manifest.name, rows=rows, golden=manifest.golden.path, call=call).encode()


def _row(artifact: Artifact) -> str:
    tensors = (str(artifact.inputs[0]), ", ".join(map(str, artifact.outputs)))
    cells = (
        artifact.role, artifact.format, artifact.precision, artifact.path, artifact.signature or "", *tensors
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"

"""A bundle behind HTTP, with FastAPI.

AETOOL_BUNDLE=model.aepkg uvicorn app:app
curl -X POST localhost:8000/encode -H 'Content-Type: application/json' -d '[[0.1, 0.2, …]]'
"""

import os
from typing import Any

import numpy as np
from fastapi import FastAPI, HTTPException

from aetool_runtime import AetoolError, Autoencoder

model = Autoencoder.open(os.environ["AETOOL_BUNDLE"])  # once; every method may be called from many threads
app = FastAPI(title=model.bundle.manifest.name)


@app.post("/encode")
def encode(samples: list[Any]) -> list[Any]:
    """Raw samples to latents."""
    return _run(model.encode, samples)


@app.post("/decode")
def decode(latents: list[Any]) -> list[Any]:
    """Latents to reconstructions."""
    return _run(model.decode, latents)


def _run(function: Any, values: list[Any]) -> list[Any]:
    try:
        return function(np.asarray(values, np.float32)).tolist()
    except (AetoolError, ValueError) as error:
        raise HTTPException(422, str(error)) from error

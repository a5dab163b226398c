package io.aetool;

/** Where a compressor gets latents from: an encoder. */
interface LatentSource {
    /** Latents [batch, …] of samples [batch, …shape], raw values in C order. */
    float[] encode(long[] shape, float[] samples);
}

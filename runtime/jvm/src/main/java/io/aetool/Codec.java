package io.aetool;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Latents ↔ symbols → samples: BITSTREAM.md, section 3. Not changed once it is read. */
final class Codec {
    String name;
    /** Its encoder is the transpose of its one linear step; else the bundle's encoder artifact. */
    boolean adjoint;
    /** Without the batch; −1: free. */
    long[] latentShape;
    long[] downsampling = {};
    double[] unit;
    int[] center;
    final List<Quality> qualities = new ArrayList<>();
    IntegerDecoder decoder;

    int channels() {
        return unit.length;
    }

    /** The sizes of a latent for samples of these sizes; refused where they do not go together. */
    long[] latentOf(long[] sample, Refusal refusal) {
        long[] sizes = latentShape.clone();
        for (int i = 0; i < sizes.length; i++) {
            if (sizes[i] != TensorSpec.FREE) continue;
            if (i >= sample.length || sample[i] % downsampling[i] != 0) throw otherSize(refusal);
            sizes[i] = sample[i] / downsampling[i];
        }
        int[] made = decoder.outputShape().at(sizes);
        if (!Arrays.equals(Arrays.stream(made).asLongStream().toArray(), sample)) throw otherSize(refusal);
        return sizes;
    }

    private AetoolException otherSize(Refusal refusal) {
        return refusal.because("samples of another size than the codec " + name + " takes");
    }

    /** Symbols of the sample that begins at {@code at} → the decoder's output. */
    int[] decode(int[] symbols, int at, long[] latent, Quality quality) {
        int count = 1;
        for (long size : latent) count *= (int) size;
        int[] input = new int[count];
        for (int i = 0; i < count; i++) {
            int c = i % channels();
            long value = (long) symbols[at + i] * quality.step[c] + center[c];
            input[i] = (int) Math.min(Math.max(value, -32768), 32767);
        }
        return decoder.run(input, latent);
    }
}

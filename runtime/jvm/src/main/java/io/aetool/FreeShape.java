package io.aetool;

import java.util.Arrays;

/** Sizes factor · n + offset, n ≥ 1 the latent's free size at that place; fixed where the factor is 0. Without the batch. */
final class FreeShape {
    final long[] factor;
    final long[] offset;

    FreeShape(long[] factor, long[] offset) {
        this.factor = factor;
        this.offset = offset;
    }

    static FreeShape fixed(long[] sizes) {
        return new FreeShape(new long[sizes.length], sizes.clone());
    }

    /** −1 becomes {@code factors[i]} · n. */
    static FreeShape of(long[] sizes, long[] factors) {
        FreeShape made = fixed(sizes);
        for (int i = 0; i < sizes.length; i++) {
            if (sizes[i] == TensorSpec.FREE) made.set(i, i < factors.length ? factors[i] : 1, 0);
        }
        return made;
    }

    FreeShape copy() {
        return new FreeShape(factor.clone(), offset.clone());
    }

    int rank() {
        return offset.length;
    }

    int last() {
        return offset.length - 1;
    }

    void set(int place, long newFactor, long newOffset) {
        factor[place] = newFactor;
        offset[place] = newOffset;
    }

    boolean endsWith(long channels) {
        return factor[last()] == 0 && offset[last()] == channels;
    }

    boolean equalsBut(FreeShape other, int places) {
        return rank() == other.rank() && Arrays.equals(Arrays.copyOf(factor, rank() - places), Arrays.copyOf(other.factor, rank() - places))
                && Arrays.equals(Arrays.copyOf(offset, rank() - places), Arrays.copyOf(other.offset, rank() - places));
    }

    /** The sizes for a latent of these. */
    int[] at(long[] latent) {
        int[] sizes = new int[rank()];
        long values = 1;
        for (int i = 0; i < sizes.length; i++) {
            long size = factor[i] == 0 ? offset[i] : bounded(factor[i], latent[i]) + offset[i];
            values = bounded(values, size);
            sizes[i] = (int) size;
        }
        return sizes;
    }

    /** A product that an array can hold; sizes are at least 1. */
    private static long bounded(long a, long b) {
        if (a > Integer.MAX_VALUE / Math.max(b, 1)) throw Refusal.UNAVAILABLE.because("a value too large for Java's arrays");
        return a * b;
    }
}

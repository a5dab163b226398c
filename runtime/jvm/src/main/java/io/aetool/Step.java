package io.aetool;

/** One step of a codec's decoder: BITSTREAM.md, section 4. Not changed once it is read. */
final class Step {
    enum Op { DENSE, CONV, CONV_TRANSPOSED, TABLE, RESCALE, ADD, UPSAMPLE, RESHAPE, CROP, CONCATENATE }

    Op op;
    /** Numbers of earlier values; 0: the decoder's input. */
    int[] inputs;
    long low;
    long high;
    /** [kernel …, in, out]. */
    short[] weights;
    long[] kernel;
    long[] stride;
    /** Of a reshape, or the factors of an upsample. */
    long[] sizes;
    /** [dimension][before, after]. */
    long[][] margins;
    int in;
    int out;
    int[] bias;
    int[] multiplier;
    int[] shift;
    /** Of a table. */
    int[] values;
    /** The two multipliers of an addition. */
    long[] added;
    int addedShift;

    boolean hasKernel() {
        return op == Op.DENSE || op == Op.CONV || op == Op.CONV_TRANSPOSED;
    }

    int clamp(long value) {
        return (int) Math.min(Math.max(value, low), high);
    }

    /** Rescales sums of products into their place. */
    void rescale(int[] sums, int[] to, int at) {
        for (int o = 0; o < out; o++) to[at + o] = clamp(shifted((long) sums[o] * multiplier[o], shift[o]));
    }

    /** ⌊(x + h) / 2^s⌋, h half of 2^s. */
    static long shifted(long x, int s) {
        return s == 0 ? x : x + (1L << s - 1) >> s;
    }
}

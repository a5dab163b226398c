package io.aetool;

/** A codec's output ↔ samples for one stream: BITSTREAM.md, section 5. */
final class Scaling {
    final double grid;
    private final SampleType type;
    private final long multiplier;
    private final int shift;

    Scaling(StreamHeader header, Compression compression) {
        type = header.type;
        boolean real = type == SampleType.FLOAT32;
        multiplier = real ? header.multiplier : compression.multiplier;
        shift = real ? header.shift : compression.shift;
        grid = !real ? 1 : header.grid != null ? header.grid : compression.outputUnit;
    }

    long clamp(long n) {
        return Math.min(Math.max(n, type.low), type.high);
    }

    long predict(int output) {
        return clamp(Step.shifted(output * multiplier, shift));
    }

    /** The values of the first {@code count} of n, little-endian. */
    byte[] values(long[] n, int count) {
        ByteWriter out = new ByteWriter();
        for (int i = 0; i < count; i++) {
            boolean real = type == SampleType.FLOAT32;
            out.put(real ? Float.floatToIntBits((float) (grid * n[i])) : n[i], type.bytes()); // one product, one rounding
        }
        return out.toBytes();
    }
}

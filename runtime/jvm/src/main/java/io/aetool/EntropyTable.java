package io.aetool;

import java.util.Arrays;

/** Frequencies of the values from {@code low} on; the last entry is the escape. BITSTREAM.md, section 2. */
final class EntropyTable {
    static final int PRECISION = 14;
    static final int TOTAL = 1 << PRECISION;

    final long low;
    final int[] frequency;
    final int[] start;
    /** Slot → entry. */
    final short[] entryAt = new short[TOTAL];

    /** {@code frequency}: each at least 1, sum 2^14. */
    EntropyTable(long low, int[] frequency) {
        this.low = low;
        this.frequency = frequency;
        this.start = new int[frequency.length];
        int filled = 0;
        for (int i = 0; i < frequency.length; i++) {
            start[i] = filled;
            Arrays.fill(entryAt, filled, filled + frequency[i], (short) i);
            filled += frequency[i];
        }
    }

    int escape() {
        return frequency.length - 1;
    }

    int entryOf(long value) {
        return value < low || value - low >= escape() ? escape() : (int) (value - low);
    }
}

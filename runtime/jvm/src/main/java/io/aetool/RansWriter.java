package io.aetool;

import java.util.Arrays;

/** The opposite: entries are given last first, and the words come out last first, too. */
final class RansWriter {
    private final long[] states;
    private final short[] words;
    private int count;

    RansWriter(int lanes, int entries) {
        states = new long[lanes];
        Arrays.fill(states, 1 << 16);
        words = new short[entries];
    }

    void put(int lane, int frequency, int start) {
        long x = states[lane];
        if (x >= (long) frequency << 32 - EntropyTable.PRECISION) {
            words[count++] = (short) x;
            x >>>= 16;
        }
        states[lane] = (x / frequency << EntropyTable.PRECISION) + x % frequency + start;
    }

    void writeTo(ByteWriter out) {
        out.varint(count);
        for (long state : states) out.put(state, 4);
        for (int i = count; i-- > 0;) out.put(words[i], 2);
    }
}

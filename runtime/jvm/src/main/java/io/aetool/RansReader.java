package io.aetool;

/** Interleaved rANS (Duda 2013, arXiv:1311.2540; Giesen 2014, arXiv:1402.3392), decoding. */
final class RansReader {
    private final long[] states;
    private final Cursor words;

    RansReader(long[] states, Cursor words) {
        this.states = states;
        this.words = words;
    }

    int entry(int lane, EntropyTable table) {
        long x = states[lane];
        int slot = (int) (x & EntropyTable.TOTAL - 1);
        int entry = table.entryAt[slot];
        x = table.frequency[entry] * (x >>> EntropyTable.PRECISION) + slot - table.start[entry];
        states[lane] = x < 1 << 16 ? x << 16 | words.u16() : x;
        return entry;
    }

    boolean isDone() {
        for (long state : states) {
            if (state != 1 << 16) return false;
        }
        return words.left() == 0;
    }
}

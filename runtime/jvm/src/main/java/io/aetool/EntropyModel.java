package io.aetool;

/** Which table codes which value: BITSTREAM.md, section 2. Not changed once it is read. */
final class EntropyModel {
    /** Kind {@code neighbors}; else {@code sets}. */
    boolean neighbors;
    int channels = 1;
    int sets = 1;
    long positions = 1;
    /** [sets, channels] → table. */
    int[] map = {0};
    /** [sets]; empty: none. */
    int[] rawBits = {};
    /** [sets] where there are several. */
    int[] selectors = {};
    long[] thresholds = {};

    int table(int set, int channel) {
        return map[set * channels + channel];
    }

    int raw(int set) {
        return rawBits.length == 0 ? 0 : rawBits[set];
    }

    boolean hasRaw() {
        for (int bits : rawBits) {
            if (bits > 0) return true;
        }
        return false;
    }

    boolean hasSelectors() {
        return !neighbors && sets > 1;
    }
}

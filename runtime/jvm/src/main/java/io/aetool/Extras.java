package io.aetool;

/** What a predicted chunk may bring beside its predictors: a palette, a lag, a table of its own. */
final class Extras {
    private static final long VALUE_LIMIT = 1L << 31;

    /** Null: none. */
    long[] palette;
    /** 0: none. */
    int lag;
    /** Null: the residual's model. */
    EntropyTable table;

    static Extras read(Cursor cursor, int flags, int time) {
        Extras extras = new Extras();
        if ((flags & 1) != 0) extras.palette = readPalette(cursor);
        if ((flags & 2) != 0) {
            long lag = cursor.varint();
            if (lag < 1 || lag > Math.max(time - 1, 1)) throw Refusal.DAMAGED.because("a lag out of range");
            extras.lag = (int) lag;
        }
        if ((flags & 4) != 0) extras.table = readTable(cursor);
        return extras;
    }

    private static long[] readPalette(Cursor cursor) {
        long count = cursor.varint();
        if (count < 2 || count > 65536 || count > cursor.left()) throw Refusal.DAMAGED.because("a palette out of range");
        long[] palette = new long[(int) count];
        palette[0] = cursor.zigzag();
        for (int i = 1; i < palette.length; i++) {
            long more = cursor.varint();
            if (more < 1 || more > 0xFFFFFFFFL) throw Refusal.DAMAGED.because("a palette out of order");
            palette[i] = palette[i - 1] + more;
        }
        if (palette[0] <= -VALUE_LIMIT || palette[palette.length - 1] >= VALUE_LIMIT) {
            throw Refusal.DAMAGED.because("a palette out of range");
        }
        return palette;
    }

    private static EntropyTable readTable(Cursor cursor) {
        long low = cursor.zigzag();
        long count = cursor.varint();
        if (count < 2 || count > 4096 || low + count - 2 >= VALUE_LIMIT) throw Refusal.DAMAGED.because("a table out of range");
        int[] frequencies = new int[(int) count];
        long sum = 0;
        for (int i = 0; i < frequencies.length; i++) {
            long frequency = cursor.varint();
            if (frequency < 1 || frequency > EntropyTable.TOTAL) throw Refusal.DAMAGED.because("a table out of range");
            frequencies[i] = (int) frequency;
            sum += frequency;
        }
        if (sum != EntropyTable.TOTAL) throw Refusal.DAMAGED.because("a table of another sum");
        return new EntropyTable(low, frequencies);
    }
}

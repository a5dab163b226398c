package io.aetool;

/** The low bits of values that are written as they are, the lowest first. {@code raw}: how many of each value. */
final class RawBits {
    private RawBits() {}

    static void read(Cursor cursor, byte[] raw, int[] values) {
        long total = 0;
        for (byte bits : raw) total += bits;
        Cursor data = cursor.part((total + 7) / 8);
        long held = 0;
        int filled = 0;
        for (int i = 0; i < values.length; i++) {
            for (; filled < raw[i]; filled += 8) held |= (long) data.u8() << filled;
            values[i] += (int) (held & (1L << raw[i]) - 1); // multiples of 2^bits: no carry
            held >>>= raw[i];
            filled -= raw[i];
        }
        if (held != 0) throw Refusal.DAMAGED.because("bits behind the last value");
    }

    static void write(int[] values, byte[] raw, ByteWriter out) {
        long held = 0;
        int filled = 0;
        for (int i = 0; i < values.length; i++) {
            held |= (values[i] & (1L << raw[i]) - 1) << filled;
            for (filled += raw[i]; filled >= 8; filled -= 8) {
                out.u8((int) held);
                held >>>= 8;
            }
        }
        if (filled > 0) out.u8((int) held);
    }
}

package io.aetool;

/** Reads little-endian numbers from bytes; what reaches past them is damaged. */
final class Cursor {
    private final byte[] bytes;
    private final int end;
    private int at;

    Cursor(byte[] bytes, int start, int length) {
        this.bytes = bytes;
        this.at = start;
        this.end = start + length;
    }

    byte[] bytes() {
        return bytes;
    }

    int left() {
        return end - at;
    }

    /** Where the taken bytes begin in {@link #bytes()}. */
    int take(long length) {
        if (length < 0 || length > left()) throw Refusal.DAMAGED.because("ends too early");
        int start = at;
        at += (int) length;
        return start;
    }

    Cursor part(long length) {
        return new Cursor(bytes, take(length), (int) length);
    }

    int u8() {
        return bytes[take(1)] & 255;
    }

    int u16() {
        return u16(bytes, take(2));
    }

    long u32() {
        return u32(bytes, take(4));
    }

    long varint() {
        return varint(this::u8);
    }

    /** A number of the zigzag code, of 32 bits. */
    long zigzag() {
        long code = varint();
        if (code > 0xFFFFFFFFL) throw Refusal.DAMAGED.because("a number beyond 32 bits");
        return (code & 1) != 0 ? -(code / 2) - 1 : code / 2;
    }

    /** Hands out one byte, 0 to 255. */
    interface ByteSource {
        int next();
    }

    static long varint(ByteSource source) {
        long value = 0;
        for (int i = 0; i < 9; i++) {
            int read = source.next();
            value |= (long) (read & 127) << 7 * i;
            if (read >= 128) continue;
            if (read == 0 && i > 0) throw Refusal.DAMAGED.because("a number with superfluous bytes");
            return value;
        }
        throw Refusal.DAMAGED.because("a number of more than 9 bytes");
    }

    static int u16(byte[] bytes, int at) {
        return bytes[at] & 255 | (bytes[at + 1] & 255) << 8;
    }

    static int i32(byte[] bytes, int at) {
        return u16(bytes, at) | u16(bytes, at + 2) << 16;
    }

    static long u32(byte[] bytes, int at) {
        return i32(bytes, at) & 0xFFFFFFFFL;
    }

    static long i64(byte[] bytes, int at) {
        return u32(bytes, at) | (long) i32(bytes, at + 4) << 32;
    }
}

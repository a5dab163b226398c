package io.aetool;

import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;

/** Numbers from a stream of bytes, all of which are kept until they are dropped. */
final class StreamSource {
    private static final int PIECE = 1 << 20; // memory follows what came, not what was claimed

    private final InputStream in;
    private byte[] kept = new byte[256];
    private int size;

    StreamSource(InputStream in) {
        this.in = in;
    }

    /** Reads that many bytes and returns where they begin in {@link #kept()}. */
    int take(int bytes) {
        int start = size;
        int end = start + bytes;
        while (size < end) {
            int wanted = Math.min(PIECE, end - size);
            if (kept.length < size + wanted) kept = Arrays.copyOf(kept, Math.max(size + wanted, Math.min(2 * kept.length, end)));
            int got = read(kept, size, wanted);
            if (got <= 0) throw Refusal.TRUNCATED.because("the stream ends too early");
            size += got;
        }
        return start;
    }

    private int read(byte[] to, int at, int wanted) {
        try {
            return in.read(to, at, wanted);
        } catch (IOException error) {
            throw Refusal.INPUT.because("the stream cannot be read: " + error.getMessage());
        }
    }

    int u8() {
        int at = take(1);
        return kept[at] & 255;
    }

    long u32() {
        int at = take(4);
        return Cursor.u32(kept, at);
    }

    double f64() {
        int at = take(8);
        return Double.longBitsToDouble(Cursor.i64(kept, at));
    }

    long varint() {
        return Cursor.varint(this::u8);
    }

    boolean atEnd() {
        return read(new byte[1], 0, 1) <= 0;
    }

    /** The bytes since they were dropped, {@link #size()} of them; to be fetched again after each reading. */
    byte[] kept() {
        return kept;
    }

    int size() {
        return size;
    }

    byte[] copy() {
        return Arrays.copyOf(kept, size);
    }

    void drop() {
        size = 0;
    }
}

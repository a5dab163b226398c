package io.aetool;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What a chunk returned. */
public final class Chunk {
    private final int count;
    private final int path;
    private final byte[] values;

    Chunk(int count, int path, byte[] values) {
        this.count = count;
        this.path = path;
        this.values = values;
    }

    /** Returns the number of rows of a recording, or of samples. */
    public int count() {
        return count;
    }

    /** Returns how it was coded: 0 stored, 1 predicted, 2 + i by codec i. */
    public int path() {
        return path;
    }

    /** Returns the values of the stream's type, little-endian, C order. Not a copy. */
    public byte[] bytes() {
        return values;
    }

    /** Returns the same for {@code asShortBuffer()}, {@code asFloatBuffer()} … */
    public ByteBuffer buffer() {
        return ByteBuffer.wrap(values).order(ByteOrder.LITTLE_ENDIAN);
    }
}

package io.aetool;

import java.util.Arrays;

/** Bytes that grow; numbers are little-endian. */
final class ByteWriter {
    private byte[] bytes = new byte[64];
    private int size;

    ByteWriter() {}

    ByteWriter(int... first) {
        for (int value : first) u8(value);
    }

    int size() {
        return size;
    }

    byte[] toBytes() {
        return Arrays.copyOf(bytes, size);
    }

    ByteWriter u8(int value) {
        reserve(1);
        bytes[size++] = (byte) value;
        return this;
    }

    /** The lowest {@code width} bytes. */
    ByteWriter put(long value, int width) {
        reserve(width);
        for (int i = 0; i < width; i++) bytes[size++] = (byte) (value >> 8 * i);
        return this;
    }

    ByteWriter varint(long value) {
        long left = value;
        for (; left >= 128; left >>= 7) u8((int) (left | 128));
        return u8((int) left);
    }

    ByteWriter zigzag(long value) {
        return varint(value >= 0 ? 2 * value : -2 * value - 1);
    }

    ByteWriter bytes(byte[] more) {
        return bytes(more, 0, more.length);
    }

    ByteWriter bytes(byte[] more, int start, int length) {
        reserve(length);
        System.arraycopy(more, start, bytes, size, length);
        size += length;
        return this;
    }

    ByteWriter bytes(ByteWriter more) {
        return bytes(more.bytes, 0, more.size);
    }

    private void reserve(int more) {
        if (size + more > bytes.length) bytes = Arrays.copyOf(bytes, Math.max(size + more, bytes.length * 2));
    }
}

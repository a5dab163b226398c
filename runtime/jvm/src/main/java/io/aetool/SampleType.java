package io.aetool;

/** The type of a stream's values; the order is that of the format. */
public enum SampleType {
    UINT8(1, 0, 255), INT8(1, -128, 127), UINT16(2, 0, 65535), INT16(2, -32768, 32767),
    INT32(4, Integer.MIN_VALUE, Integer.MAX_VALUE), FLOAT32(4, -Integer.MAX_VALUE, Integer.MAX_VALUE);

    private final int bytes;
    final long low;
    final long high;

    SampleType(int bytes, long low, long high) {
        this.bytes = bytes;
        this.low = low;
        this.high = high;
    }

    /** Returns the bytes of one value. */
    public int bytes() {
        return bytes;
    }

    /** The integer at {@code at}; not for float32. */
    long integer(byte[] data, int at) {
        int read = bytes == 1 ? data[at] & 255 : bytes == 2 ? Cursor.u16(data, at) : Cursor.i32(data, at);
        int spare = 32 - 8 * bytes;
        return low < 0 ? read << spare >> spare : read;
    }

    double real(byte[] data, int at) {
        return this == FLOAT32 ? Float.intBitsToFloat(Cursor.i32(data, at)) : integer(data, at);
    }
}

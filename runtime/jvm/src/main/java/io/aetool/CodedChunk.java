package io.aetool;

/** One way to code a chunk: its bytes, and what a reader will return for them. */
final class CodedChunk {
    final int path;
    final byte[] payload;
    /** Null: stored float32, which are the values themselves. */
    final long[] n;
    /** Bits, and what the distortion is worth in bits. */
    double cost;

    CodedChunk(int path, byte[] payload, long[] n) {
        this.path = path;
        this.payload = payload;
        this.n = n;
    }

    /** {@code kept}: values that are no padding. */
    void writeTo(StreamWriter writer, int count, int kept) {
        long check = n == null ? Checksums.ofBytes(payload, 0, kept * 4) : Checksums.ofValues(n, kept);
        writer.write(count, path, payload, check);
    }
}

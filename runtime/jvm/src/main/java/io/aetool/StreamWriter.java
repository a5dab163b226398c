package io.aetool;

import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;

/** Writes header, chunks and end. */
final class StreamWriter {
    private final OutputStream out;
    private final StreamHeader header;
    private final byte[] headerBytes;
    private final List<long[]> chunks = new ArrayList<>();

    StreamWriter(OutputStream out, Bundle bundle, StreamHeader header) {
        this.out = out;
        this.header = header;
        this.headerBytes = header.write(bundle.digest());
        send(headerBytes);
    }

    int chunks() {
        return chunks.size();
    }

    /** {@code check}: the crc32 of what a reader will return of the chunk. */
    void write(int count, int path, byte[] payload, long check) {
        ByteWriter writer = new ByteWriter().varint(count).u8(path);
        if (header.checks) writer.put(check, 4);
        byte[] body = writer.bytes(payload).toBytes();
        ByteWriter chunk = new ByteWriter().varint(body.length).bytes(body);
        send(chunk.put(Checksums.ofChunk(headerBytes, chunks.size(), body, body.length), 4).toBytes());
        chunks.add(new long[] {count, body.length});
    }

    void finish() {
        if (chunks.size() < 2) {
            send(new byte[] {0, 0});
            return;
        }
        ByteWriter index = new ByteWriter().varint(chunks.size());
        for (long[] chunk : chunks) index.varint(chunk[0]).varint(chunk[1]);
        index.put(Checksums.of(headerBytes, index.toBytes(), index.size()), 4);
        index.put(index.size() + 4L, 4);
        send(new ByteWriter(0).bytes(index).u8(1).toBytes());
    }

    private void send(byte[] bytes) {
        try {
            out.write(bytes, 0, bytes.length);
        } catch (IOException error) {
            throw Refusal.INPUT.because("the stream cannot be written: " + error.getMessage());
        }
    }
}

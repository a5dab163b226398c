package io.aetool;

import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads a stream (BITSTREAM.md, section 6) chunk by chunk, in bounded memory. For one thread at a time; the
 * {@link Compression} may be shared. It does not close what it reads from.
 */
public final class StreamReader {
    private static final long MOST_BODY = 1L << 26;

    private final StreamSource in;
    private final StreamHeader header;
    private final byte[] headerBytes;
    private final ChunkDecoder decoder;
    /** Count and bytes of each chunk. */
    private final List<long[]> seen = new ArrayList<>();
    private long total;
    private boolean last;
    private boolean done;

    /**
     * Reads the header.
     *
     * @throws WrongBundleException where another bundle made the stream; {@link DamagedStreamException}, {@link
     *     TruncatedException}, {@link VersionException}
     */
    public StreamReader(InputStream in, Compression compression) {
        this.in = new StreamSource(in);
        this.header = new HeaderReader(this.in).read(compression.bundle.digest());
        this.headerBytes = this.in.copy();
        this.decoder = new ChunkDecoder(header, compression);
    }

    /** Returns the header. */
    public StreamHeader header() {
        return header;
    }

    /** Returns the next chunk; null at the end of the stream, which is checked, too. */
    public Chunk next() {
        if (done) return null;
        in.drop();
        long size = in.varint();
        if (size == 0) {
            finish();
            return null;
        }
        if (size > MOST_BODY) throw Refusal.DAMAGED.because("a chunk too large");
        in.drop();
        in.take((int) size + 4);
        long crc = Checksums.ofChunk(headerBytes, seen.size(), in.kept(), (int) size);
        if (Cursor.u32(in.kept(), (int) size) != crc) {
            throw Refusal.DAMAGED.because("chunk " + seen.size() + " has another checksum");
        }
        if (last) throw Refusal.DAMAGED.because("a chunk behind the last one");
        Chunk chunk = decoder.decode(in.kept(), (int) size, seen.isEmpty());
        last = decoder.isLast(chunk.count());
        seen.add(new long[] {chunk.count(), size});
        total += chunk.count();
        return chunk;
    }

    /** Returns all values, for streams that fit in memory. */
    public byte[] readAll() {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (Chunk chunk = next(); chunk != null; chunk = next()) all.write(chunk.bytes(), 0, chunk.bytes().length);
        return all.toByteArray();
    }

    private void finish() {
        if (seen.isEmpty()) throw Refusal.DAMAGED.because("a stream without a chunk");
        if (header.picture != null && total != header.picture.tiles(header.shape)) {
            throw Refusal.DAMAGED.because("another number of tiles than the picture has");
        }
        in.drop();
        long count = in.varint();
        if (count != 0) checkIndex(count);
        if (!in.atEnd()) throw Refusal.DAMAGED.because("bytes behind the end");
        done = true;
    }

    private void checkIndex(long count) {
        boolean fits = count == seen.size();
        for (int i = 0; fits && i < seen.size(); i++) fits = in.varint() == seen.get(i)[0] && in.varint() == seen.get(i)[1];
        if (fits) {
            long crc = Checksums.of(headerBytes, in.kept(), in.size());
            fits = in.u32() == crc;
        }
        if (fits) {
            int bytes = in.size() + 4;
            fits = in.u32() == bytes && in.u8() == 1;
        }
        if (!fits) throw Refusal.DAMAGED.because("an index that does not fit the chunks");
    }
}

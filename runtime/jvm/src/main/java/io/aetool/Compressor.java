package io.aetool;

import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Samples → a stream: for each chunk the path that takes the fewest bytes for what it returns. For one thread at a time; the
 * autoencoder and the {@link Compression} may be shared. It does not close what it writes to.
 */
public final class Compressor {
    /** What is asked for. Each setter returns the same object. */
    public static final class Options {
        int codec;
        int quality = Integer.MAX_VALUE;
        /** −1: not asked for. */
        long maxError = -1;
        int chunkSamples = 256;

        /** Sets the codec whose error is the goal; 0 unless it is set. */
        public Options codec(int index) {
            codec = index;
            return this;
        }

        /** Sets the quality, from coarse to fine; the finest unless it is set. */
        public Options quality(int index) {
            quality = index;
            return this;
        }

        /** Promises that no value will be further off; integer samples only, 0: lossless. */
        public Options maxError(long error) {
            if (error < 0 || 2 * error + 1 > PredictiveDecoder.STEP_LIMIT) {
                throw Refusal.USAGE.because("the largest error is 0 to 2^20 - 1");
            }
            maxError = error;
            return this;
        }

        /** Sets the samples of a chunk, at most; 256 unless it is set. */
        public Options chunkSamples(int count) {
            if (count < 1) throw Refusal.USAGE.because("a chunk has at least one sample");
            chunkSamples = count;
            return this;
        }
    }

    private static final int MOST_CHUNK_VALUES = 1 << 22;

    private final StreamHeader header;
    private final StreamWriter writer;
    private final ChunkEncoder encoder;
    private final byte[] waiting;
    private int filled;
    private boolean finished;

    /**
     * Writes the header.
     *
     * @param compression what the bundle brings
     * @param model of the same bundle; null: codecs without an encoder of their own are left aside
     */
    public Compressor(Compression compression, Autoencoder model, StreamHeader header, Options options, OutputStream out) {
        this(compression, model == null ? null : model::encodeAs, header, options, out);
    }

    Compressor(Compression compression, LatentSource model, StreamHeader header, Options options, OutputStream out) {
        if (options.codec >= Math.max(compression.codecs.size(), 1)) throw Refusal.USAGE.because("the bundle has no such codec");
        if (options.quality < 0 || options.codec < 0) throw Refusal.USAGE.because("codecs and qualities are counted from 0");
        if (options.maxError >= 0 && header.type == SampleType.FLOAT32) {
            throw Refusal.USAGE.because("a largest error is for integer samples");
        }
        this.header = header;
        if (options.maxError >= 0) header.maxError = (double) options.maxError;
        this.encoder = new ChunkEncoder(compression, model, header, options);
        int samples = Math.max(1, Math.min(options.chunkSamples, MOST_CHUNK_VALUES / header.values()));
        this.waiting = new byte[samples * header.values() * header.type.bytes()];
        this.writer = new StreamWriter(out, compression.bundle, header);
    }

    /** Takes values of the stream's type, little-endian, C order: whole samples, or any number of rows of a recording. */
    public void write(byte[] values, int start, int length) {
        if (finished) throw Refusal.USAGE.because("the stream is finished");
        if (length % unitBytes() != 0) throw Refusal.INPUT.because(length + " bytes are no multiple of " + unitBytes());
        for (int done = 0; done < length;) {
            int piece = Math.min(length - done, waiting.length - filled);
            System.arraycopy(values, start + done, waiting, filled, piece);
            filled += piece;
            done += piece;
            if (filled == waiting.length) flush();
        }
    }

    /** As {@link #write(byte[], int, int)}; for int16 and uint16. */
    public void write(short[] values) {
        if (header.type.bytes() != 2) throw Refusal.INPUT.because("the stream does not hold 16-bit values");
        ByteBuffer bytes = ByteBuffer.allocate(values.length * 2).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asShortBuffer().put(values);
        write(bytes.array(), 0, bytes.capacity());
    }

    /** As {@link #write(byte[], int, int)}; for float32. */
    public void write(float[] values) {
        if (header.type != SampleType.FLOAT32) throw Refusal.INPUT.because("the stream does not hold float32");
        ByteBuffer bytes = ByteBuffer.allocate(values.length * 4).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        write(bytes.array(), 0, bytes.capacity());
    }

    /** Ends the stream; without it, readers call it truncated. */
    public void finish() {
        if (finished) return;
        finished = true;
        if (filled > 0 || writer.chunks() == 0) flush();
        writer.finish();
    }

    private int unitBytes() {
        return header.unitValues() * header.type.bytes();
    }

    private void flush() {
        int count = filled / unitBytes();
        encoder.encode(Arrays.copyOf(waiting, filled), count).writeTo(writer, count, count * header.unitValues());
        filled = 0;
    }
}

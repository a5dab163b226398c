package io.aetool;

import java.util.Arrays;

/** The body of a chunk, its crc32 checked before → what it returns. */
final class ChunkDecoder {
    private static final long MOST = 1 << 24;

    private final StreamHeader header;
    private final Compression compression;
    private final Scaling scaling;

    ChunkDecoder(StreamHeader header, Compression compression) {
        this.header = header;
        this.compression = compression;
        this.scaling = new Scaling(header, compression);
    }

    /** Whether no chunk may follow one of that count. */
    boolean isLast(int count) {
        return count == 0 || (header.recording && count % header.shape[0] != 0);
    }

    Chunk decode(byte[] body, int size, boolean isFirst) {
        Cursor cursor = new Cursor(body, 0, size);
        long count = cursor.varint();
        if (count > MOST) throw Refusal.DAMAGED.because("a chunk of too many samples");
        long rows = header.recording ? header.shape[0] : 1;
        long samples = (count + rows - 1) / rows;
        if (samples * header.values() > MOST) throw Refusal.DAMAGED.because("a chunk of too many values");
        if (count == 0 && !isFirst) throw Refusal.DAMAGED.because("an empty chunk");
        int path = cursor.u8();
        long check = header.checks ? cursor.u32() : -1;
        int kept = (int) count * header.unitValues();
        byte[] values = path == 0 && header.type == SampleType.FLOAT32
                ? stored(cursor, (int) samples * header.values(), kept, check) : coded(cursor, path, (int) samples, kept, check);
        if (cursor.left() != 0) throw Refusal.DAMAGED.because("bytes behind a chunk's payload");
        return new Chunk((int) count, path, values);
    }

    private static void want(long met, long check) {
        if (check >= 0 && met != check) throw Refusal.DAMAGED.because("a chunk returned other values than its compressor saw");
    }

    private static byte[] stored(Cursor cursor, int values, int kept, long check) {
        int at = cursor.take(values * 4L);
        want(Checksums.ofBytes(cursor.bytes(), at, kept * 4), check);
        return Arrays.copyOfRange(cursor.bytes(), at, at + kept * 4);
    }

    private byte[] coded(Cursor cursor, int path, int samples, int kept, long check) {
        long[] n = path == 0 ? storedIntegers(cursor, samples * header.values()) : decodePath(cursor, path, samples);
        want(check >= 0 ? Checksums.ofValues(n, kept) : 0, check);
        return scaling.values(n, kept);
    }

    private long[] storedIntegers(Cursor cursor, int values) {
        int width = header.type.bytes();
        int at = cursor.take((long) values * width);
        long[] n = new long[values];
        for (int i = 0; i < values; i++) n[i] = header.type.integer(cursor.bytes(), at + i * width);
        return n;
    }

    private long[] decodePath(Cursor cursor, int path, int samples) {
        if (samples == 0) throw Refusal.DAMAGED.because("an empty chunk that is not stored");
        if (path == 1) {
            long[] n = new PredictiveDecoder(cursor, compression, samples, header.shape).run();
            for (int i = 0; i < n.length; i++) n[i] = scaling.clamp(n[i]);
            return n;
        }
        if (path - 2 >= compression.codecs.size()) throw Refusal.DAMAGED.because("an unknown path");
        return decodeCodec(cursor, compression.codecs.get(path - 2), samples);
    }

    private long[] decodeCodec(Cursor cursor, Codec codec, int samples) {
        long[] latent = codec.latentOf(header.shape, Refusal.DAMAGED);
        int index = cursor.u8();
        if (index >= codec.qualities.size()) throw Refusal.DAMAGED.because("an unknown quality");
        Quality quality = codec.qualities.get(index);
        long step = cursor.varint();
        boolean odd = step == 0 || (step % 2 == 1 && step <= PredictiveDecoder.STEP_LIMIT);
        if (!odd) throw Refusal.DAMAGED.because("a step that is even or too large");
        int[] symbols = compression.coder.decode(cursor, symbolShape(samples, latent), quality.model);
        long[] n = predictions(codec, quality, symbols, latent, samples);
        if (step == 0) return n;
        int[] residual = compression.coder.decode(cursor, new int[] {1, n.length, 1}, compression.residual);
        for (int i = 0; i < n.length; i++) n[i] = scaling.clamp(n[i] + step * residual[i]);
        return n;
    }

    /** [samples, …latent]. */
    static int[] symbolShape(int samples, long[] latent) {
        int[] shape = new int[latent.length + 1];
        shape[0] = samples;
        long all = samples;
        for (int i = 0; i < latent.length; i++) {
            shape[i + 1] = (int) latent[i];
            all = latent[i] > MOST / all ? MOST + 1 : all * latent[i];
            if (all > MOST) throw Refusal.DAMAGED.because("a latent too large");
        }
        return shape;
    }

    /** What the codec predicts from symbols [samples, …latent]. */
    long[] predictions(Codec codec, Quality quality, int[] symbols, long[] latent, int samples) {
        int perSample = symbols.length / samples;
        long[] n = new long[samples * header.values()];
        for (int s = 0; s < samples; s++) {
            int[] output = codec.decode(symbols, s * perSample, latent, quality);
            for (int i = 0; i < output.length; i++) n[s * output.length + i] = scaling.predict(output[i]);
        }
        return n;
    }
}

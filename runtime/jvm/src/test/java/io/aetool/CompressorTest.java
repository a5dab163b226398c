package io.aetool;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is compressed here comes back, within what was promised. */
class CompressorTest {
    private static final int ROWS = 20011;

    private static short[] recording() {
        Random random = new Random(1);
        short[] rows = new short[ROWS * 2];
        for (int i = 0; i < ROWS; i++) {
            rows[2 * i] = (short) (1000 * Math.sin(i / 9.0) + random.nextInt(20));
            rows[2 * i + 1] = (short) (i % 777 - 300 + random.nextInt(3));
        }
        rows[5] = Short.MIN_VALUE;
        rows[6] = Short.MAX_VALUE;
        return rows;
    }

    private static byte[] compress(String bundle, LatentSource encoder, StreamHeader header, Compressor.Options options, byte[] values) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Compressor compressor = new Compressor(Vectors.compression(bundle), encoder, header, options, out);
        int unit = header.unitValues() * header.type().bytes();
        int piece = values.length / unit / 3 * unit; // in parts that end anywhere
        for (int at = 0; at < values.length; at += Math.max(piece, unit)) {
            compressor.write(values, at, Math.min(Math.max(piece, unit), values.length - at));
        }
        compressor.finish();
        return out.toByteArray();
    }

    private static byte[] bytes(short[] values) {
        ByteBuffer buffer = ByteBuffer.allocate(values.length * 2).order(ByteOrder.LITTLE_ENDIAN);
        buffer.asShortBuffer().put(values);
        return buffer.array();
    }

    @ParameterizedTest
    @CsvSource({"bare, 0", "bare, 7", "fixed, 0", "fixed, 3"})
    void everyValueKeepsThePromise(String bundle, int error) {
        short[] rows = recording();
        Compressor.Options options = new Compressor.Options().maxError(error);
        byte[] stream = compress(bundle, null, StreamHeader.recording(SampleType.INT16, 8, 2), options, bytes(rows));
        assertTrue(stream.length < rows.length * 2, "not smaller");
        StreamReader reader = new StreamReader(new ByteArrayInputStream(stream), Vectors.compression(bundle));
        assertEquals(error, reader.header().maxError());
        short[] met = new short[rows.length];
        ByteBuffer.wrap(reader.readAll()).order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().get(met);
        for (int i = 0; i < rows.length; i++) assertTrue(Math.abs(rows[i] - met[i]) <= error, "value " + i);
    }

    @ParameterizedTest
    @CsvSource({"UINT8", "INT8", "UINT16", "INT16", "INT32"})
    void noiseOfEveryTypeIsStoredWithoutLoss(SampleType type) {
        byte[] noise = new byte[8 * 2 * 40 * type.bytes()];
        new Random(2).nextBytes(noise);
        byte[] stream = compress("bare", null, StreamHeader.of(type, 8, 2).attach(new byte[] {1, 2}), new Compressor.Options().maxError(0), noise);
        StreamReader reader = new StreamReader(new ByteArrayInputStream(stream), Vectors.compression("bare"));
        assertArrayEquals(new byte[] {1, 2}, reader.header().attachment());
        assertArrayEquals(noise, reader.readAll());
    }

    @Test
    void valuesOffTheGridAreStored() {
        float[] odd = new float[16];
        odd[3] = Float.NaN;
        odd[4] = Float.POSITIVE_INFINITY;
        odd[5] = 1e30f;
        ByteBuffer buffer = ByteBuffer.allocate(64).order(ByteOrder.LITTLE_ENDIAN);
        buffer.asFloatBuffer().put(odd);
        byte[] stream = compress("bare", null, StreamHeader.of(SampleType.FLOAT32, 8, 2), new Compressor.Options(), buffer.array());
        assertArrayEquals(buffer.array(), Vectors.read(stream, Vectors.compression("bare")));
    }

    /** Samples that the network makes of known latents, given back with them: nothing else codes them in as few bytes. */
    @ParameterizedTest
    @CsvSource({"0, 0", "0, 3", "1, 0"})
    void latentsOfAnEncoderAreCoded(int quality, int error) {
        Compression with = Vectors.compression("fixed");
        Codec codec = with.codecs.get(1);
        Quality given = codec.qualities.get(quality);
        int samples = 60;
        int each = codec.channels();
        float[] latents = new float[samples * each];
        int[] symbols = new int[latents.length];
        Random random = new Random(3);
        for (int i = 0; i < latents.length; i++) {
            int c = i % each;
            symbols[i] = random.nextInt(5) - 2;
            latents[i] = (float) ((symbols[i] * given.step[c] + codec.center[c]) * codec.unit[c]);
        }
        StreamHeader header = StreamHeader.of(SampleType.INT16, 8, 2);
        long[] n = new ChunkDecoder(header, with).predictions(codec, given, symbols, codec.latentShape, samples);
        byte[] values = new Scaling(header, with).values(n, n.length);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Compressor.Options options = new Compressor.Options().codec(1).quality(quality).maxError(error);
        Compressor compressor = new Compressor(with, (shape, asked) -> latents, header, options, out);
        compressor.write(values, 0, values.length);
        compressor.finish();
        Chunk chunk = new StreamReader(new ByteArrayInputStream(out.toByteArray()), with).next();
        assertEquals(3, chunk.path());
        assertArrayEquals(values, chunk.bytes());
    }

    @Test
    void nothingIsAStreamToo() {
        byte[] stream = compress("bare", null, StreamHeader.recording(SampleType.INT16, 8, 2), new Compressor.Options(), new byte[0]);
        assertEquals(0, Vectors.read(stream, Vectors.compression("bare")).length);
    }

    @Test
    void whatDoesNotFitIsRefusedByName() {
        Compressor compressor = new Compressor(Vectors.compression("bare"), (LatentSource) null, StreamHeader.recording(SampleType.INT16, 8, 2),
                new Compressor.Options(), new ByteArrayOutputStream());
        assertThrows(InputException.class, () -> compressor.write(new byte[3], 0, 3));
        assertThrows(InputException.class, () -> compressor.write(new float[4]));
        compressor.finish();
        assertThrows(UsageException.class, () -> compressor.write(new short[2]));
        assertThrows(UsageException.class, () -> new Compressor.Options().maxError(-1));
        assertThrows(UsageException.class, () -> Compression.of(Bundle.open(Vectors.bundle("encoder"))));
    }
}

package io.aetool;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;

/** A bundle of the vectors through ONNX Runtime: samples of six values, latents of two. */
class AutoencoderTest {
    private static final float[] SAMPLES = {1, 2, 3, 4, 5, 6, -1, 0.5f, 0, 0, 7, 100};

    private static Autoencoder open() {
        return Autoencoder.open(Vectors.bundle("encoder-decoder-in-both-formats"));
    }

    private static ByteBuffer direct(int values) {
        return ByteBuffer.allocateDirect(values * 4).order(ByteOrder.nativeOrder());
    }

    @Test
    void theSelfTestPasses() {
        try (Autoencoder model = open()) {
            List<Check> checks = model.selfTest();
            assertFalse(checks.isEmpty());
            for (Check check : checks) assertTrue(check.passed() && check.worst() <= 1, check.toString());
        }
    }

    @Test
    void batchesAreTheirSamplesOneByOne() {
        try (Autoencoder model = open()) {
            assertArrayEquals(new long[] {6}, model.inputShape());
            assertArrayEquals(new long[] {2}, model.latentShape());
            float[] latents = model.encode(SAMPLES);
            assertEquals(4, latents.length);
            float[] second = model.encode(Arrays.copyOfRange(SAMPLES, 6, 12));
            assertArrayEquals(new float[] {latents[2], latents[3]}, second, 1e-5f);
            assertArrayEquals(model.decode(latents), model.reconstruct(SAMPLES), 1e-3f);
            assertEquals(0, model.encode(new float[0]).length);
        }
    }

    @Test
    void directBuffersGiveTheSameAsArrays() {
        try (Autoencoder model = open()) {
            ByteBuffer samples = direct(12);
            samples.asFloatBuffer().put(SAMPLES);
            ByteBuffer latents = direct(4);
            model.encode(samples, latents);
            float[] met = new float[4];
            latents.asFloatBuffer().get(met);
            assertArrayEquals(model.encode(SAMPLES), met);
            ByteBuffer back = direct(12);
            model.decode(latents, back);
            float[] reconstructed = new float[12];
            back.asFloatBuffer().get(reconstructed);
            assertArrayEquals(model.decode(met), reconstructed);
        }
    }

    @Test
    void tensorsOfAnyShapeGoIn() {
        try (Autoencoder model = open()) {
            ByteBuffer samples = direct(12);
            samples.asFloatBuffer().put(SAMPLES);
            Tensor latent = model.run("encoder", new Tensor(ElementType.FLOAT32, new long[] {2, 6}, samples)).get(0);
            assertArrayEquals(new long[] {2, 2}, latent.shape());
            assertThrows(InputException.class, () -> model.run("encoder", new Tensor(ElementType.FLOAT32, new long[] {3, 4}, samples)));
        }
    }

    @Test
    void whatDoesNotFitIsRefusedByName() {
        Autoencoder model = open();
        assertThrows(InputException.class, () -> model.encode(new float[5]));
        assertThrows(InputException.class, () -> model.encode(ByteBuffer.allocate(24), direct(2)));
        assertThrows(InputException.class, () -> model.encode(ByteBuffer.allocateDirect(24).order(ByteOrder.BIG_ENDIAN), direct(2)));
        assertThrows(InputException.class, () -> model.encode(direct(6), direct(1)));
        Autoencoder.Options other = new Autoencoder.Options().precision("int8");
        assertThrows(UsageException.class, () -> new Autoencoder(model.bundle(), other).encode(SAMPLES));
        model.close();
        model.close();
        assertThrows(UsageException.class, () -> model.encode(SAMPLES));
    }

    @Test
    void aGraphThatPointsToAnotherFileIsNotLoaded() {
        try (Autoencoder model = Autoencoder.open(Vectors.bundle("weights-in-another-file"))) {
            assertThrows(UnsafeException.class, () -> model.encode(SAMPLES));
        }
    }

    @Test
    void threadsShareOne() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        try (Autoencoder model = open()) {
            float[] wanted = model.encode(SAMPLES);
            List<Future<float[]>> runs = new ArrayList<>();
            for (int i = 0; i < 200; i++) runs.add(pool.submit(() -> model.encode(SAMPLES)));
            for (Future<float[]> run : runs) assertArrayEquals(wanted, run.get());
        } finally {
            pool.shutdownNow();
        }
    }

    @Test
    void halvesAreWhatTheyAreElsewhere() {
        for (int bits = 0; bits < 0x7C00; bits++) assertEquals(bits, Half.of((float) Half.toDouble(bits)));
        assertEquals(0x3C00, Half.of(1 + 1f / 2048)); // a tie goes to even
        assertEquals(0x3C02, Half.of(1 + 3f / 2048));
        assertEquals(0x7C00, Half.of(65520));
        assertEquals(0xFBFF, Half.of(-65519));
        assertEquals(0x7E00, Half.of(Float.NaN));
    }
}

package io.aetool;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Method;
import java.net.URL;
import java.net.URLClassLoader;
import org.junit.jupiter.api.Test;

/** The program: standard input to standard output. */
class ToolTest {
    private static final String BARE = Vectors.ROOT.resolve("compression/bare.aepkg").toString();

    private static byte[] run(int code, byte[] in, String... arguments) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        assertEquals(code, Tool.run(arguments, new ByteArrayInputStream(in), out));
        return out.toByteArray();
    }

    @Test
    void aRecordingGoesThereAndBack() throws IOException {
        byte[] rows = new byte[4 * 1001]; // 1001 rows of two int16
        for (int i = 0; i < rows.length; i += 2) rows[i] = (byte) (i / 40);
        byte[] stream = run(0, rows, "compress", BARE, "--max-error", "0");
        assertTrue(stream.length < rows.length / 2);
        assertArrayEquals(rows, run(0, stream, "decompress", BARE));
    }

    @Test
    void theSelfTestTellsEachCheck() throws IOException {
        String bundle = Vectors.bundle("encoder-decoder-in-both-formats").toString();
        String told = new String(run(0, new byte[0], "selftest", bundle), "UTF-8");
        assertTrue(told.contains("encoder onnx float32") && told.contains(" ok ") && !told.contains("FAILED"), told);
    }

    @Test
    void mistakesEndWithOne() throws IOException {
        run(1, new byte[0]);
        run(1, new byte[0], "compress", BARE, "--max-error", "much");
        run(1, new byte[0], "decompress", "missing.aepkg");
        run(1, new byte[] {1, 2, 3}, "decompress", BARE);
    }

    /** The same classes where no ONNX Runtime is. */
    @Test
    void withoutOnnxRuntimeStreamsAreReadAndGraphsRefused() throws Exception {
        URL[] classes = {Tool.class.getProtectionDomain().getCodeSource().getLocation()};
        try (URLClassLoader alone = new URLClassLoader(classes, ClassLoader.getPlatformClassLoader())) {
            Method tool = alone.loadClass("io.aetool.Tool")
                    .getDeclaredMethod("run", String[].class, InputStream.class, OutputStream.class);
            tool.setAccessible(true);
            byte[] stream = run(0, new byte[400], "compress", BARE, "--max-error", "0");
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            assertEquals(0, tool.invoke(null, new String[] {"decompress", BARE}, new ByteArrayInputStream(stream), out));
            assertEquals(400, out.size());
            String[] selfTest = {"selftest", Vectors.bundle("encoder").toString()};
            assertEquals(1, tool.invoke(null, selfTest, new ByteArrayInputStream(stream), out));
            assertTrue(out.toString("UTF-8").contains("no ONNX Runtime"));
        }
    }
}

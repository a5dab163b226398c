package io.aetool;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayInputStream;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/** Coded values and whole streams: the same integers as every other reader; then every bit and length of short streams. */
class StreamVectorsTest {
    private static final int SHORT = 400;

    @TestFactory
    Stream<DynamicTest> codedValues() {
        return Vectors.rows("compression/coded.json").stream().map(row -> DynamicTest.dynamicTest(row.get("name").text(), () -> {
            Coder coder = Vectors.compression(row.get("bundle").text()).coder;
            int model = (int) row.get("model").natural();
            int[] shape = ints(row.get("shape"));
            int[] wanted = ints(row.get("values"));
            assertArrayEquals(wanted, decode(coder, Vectors.hex(row.get("bytes").text()), shape, model));
            for (int lanes : new int[] {0, 3}) {
                assertArrayEquals(wanted, decode(coder, coder.encode(wanted, shape, model, lanes), shape, model), "written here");
            }
        }));
    }

    private static int[] ints(JsonNode node) {
        return node.items().stream().mapToInt(item -> (int) item.integer()).toArray();
    }

    private static int[] decode(Coder coder, byte[] bytes, int[] shape, int model) {
        Cursor cursor = new Cursor(bytes, 0, bytes.length);
        int[] values = coder.decode(cursor, shape, model);
        assertEquals(0, cursor.left());
        return values;
    }

    @TestFactory
    Stream<DynamicTest> streams() {
        return Vectors.rows("compression/streams.json").stream().map(row -> DynamicTest.dynamicTest(row.get("name").text(), () -> {
            Compression with = Vectors.compression(row.get("bundle").text());
            byte[] stream = Vectors.hex(row.get("stream").text());
            String verdict = row.get("verdict").text();
            assertEquals(verdict, Vectors.verdict(() -> Vectors.read(stream, with)));
            if (!verdict.equals("ok")) return;
            assertArrayEquals(Vectors.hex(row.get("values").text()), Vectors.read(stream, with));
            assertChunks(row.get("chunks").items(), stream, with);
            if (stream.length <= SHORT) assertDamageIsFound(stream, with);
        }));
    }

    private static void assertChunks(List<JsonNode> wanted, byte[] stream, Compression with) {
        StreamReader reader = new StreamReader(new ByteArrayInputStream(stream), with);
        for (JsonNode chunk : wanted) {
            Chunk met = reader.next();
            assertEquals(chunk.get("count").natural(), met.count());
            assertEquals(chunk.get("path").natural(), met.path());
        }
        assertEquals(null, reader.next());
    }

    private static void assertDamageIsFound(byte[] stream, Compression with) {
        for (int bit = 0; bit < stream.length * 8; bit++) {
            byte[] changed = stream.clone();
            changed[bit / 8] ^= (byte) (1 << bit % 8);
            assertThrows(AetoolException.class, () -> Vectors.read(changed, with), "bit " + bit);
        }
        for (int length = 0; length < stream.length; length++) {
            byte[] cut = Arrays.copyOf(stream, length);
            assertThrows(TruncatedException.class, () -> Vectors.read(cut, with), "length " + length);
        }
    }
}

package io.aetool;

import static org.junit.jupiter.api.Assertions.fail;

import java.io.ByteArrayInputStream;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Bytes that somebody changed on purpose, checksums included: taken or refused, but never anything else. */
class MutationTest {
    private static final int ROUNDS = 100;

    private static byte[] mutated(byte[] bytes, Random random) {
        byte[] changed = bytes.clone();
        for (int i = random.nextInt(4); i >= 0 && changed.length > 0; i--) {
            int at = random.nextInt(changed.length);
            changed[at] = (byte) (random.nextBoolean() ? changed[at] ^ 1 << random.nextInt(8) : random.nextInt(256));
        }
        return changed;
    }

    private static void attempt(String what, Runnable run) {
        try {
            run.run();
        } catch (AetoolException refused) {
            // as it should be
        } catch (RuntimeException | Error other) {
            fail(what, other);
        }
    }

    @Test
    void chunks() {
        Random random = new Random(4);
        for (JsonNode row : Vectors.rows("compression/streams.json")) {
            if (!row.get("verdict").text().equals("ok")) continue;
            Compression with = Vectors.compression(row.get("bundle").text());
            StreamSource source = new StreamSource(new ByteArrayInputStream(Vectors.hex(row.get("stream").text())));
            StreamHeader header = new HeaderReader(source).read(with.bundle.digest());
            source.drop();
            int size = (int) source.varint();
            source.drop();
            source.take(size);
            for (int round = 0; round < ROUNDS; round++) {
                byte[] body = mutated(source.copy(), random);
                attempt(row.get("name").text(), () -> new ChunkDecoder(header, with).decode(body, body.length, true));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"bare", "fixed", "free"})
    void whatABundleBrings(String name) {
        Random random = new Random(5);
        Bundle bundle = Vectors.compression(name).bundle;
        byte[] text = bundle.read(bundle.manifest().compression);
        byte[] data = bundle.read(JsonParser.parse(text, name).get("data").text());
        for (int round = 0; round < 10 * ROUNDS; round++) {
            byte[] changed = mutated(text, random);
            byte[] arrays = mutated(data, random);
            attempt(name, () -> new CompressionReader(JsonParser.parse(changed, name), new ArrayFile(data)).read(new Compression(bundle)));
            attempt(name, () -> new CompressionReader(JsonParser.parse(text, name), new ArrayFile(arrays)).read(new Compression(bundle)));
        }
    }

    @Test
    void manifestsAndGraphs() {
        Random random = new Random(6);
        Bundle bundle = Bundle.open(Vectors.bundle("encoder"));
        byte[] text = new BundleFiles(Vectors.bundle("encoder")).read("manifest.json", 1 << 20);
        byte[] graph = bundle.read(bundle.manifest().artifacts.get(0).path);
        for (int round = 0; round < 20 * ROUNDS; round++) {
            byte[] changed = mutated(text, random);
            byte[] model = mutated(graph, random);
            attempt("manifest", () -> Manifest.parse(changed, "manifest.json"));
            attempt("graph", () -> OnnxScan.refuseExternalData(model, "graph"));
        }
    }
}

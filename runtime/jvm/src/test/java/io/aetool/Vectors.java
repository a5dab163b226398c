package io.aetool;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The vectors that every language reads: tests/vectors/README.md. */
final class Vectors {
    static final Path ROOT = Paths.get(System.getProperty("aetool.vectors", "../../tests/vectors"));
    private static final Map<String, Compression> OPENED = new HashMap<>();

    private Vectors() {}

    static List<JsonNode> rows(String file) {
        return JsonParser.parse(bytes(ROOT.resolve(file)), file).items();
    }

    static byte[] bytes(Path path) {
        try {
            return Files.readAllBytes(path);
        } catch (IOException error) {
            throw new AssertionError(error);
        }
    }

    static byte[] hex(String text) {
        byte[] bytes = new byte[text.length() / 2];
        for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
        return bytes;
    }

    static Path bundle(String name) {
        return ROOT.resolve("bundles").resolve(name + ".aepkg");
    }

    static synchronized Compression compression(String name) {
        return OPENED.computeIfAbsent(name, n -> Compression.of(Bundle.open(ROOT.resolve("compression").resolve(n + ".aepkg"))));
    }

    /** "ok", or what the refusal is called. */
    static String verdict(Runnable attempt) {
        try {
            attempt.run();
            return "ok";
        } catch (AetoolException refused) {
            return refused.refusal().label();
        }
    }

    static byte[] read(byte[] stream, Compression with) {
        return new StreamReader(new ByteArrayInputStream(stream), with).readAll();
    }
}

package io.aetool;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Manifests and bundles: the same verdicts as every other reader. */
class BundleVectorsTest {
    @TempDir
    Path scratch;

    @TestFactory
    Stream<DynamicTest> manifests() {
        return Vectors.rows("manifests.json").stream().map(row -> DynamicTest.dynamicTest(row.get("name").text(), () -> {
            byte[] text = row.has("base64") ? Base64.getDecoder().decode(row.get("base64").text())
                    : ((String) row.get("manifest").value()).getBytes(StandardCharsets.UTF_8);
            assertEquals(row.get("verdict").text(), Vectors.verdict(() -> Manifest.parse(text, "manifest.json")));
        }));
    }

    @TestFactory
    Stream<DynamicTest> bundles() {
        return Vectors.rows("bundles.json").stream().map(row -> DynamicTest.dynamicTest(row.get("name").text(), () -> {
            Path path = Vectors.bundle(row.get("name").text());
            boolean atOpen = row.get("at").text().equals("open");
            String met = Vectors.verdict(() -> openAndLook(path, !atOpen));
            assertEquals(row.get("verdict").text(), met);
            if (row.has("digest")) assertEquals(row.get("digest").text(), Bundle.open(path).digest());
        }));
    }

    /** Graphs are looked at as they are before an engine gets them. */
    private static void openAndLook(Path path, boolean look) {
        Bundle bundle = Bundle.open(path);
        for (Manifest.Artifact artifact : bundle.manifest().artifacts) {
            if (look && artifact.format.equals("onnx")) OnnxScan.refuseExternalData(bundle.read(artifact.path), artifact.path);
        }
    }

    @Test
    void everyByteChangedAndEveryLengthIsRefused() throws IOException {
        byte[] whole = Vectors.bytes(Vectors.bundle("encoder"));
        for (int i = 0; i < whole.length; i++) {
            byte[] changed = whole.clone();
            changed[i] ^= (byte) (1 << i % 8);
            assertRefused(changed, "byte " + i);
            assertRefused(Arrays.copyOf(whole, i), "length " + i);
        }
    }

    private void assertRefused(byte[] bytes, String what) throws IOException {
        Path path = Files.write(scratch.resolve("changed.aepkg"), bytes);
        assertThrows(AetoolException.class, () -> Bundle.open(path), what);
    }

    @Test
    void aFolderIsABundleWithoutItsLinks() throws IOException {
        Bundle packed = Bundle.open(Vectors.bundle("files-in-folders"));
        Path folder = Files.createDirectory(scratch.resolve("folder.aepkg"));
        unpack(Vectors.bundle("files-in-folders"), folder);
        assertEquals(packed.digest(), Bundle.open(folder).digest());
        Files.write(folder.resolve("unlisted"), new byte[1]);
        assertEquals(packed.digest(), Bundle.open(folder).digest());
        Path file = folder.resolve(packed.paths().iterator().next());
        Path aside = Files.move(file, scratch.resolve("aside"));
        assertThrows(TruncatedException.class, () -> Bundle.open(folder));
        Files.createSymbolicLink(file, aside);
        assertThrows(UnsafeException.class, () -> Bundle.open(folder));
    }

    private static void unpack(Path archive, Path folder) throws IOException {
        BundleFiles files = new BundleFiles(archive);
        Manifest manifest = Bundle.open(archive).manifest();
        for (String name : Stream.concat(Stream.of("manifest.json", "manifest.sha256"), manifest.files.keySet().stream()).toArray(String[]::new)) {
            Path path = folder.resolve(name);
            Files.createDirectories(path.getParent());
            Files.write(path, files.read(name, files.size(name)));
        }
    }

    @Test
    void whatIsNoBundleIsCalledSo() {
        assertThrows(InputException.class, () -> Bundle.open(scratch.resolve("missing.aepkg")));
        assertThrows(InputException.class, () -> Bundle.open(Vectors.ROOT.resolve("manifests.json")));
    }
}

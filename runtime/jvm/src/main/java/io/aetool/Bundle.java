package io.aetool;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.Set;

/**
 * A bundle, opened: every listed file was hashed then, and is hashed again when it is read. Immutable; any number of
 * threads may use it. It holds no file open.
 */
public final class Bundle {
    private static final String MANIFEST = "manifest.json";
    private static final String DIGEST = "manifest.sha256";
    private static final char[] DIGITS = "0123456789abcdef".toCharArray();

    private final BundleFiles files;
    private final Manifest manifest;
    private final String digest;

    private Bundle(BundleFiles files, Manifest manifest, String digest) {
        this.files = files;
        this.manifest = manifest;
        this.digest = digest;
    }

    /**
     * Opens a folder, or one zip of it.
     *
     * @throws AetoolException what FORMAT.md, section 1, names; {@link InputException} where there is no bundle
     */
    public static Bundle open(Path path) {
        BundleFiles files = new BundleFiles(path);
        byte[] text = files.read(MANIFEST, JsonParser.MAX_BYTES + 1);
        if (text.length > JsonParser.MAX_BYTES) throw Refusal.MANIFEST.because("is larger than 16 MiB", files.where(MANIFEST));
        String digest = sha256(text);
        byte[] line = (digest + "  manifest.json\n").getBytes(StandardCharsets.US_ASCII);
        if (!Arrays.equals(files.read(DIGEST, line.length + 1), line)) {
            throw Refusal.DIGEST.because("manifest.json does not match manifest.sha256", path.toString());
        }
        Manifest manifest = Manifest.parse(text, files.where(MANIFEST));
        Set<String> listed = new HashSet<>(manifest.files.keySet());
        Collections.addAll(listed, MANIFEST, DIGEST);
        files.refuseUnlisted(listed);
        Bundle bundle = new Bundle(files, manifest, digest);
        for (String name : manifest.files.keySet()) bundle.read(name);
        return bundle;
    }

    /** Returns the model's name, for people. */
    public String name() {
        return manifest.name;
    }

    /** Returns 64 hexadecimal digits that stand for every byte of the bundle. */
    public String digest() {
        return digest;
    }

    /** Returns the paths of the listed files. */
    public Set<String> paths() {
        return Collections.unmodifiableSet(manifest.files.keySet());
    }

    /** Returns the bytes of a listed file, checked. */
    public byte[] read(String path) {
        Manifest.FileEntry entry = manifest.files.get(path);
        if (entry == null) throw Refusal.UNSAFE.because("the manifest does not list " + path);
        long size = files.size(path);
        if (size != entry.bytes) {
            throw (size < entry.bytes ? Refusal.TRUNCATED : Refusal.DIGEST).because("has another size", files.where(path));
        }
        byte[] data = files.read(path, size);
        if (data.length != size) throw Refusal.TRUNCATED.because("ends too early", files.where(path));
        if (!sha256(data).equals(entry.sha256)) throw Refusal.DIGEST.because("has another sha256", files.where(path));
        return data;
    }

    Manifest manifest() {
        return manifest;
    }

    static String hexadecimal(byte[] bytes, int start, int length) {
        StringBuilder text = new StringBuilder();
        for (int i = start; i < start + length; i++) text.append(DIGITS[bytes[i] >> 4 & 15]).append(DIGITS[bytes[i] & 15]);
        return text.toString();
    }

    private static String sha256(byte[] data) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256").digest(data);
            return hexadecimal(hash, 0, hash.length);
        } catch (NoSuchAlgorithmException impossible) { // every Java and every Android has it
            throw new IllegalStateException(impossible);
        }
    }
}

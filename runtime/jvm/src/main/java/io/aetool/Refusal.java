package io.aetool;

import java.util.Locale;

/** What can go wrong, by the names of FORMAT.md, section 7, and BITSTREAM.md, section 8, and a few more. */
public enum Refusal {
    /** A manifest, or a bundle's compression, that breaks the format. */
    MANIFEST,
    /** Written by a newer aetool. */
    VERSION,
    /** A file does not have the sha256 that the manifest gives. */
    DIGEST,
    /** A file or a stream that ends too early. */
    TRUNCATED,
    /** A stream whose bytes are not the ones that were written. */
    DAMAGED,
    /** A stream that another bundle made. */
    BUNDLE,
    /** A path that leaves the bundle, a link, a file that the manifest does not list. */
    UNSAFE,
    /** Data or a path that the caller gave. */
    INPUT,
    /** What was asked for is not in the bundle. */
    USAGE,
    /** ONNX Runtime, or what the graph needs of it, is not here. */
    UNAVAILABLE;

    /** Returns the name in the specification: {@code manifest}, {@code version} … */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    AetoolException because(String what) {
        return because(what, "");
    }

    AetoolException because(String what, String where) {
        String message = where.isEmpty() ? what : what + " (" + where + ")";
        switch (this) {
            case MANIFEST: return new ManifestException(message);
            case VERSION: return new VersionException(message);
            case DIGEST: return new DigestException(message);
            case TRUNCATED: return new TruncatedException(message);
            case DAMAGED: return new DamagedStreamException(message);
            case BUNDLE: return new WrongBundleException(message);
            case UNSAFE: return new UnsafeException(message);
            case INPUT: return new InputException(message);
            case USAGE: return new UsageException(message);
            default: return new UnavailableException(message);
        }
    }
}

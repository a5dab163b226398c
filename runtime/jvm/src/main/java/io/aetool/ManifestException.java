package io.aetool;

/** A manifest, or a bundle's compression, that breaks the format. */
public final class ManifestException extends AetoolException {
    private static final long serialVersionUID = 1L;

    ManifestException(String message) {
        super(Refusal.MANIFEST, message);
    }
}

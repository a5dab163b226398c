package io.aetool;

/** A file of a bundle is not the one that the manifest lists. */
public final class DigestException extends AetoolException {
    private static final long serialVersionUID = 1L;

    DigestException(String message) {
        super(Refusal.DIGEST, message);
    }
}

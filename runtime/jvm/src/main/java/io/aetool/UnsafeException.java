package io.aetool;

/** A path that leaves the bundle, a link, a file that the manifest does not list. */
public final class UnsafeException extends AetoolException {
    private static final long serialVersionUID = 1L;

    UnsafeException(String message) {
        super(Refusal.UNSAFE, message);
    }
}

package io.aetool;

/** Written by a newer aetool: update this library. */
public final class VersionException extends AetoolException {
    private static final long serialVersionUID = 1L;

    VersionException(String message) {
        super(Refusal.VERSION, message);
    }
}

package io.aetool;

/** What was asked for is not in the bundle. */
public final class UsageException extends AetoolException {
    private static final long serialVersionUID = 1L;

    UsageException(String message) {
        super(Refusal.USAGE, message);
    }
}

package io.aetool;

/** A file or a stream that ends too early. */
public final class TruncatedException extends AetoolException {
    private static final long serialVersionUID = 1L;

    TruncatedException(String message) {
        super(Refusal.TRUNCATED, message);
    }
}

package io.aetool;

/** A stream that was made with another bundle. */
public final class WrongBundleException extends AetoolException {
    private static final long serialVersionUID = 1L;

    WrongBundleException(String message) {
        super(Refusal.BUNDLE, message);
    }
}

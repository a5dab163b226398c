package io.aetool;

/** Data or a path that the caller gave is not what is needed. */
public final class InputException extends AetoolException {
    private static final long serialVersionUID = 1L;

    InputException(String message) {
        super(Refusal.INPUT, message);
    }
}

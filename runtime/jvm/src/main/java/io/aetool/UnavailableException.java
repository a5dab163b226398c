package io.aetool;

/** ONNX Runtime, or what the graph needs of it, is not here. */
public final class UnavailableException extends AetoolException {
    private static final long serialVersionUID = 1L;

    UnavailableException(String message) {
        super(Refusal.UNAVAILABLE, message);
    }
}

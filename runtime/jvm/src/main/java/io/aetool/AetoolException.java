package io.aetool;

/** What every method of this library throws; one subclass for each {@link Refusal}. */
public abstract class AetoolException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** The refusal that this is. */
    private final Refusal refusal;

    AetoolException(Refusal refusal, String message) {
        super(message);
        this.refusal = refusal;
    }

    /** Returns why, by the name that every language uses. */
    public Refusal refusal() {
        return refusal;
    }
}

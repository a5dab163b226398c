package io.aetool;

/** A stream whose bytes are not the ones that were written. */
public final class DamagedStreamException extends AetoolException {
    private static final long serialVersionUID = 1L;

    DamagedStreamException(String message) {
        super(Refusal.DAMAGED, message);
    }
}

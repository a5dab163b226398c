package io.aetool;

/** A number as it was written: {@code whole} without fraction and exponent; {@code integer} ±2^62 for those beyond. */
final class JsonNumber {
    final double number;
    final boolean whole;
    final long integer;

    JsonNumber(String text, boolean whole) {
        this.number = Double.parseDouble(text);
        this.whole = whole;
        this.integer = whole ? integerOf(text) : 0;
    }

    private static long integerOf(String text) {
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException tooLong) {
            return (text.charAt(0) == '-' ? -1 : 1) * (1L << 62);
        }
    }
}

package io.aetool;

/** IEEE 754 binary16 ↔ larger floats. */
final class Half {
    private Half() {}

    static double toDouble(int bits) {
        int exponent = bits >> 10 & 31;
        int fraction = bits & 1023;
        double size = exponent == 0 ? Math.scalb((double) fraction, -24)
                : exponent < 31 ? Math.scalb((double) (fraction + 1024), exponent - 25)
                : fraction > 0 ? Double.NaN : Double.POSITIVE_INFINITY;
        return (bits & 0x8000) != 0 ? -size : size;
    }

    /** To nearest, ties to even; beyond the range infinite. */
    static int of(float value) {
        int sign = Float.floatToIntBits(value) >> 16 & 0x8000;
        double size = Math.abs((double) value);
        if (Double.isNaN(size)) return sign | 0x7E00;
        if (size >= 65520) return sign | 0x7C00;
        int unit = Math.max(Math.getExponent(size) - 10, -24); // the size of the last place
        int steps = (int) Math.rint(Math.scalb(size, -unit));
        return unit == -24 ? sign | steps : sign | (unit + 24) * 1024 + steps;
    }
}

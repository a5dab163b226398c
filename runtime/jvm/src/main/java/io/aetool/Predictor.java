package io.aetool;

/** Linear prediction of integers from the ones before: BITSTREAM.md, section 7. */
final class Predictor {
    static final int MOST_TAPS = 32;
    static final int MOST_SHIFT = 15;

    final long[] taps;
    final int shift;

    Predictor(long[] taps, int shift) {
        this.taps = taps;
        this.shift = shift;
    }

    static Predictor read(Cursor cursor) {
        int order = cursor.u8();
        int shift = cursor.u8();
        if (order > MOST_TAPS || shift > MOST_SHIFT) throw Refusal.DAMAGED.because("a predictor out of range");
        long[] taps = new long[order];
        for (int k = 0; k < order; k++) taps[k] = (short) cursor.u16();
        return new Predictor(taps, shift);
    }

    void writeTo(ByteWriter out) {
        out.u8(taps.length).u8(shift);
        for (long tap : taps) out.put(tap, 2);
    }

    /** Of line[i], {@code t} > 0 values behind the start of its block. */
    long predict(long[] line, int i, int t) {
        if (taps.length == 0) return 0;
        if (t < taps.length) return line[i - 1];
        long sum = 0;
        for (int k = 0; k < taps.length; k++) sum += taps[k] * line[i - 1 - k];
        return Step.shifted(sum, shift);
    }

    /** Of some orders, and of differences of the first to third kind, the one that leaves least. */
    static Predictor best(long[] line) {
        Predictor best = new Predictor(new long[] {1}, 0);
        Predictor[] differences = {new Predictor(new long[] {2, -1}, 0), new Predictor(new long[] {3, -3, 1}, 0)};
        for (Predictor other : differences) best = better(best, other, line);
        for (int order = 2; order <= 16 && line.length >= 32 * order; order *= 2) best = better(best, fit(line, order), line);
        return best;
    }

    private static Predictor better(Predictor best, Predictor other, long[] line) {
        return other.leftOver(line) < best.leftOver(line) ? other : best;
    }

    /** What it leaves over, as a sum of magnitudes. */
    private double leftOver(long[] line) {
        double sum = 0;
        for (int t = taps.length; t < line.length; t++) sum += Math.abs((double) (line[t] - predict(line, t, t)));
        return sum;
    }

    /** Autocorrelation and Levinson-Durbin (Levinson 1947, Durbin 1960), then taps of 16 bits. */
    private static Predictor fit(long[] line, int order) {
        double[] correlation = correlation(line, order);
        double[] taps = new double[order];
        double error = correlation[0] * (1 + 1e-9) + 1e-9;
        for (int i = 0; i < order; i++) {
            double reflection = correlation[i + 1];
            for (int k = 0; k < i; k++) reflection -= taps[k] * correlation[i - k];
            reflection /= error;
            double[] next = taps.clone();
            next[i] = reflection;
            for (int k = 0; k < i; k++) next[k] -= reflection * taps[i - 1 - k];
            taps = next;
            error *= 1 - reflection * reflection;
        }
        return quantized(taps);
    }

    private static double[] correlation(long[] line, int order) {
        double[] correlation = new double[order + 1];
        for (int lag = 0; lag <= order && lag < line.length; lag++) {
            for (int i = lag; i < line.length; i++) correlation[lag] += (double) line[i] * line[i - lag];
        }
        return correlation;
    }

    private static Predictor quantized(double[] taps) {
        double most = 1e-9;
        for (double tap : taps) most = Math.max(most, Math.abs(tap));
        int shift = 0;
        while (shift < MOST_SHIFT && most * Math.scalb(1.0, shift + 1) < 32767) shift++;
        long[] whole = new long[taps.length];
        for (int k = 0; k < taps.length; k++) {
            whole[k] = Math.round(Math.min(Math.max(Math.scalb(taps[k], shift), -32767), 32767));
        }
        return new Predictor(whole, shift);
    }
}

package io.aetool;

/** n → the payload of a predicted chunk; time is the first dimension of samples. */
final class PredictiveEncoder {
    private static final int BLOCK_EXPONENT = 12;

    private final Compression compression;
    private final int time;
    private final int series;
    private final boolean each;

    PredictiveEncoder(Compression compression, int samples, long[] shape) {
        this.compression = compression;
        this.time = (int) (samples * shape[0]);
        this.series = (int) PredictiveDecoder.product(shape, 1, shape.length);
        this.each = series <= PredictiveDecoder.MOST_SERIES;
    }

    /** In steps of r; null where a difference takes more than 32 bits: another path will do. */
    byte[] encode(long[] n, long r) {
        long[][] lines = new long[series][time];
        for (int i = 0; i < n.length; i++) lines[i % series][i / series] = nearest(n[i], r);
        ByteWriter out = new ByteWriter().varint(r).u8(0).u8(1).u8(BLOCK_EXPONENT).u8(each ? 1 : 0);
        Predictor[] predictors = new Predictor[each ? series : 1];
        for (int s = 0; s < predictors.length; s++) {
            predictors[s] = each ? Predictor.best(lines[s]) : new Predictor(new long[] {1}, 0);
            predictors[s].writeTo(out);
        }
        int[] coded = new int[series * time];
        for (int s = 0; s < series; s++) {
            if (!code(lines[s], predictors[each ? s : 0], coded, s * time)) return null;
        }
        return out.bytes(compression.coder.encode(coded, new int[] {1, coded.length, 1}, compression.residual, 0)).toBytes();
    }

    /** n / r, halves away from 0. */
    static long nearest(long n, long r) {
        return n >= 0 ? (n + r / 2) / r : -((-n + r / 2) / r);
    }

    private static boolean code(long[] line, Predictor predictor, int[] coded, int at) {
        long first = 0;
        for (int i = 0; i < line.length; i++) {
            int t = i % (1 << BLOCK_EXPONENT);
            long u = line[i] - (t == 0 ? first : predictor.predict(line, i, t));
            if (u != (int) u) return false;
            coded[at + i] = (int) u;
            if (t == 0) first = line[i];
        }
        return true;
    }
}

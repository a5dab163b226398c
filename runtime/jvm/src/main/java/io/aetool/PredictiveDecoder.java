package io.aetool;

/** The payload of a predicted chunk → r · n′: BITSTREAM.md, section 7. */
final class PredictiveDecoder {
    static final long STEP_LIMIT = (1L << 21) - 1;
    static final long VALUE_LIMIT = 1L << 31;
    static final int MOST_SERIES = 256;

    private final long step;
    private final int time;
    private final int series;
    private final int block;
    private final Predictor[] predictors;
    private final Extras extras;
    private final int[] coded;

    PredictiveDecoder(Cursor cursor, Compression compression, int samples, long[] shape) {
        step = cursor.varint();
        if (step < 1 || step > STEP_LIMIT) throw Refusal.DAMAGED.because("a step out of range");
        int flags = cursor.u8();
        if (flags > 7) throw Refusal.DAMAGED.because("unknown extras");
        int dimensions = cursor.u8();
        if (dimensions < 1 || dimensions > shape.length) throw Refusal.DAMAGED.because("dimensions of time out of range");
        int exponent = cursor.u8();
        if (exponent < 4 || exponent > 16) throw Refusal.DAMAGED.because("a block size out of range");
        block = 1 << exponent;
        time = (int) (samples * product(shape, 0, dimensions));
        series = (int) product(shape, dimensions, shape.length);
        predictors = readPredictors(cursor, series);
        extras = Extras.read(cursor, flags, time);
        Coder coder = extras.table == null ? compression.coder : Coder.of(extras.table);
        coded = coder.decode(cursor, new int[] {1, series * time, 1}, extras.table == null ? compression.residual : 0);
    }

    static long product(long[] shape, int from, int to) {
        long all = 1;
        for (int i = from; i < to; i++) all *= shape[i];
        return all;
    }

    private static Predictor[] readPredictors(Cursor cursor, int series) {
        int each = cursor.u8();
        if (each > 1 || (each == 1 && series > MOST_SERIES)) throw Refusal.DAMAGED.because("predictors out of range");
        Predictor[] predictors = new Predictor[each == 1 ? series : 1];
        for (int i = 0; i < predictors.length; i++) predictors[i] = Predictor.read(cursor);
        return predictors;
    }

    /** Not yet clamped, in the order of the samples. */
    long[] run() {
        long[] out = new long[coded.length];
        long[] line = new long[time];
        long[] sums = new long[time];
        for (int s = 0; s < series; s++) {
            undoPrediction(s, line);
            for (int i = 0; i < time; i++) {
                sums[i] = sound(line[i] + (extras.lag > 0 && i >= extras.lag ? sums[i - extras.lag] : 0));
                out[i * series + s] = step * named(sums[i]);
            }
        }
        return out;
    }

    private void undoPrediction(int s, long[] line) {
        Predictor predictor = predictors[predictors.length > 1 ? s : 0];
        long first = 0;
        for (int i = 0; i < time; i++) {
            int t = i % block;
            line[i] = sound(coded[s * time + i] + (t == 0 ? first : predictor.predict(line, i, t)));
            if (t == 0) first = line[i];
        }
    }

    private static long sound(long value) {
        if (value <= -VALUE_LIMIT || value >= VALUE_LIMIT) throw Refusal.DAMAGED.because("a value beyond 32 bits");
        return value;
    }

    private long named(long number) {
        if (extras.palette == null) return number;
        if (number < 0 || number >= extras.palette.length) throw Refusal.DAMAGED.because("no number of the palette");
        return extras.palette[(int) number];
    }
}

package io.aetool;

/** One point of a codec between few bits and little error. */
final class Quality {
    final int[] step;
    final double rounding;
    final int model;
    /** Raw units, on held-out data; 0: not told. */
    final double rmse;

    Quality(int[] step, double rounding, int model, double rmse) {
        this.step = step;
        this.rounding = rounding;
        this.model = model;
        this.rmse = rmse;
    }
}

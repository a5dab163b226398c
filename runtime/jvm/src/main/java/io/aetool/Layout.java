package io.aetool;

/** What an array of values [samples, positions …, channels] is for a model, and in which order it is coded. */
final class Layout {
    final int samples;
    final int positions;
    final int channels;
    private final int last;
    private final int before;
    private final EntropyModel model;
    private final int groupsPerSample;

    /** Callers bound the product of the shape. */
    Layout(int[] shape, EntropyModel model) {
        this.samples = shape[0];
        this.channels = shape[shape.length - 1];
        int product = 1;
        for (int i = 1; i + 1 < shape.length; i++) product *= shape[i];
        this.positions = product;
        this.last = shape.length > 2 ? shape[shape.length - 2] : 1;
        this.before = shape.length > 3 ? shape[shape.length - 3] : 1;
        this.model = model;
        this.groupsPerSample = (int) ((positions + model.positions - 1) / model.positions);
    }

    int size() {
        return samples * positions * channels;
    }

    int groups() {
        return model.hasSelectors() ? samples * groupsPerSample : 0;
    }

    int groupOf(int element) {
        int sample = element / (positions * channels);
        int position = element / channels % positions;
        return sample * groupsPerSample + (int) (position / model.positions);
    }

    /** The set of a value: as chosen for its group, or as earlier values of the same sample and channel call for. */
    int setOf(int element, int[] values, byte[] sets) {
        if (model.neighbors) return context(values, element);
        return model.hasSelectors() ? sets[groupOf(element)] & 255 : 0;
    }

    private int context(int[] values, int element) {
        int position = element / channels % positions;
        long a = 0;
        if (position % last != 0) a += 2 * magnitude(values[element - channels]);
        if (position / last % before != 0) a += magnitude(values[element - last * channels]);
        int k = 0;
        while (k < model.thresholds.length && model.thresholds[k] <= a) k++;
        return k;
    }

    private static long magnitude(int value) {
        return Math.min(Math.abs((long) value), 1 << 20);
    }

    /** Takes elements in the order in which they are decoded. */
    interface Visitor {
        void visit(int lane, int element);
    }

    void eachGroup(int lanes, Visitor visitor) {
        each(groups(), lanes, 1, visitor);
    }

    void eachValue(int lanes, Visitor visitor) {
        each(size(), lanes, model.neighbors ? Math.max(positions * channels, 1) : 1, visitor);
    }

    /** Lane l has a run of elements from l · run on. */
    private static void each(int total, int lanes, int unit, Visitor visitor) {
        long run = ((long) total / unit + lanes - 1) / lanes * unit;
        for (long t = 0; t < run; t++) {
            for (int lane = 0; lane < lanes && lane * run + t < total; lane++) visitor.visit(lane, (int) (lane * run + t));
        }
    }
}

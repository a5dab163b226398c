package io.aetool;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Whether a step can leave 32 bits: the paragraph "No overflow" of BITSTREAM.md, section 4. */
final class StepBounds {
    private static final long LIMIT = 1L << 31;

    private final Step step;
    private final List<long[]> ranges;
    private final StepChecker checker;

    StepBounds(Step step, List<long[]> ranges, StepChecker checker) {
        this.step = step;
        this.ranges = ranges;
        this.checker = checker;
    }

    void check() {
        if (step.hasKernel()) checkSums();
        if (step.op == Step.Op.RESCALE) checkRescale();
        if (step.op == Step.Op.TABLE) checkTable();
        if (step.op == Step.Op.ADD) {
            long sum = magnitude(0) * step.added[0] + magnitude(1) * step.added[1];
            checker.want(Step.shifted(sum, step.addedShift) < LIMIT, "may reach 2^31");
        }
    }

    /** The larger of |lo| and |hi| of an input. */
    private long magnitude(int input) {
        long[] range = ranges.get(step.inputs[input]);
        return Math.max(Math.abs(range[0]), Math.abs(range[1]));
    }

    private void checkSums() {
        long largest = magnitude(0);
        long[] sums = meetingSums();
        for (int o = 0; o < step.out; o++) {
            long room = LIMIT - 1 - Math.abs((long) step.bias[o]);
            checker.want(room >= 0 && (largest == 0 || sums[o] <= room / largest), "may reach 2^31");
        }
    }

    private void checkRescale() {
        for (int c = 0; c < step.bias.length; c++) {
            long most = Step.shifted(magnitude(0) * step.multiplier[c], step.shift[c]);
            checker.want(most + Math.abs((long) step.bias[c]) < LIMIT, "may reach 2^31");
        }
    }

    private void checkTable() {
        long[] range = ranges.get(step.inputs[0]);
        boolean fits = step.values.length == range[1] - range[0] + 1 && step.values.length <= 65536;
        checker.want(fits, "has a table of another size");
        for (int value : step.values) checker.want(value >= step.low && value <= step.high, "has a table beyond its range");
    }

    /**
     * The largest Σ |w| that meets in one place of each output channel: of a transposed convolution, over places of the
     * kernel with the same remainders modulo the stride.
     */
    private long[] meetingSums() {
        Map<Long, long[]> groups = new HashMap<>();
        for (int i = 0; i < step.weights.length; i++) {
            long group = step.op == Step.Op.CONV_TRANSPOSED ? group(i / ((long) step.in * step.out)) : 0;
            groups.computeIfAbsent(group, made -> new long[step.out])[i % step.out] += Math.abs((int) step.weights[i]);
        }
        long[] largest = new long[step.out];
        for (long[] sums : groups.values()) {
            for (int o = 0; o < step.out; o++) largest[o] = Math.max(largest[o], sums[o]);
        }
        return largest;
    }

    private long group(long tap) {
        long left = tap;
        long group = 0;
        for (int d = step.kernel.length; d-- > 0; left /= step.kernel[d]) {
            group = group * Math.min(step.stride[d], step.kernel[d]) + left % step.kernel[d] % step.stride[d];
        }
        return group;
    }
}

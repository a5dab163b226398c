package io.aetool;

import java.util.ArrayList;
import java.util.List;

/** Checks steps one after the other (BITSTREAM.md, section 4) and keeps what is known of each value. */
final class StepChecker {
    private static final long MOST_VALUES = 1L << 28;

    private final String where;
    private final List<FreeShape> shapes = new ArrayList<>();
    private final List<long[]> ranges = new ArrayList<>();

    StepChecker(FreeShape latent, String where) {
        this.where = where;
        shapes.add(latent);
        ranges.add(new long[] {-32768, 32767});
    }

    FreeShape[] shapes() {
        return shapes.toArray(new FreeShape[0]);
    }

    void add(Step step) {
        int wanted = step.op == Step.Op.ADD ? 2 : 1;
        want(step.op == Step.Op.CONCATENATE ? step.inputs.length >= 2 : step.inputs.length == wanted, "has another number of inputs");
        for (int input : step.inputs) want(input >= 0 && input < shapes.size(), "takes a later value");
        FreeShape shape = shapeAfter(step);
        long known = 1;
        for (int i = 0; i < shape.rank(); i++) {
            want(shape.factor[i] + shape.offset[i] >= 1, "makes an empty value");
            if (shape.factor[i] == 0) known = shape.offset[i] > MOST_VALUES / known ? MOST_VALUES + 1 : known * shape.offset[i];
            want(known <= MOST_VALUES, "makes too large a value");
        }
        new StepBounds(step, ranges, this).check();
        shapes.add(shape);
        ranges.add(new long[] {step.low, step.high});
    }

    void want(boolean holds, String what) {
        if (!holds) throw Refusal.MANIFEST.because("step " + (shapes.size() - 1) + " " + what, where);
    }

    private FreeShape given(Step step, int i) {
        return shapes.get(step.inputs[i]);
    }

    private FreeShape shapeAfter(Step step) {
        FreeShape shape = given(step, 0).copy();
        switch (step.op) {
            case DENSE:
                want(shape.endsWith(step.in), "takes another number of channels");
                shape.set(shape.last(), 0, step.out);
                return shape;
            case CONV:
            case CONV_TRANSPOSED: return convolved(step, shape);
            case RESCALE:
                want(shape.endsWith(step.bias.length), "takes another number of channels");
                return shape;
            case ADD:
                want(shape.equalsBut(given(step, 1), 0), "adds two shapes");
                return shape;
            case UPSAMPLE: return upsampled(step, shape);
            case RESHAPE: return reshaped(step, shape);
            case CROP: return cropped(step, shape);
            case CONCATENATE: return concatenated(step, shape);
            default: return shape;
        }
    }

    private FreeShape upsampled(Step step, FreeShape shape) {
        want(shape.last() >= 1 && step.sizes.length == shape.last(), "has other factors");
        for (int i = 0; i < step.sizes.length; i++) {
            long factor = bounded(shape.factor[i], step.sizes[i]);
            shape.set(i, factor, bounded(shape.offset[i], step.sizes[i]));
        }
        return shape;
    }

    private FreeShape cropped(Step step, FreeShape shape) {
        want(shape.last() >= 1 && step.margins.length == shape.last(), "crops other dimensions");
        for (int i = 0; i < step.margins.length; i++) shape.offset[i] -= step.margins[i][0] + step.margins[i][1];
        return shape;
    }

    private FreeShape concatenated(Step step, FreeShape shape) {
        for (int i = 1; i < step.inputs.length; i++) {
            FreeShape other = given(step, i);
            want(shape.equalsBut(other, 1), "puts different shapes side by side");
            shape.offset[shape.last()] += other.offset[other.last()];
        }
        return shape;
    }

    private FreeShape convolved(Step step, FreeShape shape) {
        want(shape.rank() == step.kernel.length + 1, "takes another number of dimensions");
        want(shape.endsWith(step.in), "takes another number of channels");
        for (int i = 0; i < step.kernel.length; i++) {
            long k = step.kernel[i];
            long s = step.stride[i];
            long margin = step.margins[i][0] + step.margins[i][1];
            if (step.op == Step.Op.CONV_TRANSPOSED) {
                shape.set(i, bounded(shape.factor[i], s), bounded(shape.offset[i] - 1, s) + k - margin);
            } else {
                want(shape.factor[i] % s == 0, "has a stride that does not divide its free size");
                shape.set(i, shape.factor[i] / s, Math.floorDiv(shape.offset[i] + margin - k, s) + 1);
            }
        }
        shape.set(shape.last(), 0, step.out);
        return shape;
    }

    private FreeShape reshaped(Step step, FreeShape shape) {
        long before = 1;
        for (int i = 0; i < shape.rank(); i++) {
            want(shape.factor[i] == 0, "reshapes a free size");
            before *= shape.offset[i];
        }
        long after = 1;
        for (long size : step.sizes) after = size > (1L << 29) / after ? 1L << 30 : after * size;
        want(step.sizes.length > 0 && before == after, "reshapes to another number of values");
        return FreeShape.fixed(step.sizes);
    }

    /** A product of sizes that no sound decoder comes near to ends here, so that none overflows. */
    private long bounded(long size, long factor) {
        want(Math.abs(size) <= (1L << 50) / factor, "makes too large a value");
        return size * factor;
    }
}

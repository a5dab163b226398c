package io.aetool;

/** A tensor of an artifact as the manifest describes it. */
final class TensorSpec {
    /** A free size. */
    static final long FREE = -1;

    /** Affine: real = scale · (q − zero_point); one of each, or one for each index of {@code axis} (−1: one). */
    static final class Quantization {
        final double[] scale;
        final long[] zeroPoint;
        final int axis;

        Quantization(double[] scale, long[] zeroPoint, int axis) {
            this.scale = scale;
            this.zeroPoint = zeroPoint;
            this.axis = axis;
        }
    }

    final String name;
    final ElementType type;
    /** The batch first. */
    final long[] shape;
    /** Null: none. */
    final Quantization quantization;

    TensorSpec(String name, ElementType type, long[] shape, Quantization quantization) {
        this.name = name;
        this.type = type;
        this.shape = shape;
        this.quantization = quantization;
    }

    /** Whether an array of this type and shape is such a tensor; any batch will do. */
    boolean takes(ElementType other, long[] sizes) {
        if (other != type || sizes.length != shape.length) return false;
        for (int i = 1; i < shape.length; i++) {
            if (shape[i] != FREE && shape[i] != sizes[i]) return false;
        }
        return true;
    }

    /** Values of one sample; a free size is refused. */
    int sampleSize() {
        long values = 1;
        for (int i = 1; i < shape.length; i++) {
            if (shape[i] == FREE) throw Refusal.USAGE.because(name + " has a free size: give arrays with their shapes, to run()");
            values *= shape[i];
            if (values > Integer.MAX_VALUE) throw Refusal.USAGE.because(name + " is too large for an array");
        }
        return (int) values;
    }

    long[] batched(long batch) {
        long[] sizes = shape.clone();
        sizes[0] = batch;
        return sizes;
    }
}

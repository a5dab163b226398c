package io.aetool;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Elements of a tensor as the real numbers that they stand for, and back. */
final class Elements {
    private final TensorSpec spec;
    private final TensorSpec.Quantization quantization;
    /** How many values in a row have the same scale. */
    private final long inner;

    Elements(TensorSpec spec, long[] shape) {
        this.spec = spec;
        this.quantization = spec.quantization;
        long values = 1;
        for (int i = quantization == null || quantization.axis < 0 ? shape.length : quantization.axis + 1; i < shape.length; i++) {
            values *= shape[i];
        }
        this.inner = values;
    }

    private int scaleAt(int i) {
        return quantization.axis < 0 ? 0 : (int) (i / inner % quantization.scale.length);
    }

    /** What elements stand for; little-endian, from position 0. */
    double[] real(ByteBuffer data, int count) {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) {
            values[i] = element(data, i * spec.type.bytes());
            if (quantization == null) continue;
            int at = scaleAt(i);
            values[i] = (values[i] - quantization.zeroPoint[at]) * quantization.scale[at];
        }
        return values;
    }

    private double element(ByteBuffer data, int at) {
        switch (spec.type) {
            case FLOAT32: return data.getFloat(at);
            case FLOAT16: return Half.toDouble(data.getShort(at) & 0xFFFF);
            case INT8: return data.get(at);
            case UINT8: return data.get(at) & 255;
            case INT16: return data.getShort(at);
            case INT32: return data.getInt(at);
            default: return data.getLong(at);
        }
    }

    /** Real values as elements: the nearest integers, those out of range to its ends. */
    ByteBuffer store(float[] values) {
        ByteBuffer out = ByteBuffer.allocateDirect(values.length * spec.type.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        if (spec.type == ElementType.FLOAT32) {
            out.asFloatBuffer().put(values);
            return out;
        }
        for (int i = 0; i < values.length; i++) {
            double value = values[i];
            if (quantization != null) {
                int at = scaleAt(i);
                value = Math.rint(value / quantization.scale[at]) + quantization.zeroPoint[at];
            }
            put(out, i * spec.type.bytes(), values[i], value);
        }
        return out;
    }

    private void put(ByteBuffer out, int at, float raw, double value) {
        switch (spec.type) {
            case FLOAT16: out.putShort(at, (short) Half.of(raw)); break;
            case INT8: out.put(at, (byte) bounded(value, -128, 127)); break;
            case UINT8: out.put(at, (byte) bounded(value, 0, 255)); break;
            case INT16: out.putShort(at, (short) bounded(value, -32768, 32767)); break;
            case INT32: out.putInt(at, (int) bounded(value, Integer.MIN_VALUE, Integer.MAX_VALUE)); break;
            default: out.putLong(at, bounded(value, -(1L << 53), 1L << 53));
        }
    }

    private static long bounded(double value, long least, long most) {
        return (long) Math.min(Math.max(value, least), most);
    }
}

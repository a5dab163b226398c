package io.aetool;

import java.util.List;

/** Symbols → samples by integers alone: BITSTREAM.md, section 4. Immutable: any number of threads may use it. */
final class IntegerDecoder {
    private static final int MOST_STEPS = 256;

    private final List<Step> steps;
    private final FreeShape[] shapes;
    private final int[] lastUse;

    /** Refuses steps that break the specification. {@code latent}: without the batch. */
    IntegerDecoder(List<Step> steps, FreeShape latent, String where) {
        if (steps.isEmpty() || steps.size() > MOST_STEPS) throw Refusal.MANIFEST.because("has not 1 to 256 steps", where);
        StepChecker checker = new StepChecker(latent, where);
        steps.forEach(checker::add);
        this.steps = steps;
        this.shapes = checker.shapes();
        this.lastUse = new int[shapes.length];
        for (int i = 0; i < steps.size(); i++) {
            for (int input : steps.get(i).inputs) lastUse[input] = i;
        }
    }

    FreeShape outputShape() {
        return shapes[shapes.length - 1];
    }

    /** One sample: the decoder's input, of the given sizes, → its output. */
    int[] run(int[] latent, long[] sizes) {
        int[][] values = new int[shapes.length][];
        values[0] = latent;
        for (int i = 0; i < steps.size(); i++) {
            values[i + 1] = apply(steps.get(i), values, i + 1, sizes);
            for (int input : steps.get(i).inputs) {
                if (lastUse[input] == i) values[input] = null;
            }
        }
        return values[steps.size()];
    }

    private int[] apply(Step step, int[][] values, int number, long[] sizes) {
        int[] given = values[step.inputs[0]];
        int[] before = shapes[step.inputs[0]].at(sizes);
        int[] after = shapes[number].at(sizes);
        int[] out = new int[product(after)];
        switch (step.op) {
            case DENSE: Convolution.dense(step, given, out); break;
            case CONV: new Convolution(step, given, before, after[step.kernel.length - 1], out).gather(); break;
            case CONV_TRANSPOSED: new Convolution(step, given, before, after[step.kernel.length - 1], out).spread(); break;
            case TABLE: lookUp(step, given, out); break;
            case RESCALE: rescale(step, given, out); break;
            case ADD: add(step, given, values[step.inputs[1]], out); break;
            case CONCATENATE: concatenate(step, values, sizes, out); break;
            case RESHAPE:
                for (int i = 0; i < out.length; i++) out[i] = step.clamp(given[i]);
                break;
            default: move(step, given, before, after, out);
        }
        return out;
    }

    static int product(int[] sizes) {
        int all = 1;
        for (int size : sizes) all *= size;
        return all;
    }

    private void lookUp(Step step, int[] given, int[] out) {
        int low = step.inputs[0] == 0 ? -32768 : (int) steps.get(step.inputs[0] - 1).low;
        for (int i = 0; i < out.length; i++) out[i] = step.values[given[i] - low];
    }

    private static void rescale(Step step, int[] given, int[] out) {
        int channels = step.bias.length;
        for (int i = 0; i < out.length; i++) {
            int c = i % channels;
            out[i] = step.clamp(Step.shifted((long) given[i] * step.multiplier[c], step.shift[c]) + step.bias[c]);
        }
    }

    private static void add(Step step, int[] a, int[] b, int[] out) {
        for (int i = 0; i < out.length; i++) {
            out[i] = step.clamp(Step.shifted(a[i] * step.added[0] + b[i] * step.added[1], step.addedShift));
        }
    }

    /** Upsample and crop: each output position takes the channels of one input position. */
    private static void move(Step step, int[] given, int[] before, int[] after, int[] out) {
        int places = after.length - 1;
        int channels = after[places];
        int[] at = new int[places];
        for (int target = 0; target < out.length; target += channels) {
            int from = 0;
            for (int i = 0; i < places; i++) {
                long source = step.op == Step.Op.UPSAMPLE ? at[i] / step.sizes[i] : at[i] + step.margins[i][0];
                from = from * before[i] + (int) source;
            }
            for (int c = 0; c < channels; c++) out[target + c] = step.clamp(given[from * channels + c]);
            for (int i = places; i-- > 0 && ++at[i] == after[i];) at[i] = 0;
        }
    }

    private void concatenate(Step step, int[][] values, long[] sizes, int[] out) {
        int channels = 0;
        for (int input : step.inputs) channels += last(input, sizes);
        int place = 0;
        for (int input : step.inputs) {
            int own = last(input, sizes);
            for (int i = 0; i < values[input].length; i++) {
                out[i / own * channels + place + i % own] = step.clamp(values[input][i]);
            }
            place += own;
        }
    }

    private int last(int value, long[] sizes) {
        int[] shape = shapes[value].at(sizes);
        return shape[shape.length - 1];
    }
}

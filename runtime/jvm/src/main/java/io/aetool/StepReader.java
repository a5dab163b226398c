package io.aetool;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/** Reads one step of a codec's decoder strictly: the members of BITSTREAM.md, section 4. */
final class StepReader {
    private static final long LIMIT = 1L << 31;
    private static final long MOST_SIZE = 1L << 28;

    private final JsonNode node;
    private final ArrayFile data;
    private final Step made = new Step();

    StepReader(JsonNode node, ArrayFile data) {
        this.node = node;
        this.data = data;
    }

    Step read() {
        String[] known = Arrays.stream(Step.Op.values()).map(op -> op.name().toLowerCase(Locale.ROOT)).toArray(String[]::new);
        made.op = Step.Op.valueOf(node.get("op").oneOf(known).toUpperCase(Locale.ROOT));
        made.inputs = node.get("inputs").items().stream().mapToInt(item -> (int) Math.min(item.natural(), Integer.MAX_VALUE)).toArray();
        List<JsonNode> range = two(node.get("range"));
        made.low = range.get(0).integer(1 - LIMIT, LIMIT - 1);
        made.high = range.get(1).integer(made.low, LIMIT - 1);
        readMembers();
        return made;
    }

    private void readMembers() {
        switch (made.op) {
            case DENSE:
            case CONV:
            case CONV_TRANSPOSED: readKernel(); break;
            case TABLE: readTable(); break;
            case RESCALE:
                readRescaling(0);
                made.bias = data.vector(node.get("bias"), "int32", made.multiplier.length);
                break;
            case ADD:
                made.added = two(node.get("multipliers")).stream().mapToLong(item -> item.integer(1, 1 << 20)).toArray();
                made.addedShift = (int) node.get("shift").integer(0, 40);
                break;
            case UPSAMPLE: made.sizes = sizes(node.get("factors")); break;
            case RESHAPE: made.sizes = sizes(node.get("shape")); break;
            case CROP: made.margins = margins(node.get("crop")); break;
            default: // concatenate has nothing else
        }
    }

    private static List<JsonNode> two(JsonNode given) {
        List<JsonNode> items = given.items();
        if (items.size() != 2) throw given.refusal("has not two values");
        return items;
    }

    private static long[] sizes(JsonNode given) {
        return given.items().stream().mapToLong(item -> item.integer(1, MOST_SIZE)).toArray();
    }

    private static long[][] margins(JsonNode given) {
        return given.items().stream()
                .map(pair -> two(pair).stream().mapToLong(item -> item.integer(0, LIMIT - 1)).toArray()).toArray(long[][]::new);
    }

    private void readTable() {
        ArrayFile.View view = data.view(node.get("values"));
        boolean fits = view.shape.length == 1 && (view.dtype.equals("int16") || view.dtype.equals("int32"));
        if (!fits) throw node.get("values").refusal("is not int16 or int32");
        made.values = view.ints();
    }

    private void readRescaling(int channels) {
        made.multiplier = data.vector(node.get("multiplier"), "int32", channels);
        made.shift = data.vector(node.get("shift"), "uint8", made.multiplier.length);
        for (int value : made.multiplier) {
            if (value < 1 || value > CompressionReader.MOST_MULTIPLIER) throw node.get("multiplier").refusal("has a value out of range");
        }
        for (int value : made.shift) {
            if (value > 40) throw node.get("shift").refusal("has a value out of range");
        }
    }

    private void readKernel() {
        ArrayFile.View weights = data.view(node.get("weights"));
        int rank = weights.shape.length;
        boolean fits = made.op == Step.Op.DENSE ? rank == 2 : rank == 3 || rank == 4;
        boolean typed = weights.dtype.equals("int8") || weights.dtype.equals("int16");
        if (!fits || !typed) throw node.get("weights").refusal("is not a kernel of int8 or int16");
        made.in = (int) weights.shape[rank - 2];
        made.out = (int) weights.shape[rank - 1];
        made.kernel = Arrays.copyOf(weights.shape, rank - 2);
        int[] values = weights.ints();
        made.weights = new short[values.length];
        for (int i = 0; i < values.length; i++) made.weights[i] = (short) values[i];
        made.bias = data.vector(node.get("bias"), "int32", made.out);
        readRescaling(made.out);
        if (made.op == Step.Op.DENSE) return;
        made.stride = sizes(node.get("stride"));
        made.margins = margins(node.get(made.op == Step.Op.CONV ? "padding" : "crop"));
        if (made.stride.length != rank - 2 || made.margins.length != rank - 2) {
            throw node.refusal("has another number of strides or margins");
        }
    }
}

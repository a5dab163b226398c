package io.aetool;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Reads one codec strictly: BITSTREAM.md, section 3. */
final class CodecReader {
    private final JsonNode node;
    private final ArrayFile data;
    private final List<EntropyModel> models;
    private final long[] sampleShape;
    private final Codec made = new Codec();

    CodecReader(JsonNode node, ArrayFile data, List<EntropyModel> models, long[] sampleShape) {
        this.node = node;
        this.data = data;
        this.models = models;
        this.sampleShape = sampleShape;
    }

    Codec read() {
        made.name = ManifestReader.openName(node.get("name"));
        made.adjoint = node.get("encoder").oneOf("artifact", "adjoint").equals("adjoint");
        readShape();
        int channels = (int) made.latentShape[made.latentShape.length - 1];
        made.unit = node.get("unit").items().stream().mapToDouble(CompressionReader::positive).toArray();
        if (made.unit.length != made.latentShape[made.latentShape.length - 1]) {
            throw node.get("unit").refusal("has not one number for each channel");
        }
        made.center = data.vector(node.get("center"), "int32", channels);
        for (int value : made.center) {
            if (value <= -32768 || value >= 32768) throw node.get("center").refusal("has a value out of range");
        }
        for (JsonNode item : node.get("qualities").items()) made.qualities.add(quality(item, channels));
        if (made.qualities.isEmpty() || made.qualities.size() > 64) throw node.get("qualities").refusal("has not 1 to 64 qualities");
        readSteps();
        return made;
    }

    private void readShape() {
        JsonNode given = node.get("latent_shape");
        made.latentShape = CompressionReader.shape(given);
        if (made.latentShape[made.latentShape.length - 1] == TensorSpec.FREE) throw given.refusal("ends with null");
        if (node.has("downsampling")) {
            JsonNode factors = node.get("downsampling");
            made.downsampling = factors.items().stream().mapToLong(item -> item.natural(1)).toArray();
            if (made.downsampling.length != made.latentShape.length) throw factors.refusal("has another number of factors");
        } else if (Arrays.stream(made.latentShape).anyMatch(size -> size == TensorSpec.FREE)) {
            throw node.refusal("has no 'downsampling'");
        }
        for (int i = sampleShape.length; i < made.latentShape.length; i++) {
            if (made.latentShape[i] == TensorSpec.FREE) throw given.refusal("is free where samples have no size");
        }
    }

    private Quality quality(JsonNode item, int channels) {
        int[] step = data.vector(item.get("step"), "int32", channels);
        for (int value : step) {
            if (value < 1 || value > 65535) throw item.get("step").refusal("has a value out of range");
        }
        int model = (int) item.get("model").integer(0, models.size() - 1);
        if (models.get(model).channels != channels) throw item.get("model").refusal("has another number of channels");
        if (item.has("bits")) item.get("bits").number();
        return new Quality(step, item.get("rounding").number(), model, item.has("rmse") ? item.get("rmse").number() : 0);
    }

    private void readSteps() {
        List<Step> steps = new ArrayList<>();
        for (JsonNode item : node.get("steps").items()) steps.add(new StepReader(item, data).read());
        if (made.adjoint && !isLinear(steps)) throw node.get("encoder").refusal("is adjoint of other steps than one linear one");
        long[] ones = new long[made.latentShape.length];
        Arrays.fill(ones, 1);
        made.decoder = new IntegerDecoder(steps, FreeShape.of(made.latentShape, ones), node.where() + ": " + made.name);
        FreeShape wanted = FreeShape.of(sampleShape, made.downsampling);
        if (!made.decoder.outputShape().equalsBut(wanted, 0)) throw node.get("steps").refusal("return samples of another shape");
    }

    private static boolean isLinear(List<Step> steps) {
        if (steps.isEmpty()) return false;
        Step first = steps.get(0);
        boolean blocks = first.op == Step.Op.CONV_TRANSPOSED && Arrays.equals(first.kernel, first.stride);
        return (first.op == Step.Op.DENSE || blocks)
                && steps.stream().skip(1).allMatch(step -> step.op == Step.Op.RESHAPE || step.op == Step.Op.CROP);
    }
}

package io.aetool;

import java.util.ArrayList;
import java.util.List;

/** Reads a bundle's compression strictly: BITSTREAM.md, sections 1 and 2; codecs are left to {@link CodecReader}. */
final class CompressionReader {
    static final long MOST_MULTIPLIER = (1 << 21) - 1;
    private static final long LIMIT = 1L << 31;

    private final JsonNode root;
    private final ArrayFile data;
    private final List<EntropyTable> tables = new ArrayList<>();
    private final List<EntropyModel> models = new ArrayList<>();

    CompressionReader(JsonNode root, ArrayFile data) {
        this.root = root;
        this.data = data;
    }

    Compression read(Compression made) {
        made.sampleShape = shape(root.get("sample_shape"));
        for (JsonNode node : root.get("tables").items()) tables.add(table(node));
        for (JsonNode node : root.get("models").items()) models.add(model(node));
        made.residual = (int) root.get("residual").integer(0, models.size() - 1);
        EntropyModel residual = models.get(made.residual);
        if (residual.neighbors || residual.channels != 1) throw root.get("residual").refusal("is a model of another kind");
        made.outputUnit = positive(root.get("output_unit"));
        made.multiplier = root.get("integer").get("multiplier").integer(1, MOST_MULTIPLIER);
        made.shift = (int) root.get("integer").get("shift").integer(0, 40);
        List<JsonNode> codecs = root.get("codecs").items();
        if (codecs.size() > 14) throw root.get("codecs").refusal("has more than 14 codecs");
        for (JsonNode node : codecs) made.codecs.add(new CodecReader(node, data, models, made.sampleShape).read());
        made.coder = new Coder(tables, models);
        return made;
    }

    static long[] shape(JsonNode node) {
        long[] sizes = node.items().stream().mapToLong(item -> item.isNull() ? TensorSpec.FREE : item.natural(1)).toArray();
        if (sizes.length < 1 || sizes.length > 7) throw node.refusal("has not 1 to 7 sizes");
        return sizes;
    }

    static double positive(JsonNode node) {
        double value = node.number();
        if (value <= 0) throw node.refusal("is not > 0");
        return value;
    }

    private EntropyTable table(JsonNode node) {
        JsonNode frequencies = node.get("frequencies");
        int[] frequency = data.vector(frequencies, "uint16", 0);
        long sum = 0;
        for (int value : frequency) {
            sum += value;
            if (value == 0) throw frequencies.refusal("has a 0");
        }
        if (frequency.length < 2 || frequency.length > 4096 || sum != EntropyTable.TOTAL) {
            throw frequencies.refusal("has not 2 to 4096 entries of the sum 2^14");
        }
        long low = node.get("low").integer(-LIMIT, LIMIT - 1);
        if (low + frequency.length - 2 >= LIMIT) throw node.get("low").refusal("is too large");
        return new EntropyTable(low, frequency);
    }

    private EntropyModel model(JsonNode node) {
        EntropyModel made = new EntropyModel();
        made.neighbors = node.get("kind").oneOf("sets", "neighbors").equals("neighbors");
        made.channels = (int) node.get("channels").integer(1, 65536);
        ArrayFile.View map = data.view(node.get("map"));
        boolean fits = map.dtype.equals("uint16") && map.shape.length == 2 && map.shape[1] == made.channels && map.shape[0] <= 256;
        if (!fits) throw node.get("map").refusal("is not uint16 [sets, channels]");
        made.map = map.ints();
        made.sets = (int) map.shape[0];
        for (int index : made.map) {
            if (index >= tables.size()) throw node.get("map").refusal("names an unknown table");
        }
        if (made.neighbors) readNeighbors(node, made); else readSets(node, made);
        return made;
    }

    private void readNeighbors(JsonNode node, EntropyModel made) {
        if (node.has("raw_bits")) throw node.get("raw_bits").refusal("is given for the kind neighbors");
        if (made.sets == 1) return;
        int[] thresholds = data.vector(node.get("thresholds"), "uint32", made.sets - 1);
        made.thresholds = new long[thresholds.length];
        for (int i = 0; i < thresholds.length; i++) {
            made.thresholds[i] = thresholds[i] & 0xFFFFFFFFL;
            if (i > 0 && made.thresholds[i] < made.thresholds[i - 1]) throw node.get("thresholds").refusal("is not sorted");
        }
    }

    private void readSets(JsonNode node, EntropyModel made) {
        if (node.has("raw_bits")) made.rawBits = data.vector(node.get("raw_bits"), "uint8", made.sets);
        for (int bits : made.rawBits) {
            if (bits > 24) throw node.get("raw_bits").refusal("has more than 24");
        }
        made.positions = node.get("positions").natural(1);
        if (made.sets == 1) return;
        made.selectors = data.vector(node.get("selectors"), "uint16", made.sets);
        for (int index : made.selectors) {
            boolean codes = index < tables.size() && tables.get(index).low == 0 && tables.get(index).escape() == made.sets;
            if (!codes) throw node.get("selectors").refusal("names a table that does not code a set");
        }
    }
}

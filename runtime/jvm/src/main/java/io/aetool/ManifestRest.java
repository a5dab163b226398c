package io.aetool;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/** Members that this library does not use; checked all the same, for a manifest is sound or it is not. */
final class ManifestRest {
    private static final Pattern TOKEN = Pattern.compile("([0-9a-f]{2})*");

    private final JsonNode root;

    ManifestRest(JsonNode root) {
        this.root = root;
    }

    void check() {
        checkNormalization(root.get("normalization"));
        JsonNode range = root.get("input_range");
        if (range.get("minimum").numbers().length != range.get("maximum").numbers().length) {
            throw range.refusal("does not fit together");
        }
        root.get("parameters").members().values().forEach(JsonNode::natural);
        root.get("created_with").members().values().forEach(JsonNode::text);
        if (root.has("latent_prior")) ManifestReader.openName(root.get("latent_prior"));
        if (root.has("tokenizer")) checkTokenizer(root.get("tokenizer"));
    }

    private static void checkNormalization(JsonNode node) {
        double[] offset = node.get("offset").numbers();
        double[] scale = node.get("scale").numbers();
        boolean sound = scale.length > 0 && offset.length == scale.length;
        for (double value : scale) sound &= value != 0;
        if (!sound) throw node.refusal("does not fit together");
    }

    private static void checkTokenizer(JsonNode node) {
        if (!node.get("rule").text().equals("longest-match")) throw node.get("rule").refusal("is unknown");
        node.get("length").natural(1);
        long pad = node.get("pad").natural();
        List<JsonNode> entries = node.get("entries").items();
        if (entries.size() > 1 << 20 || pad >= entries.size()) throw node.refusal("does not fit together");
        Set<String> seen = new HashSet<>();
        int single = 0;
        for (int i = 0; i < entries.size(); i++) {
            String text = entries.get(i).text();
            boolean sound = TOKEN.matcher(text).matches() && text.isEmpty() == (i == pad) && seen.add(text);
            if (!sound) throw entries.get(i).refusal("is no entry of a tokenizer");
            single += text.length() == 2 ? 1 : 0;
        }
        if (single != 256) throw node.get("entries").refusal("lacks a single byte");
    }
}

package io.aetool;

import java.util.LinkedHashMap;
import java.util.Map;

/** Reads golden vectors' descriptions strictly: FORMAT.md, section 4. */
final class GoldenReader {
    private final JsonNode golden;
    private final Manifest made;
    private final long fileSize;

    GoldenReader(JsonNode golden, Manifest made) {
        this.golden = golden;
        this.made = made;
        this.fileSize = made.files.get(made.goldenPath).bytes;
    }

    void read() {
        for (Map.Entry<String, JsonNode> member : golden.get("scales").members().entrySet()) {
            made.scales.put(member.getKey(), scale(member.getValue()));
        }
        for (JsonNode item : golden.get("cases").items()) made.cases.add(sharedCase(item));
        if (made.cases.isEmpty()) throw golden.get("cases").refusal("is empty");
        for (Manifest.Artifact a : made.artifacts) {
            for (TensorSpec output : a.outputs) {
                boolean lacks = !a.cases.isEmpty() && !made.scales.containsKey(output.name);
                if (lacks) throw golden.get("scales").refusal("has none for " + output.name);
            }
        }
    }

    /** A case that belongs to one artifact: exactly its input and all its outputs. */
    Manifest.GoldenCase ownCase(JsonNode node, Manifest.Artifact a) {
        JsonNode tensors = node.get("tensors");
        Manifest.GoldenCase found = new Manifest.GoldenCase(node.get("name").text(), tensors(tensors));
        int matched = 0;
        for (TensorSpec spec : a.tensors()) {
            Manifest.GoldenTensor tensor = found.tensors.get(spec.name);
            if (tensor == null || !agrees(spec, tensor)) throw tensors.refusal("are not the artifact's");
            matched++;
        }
        if (matched != found.tensors.size()) throw tensors.refusal("are not the artifact's");
        refuseRagged(tensors, found);
        return found;
    }

    private static Manifest.OutputScale scale(JsonNode node) {
        double[] center = node.get("center").numbers();
        double[] scale = node.get("scale").numbers();
        boolean sound = scale.length > 0 && scale.length == center.length;
        for (double value : scale) sound &= value > 0;
        if (!sound) throw node.refusal("does not fit together");
        return new Manifest.OutputScale(center, scale);
    }

    private Manifest.GoldenCase sharedCase(JsonNode node) {
        JsonNode tensors = node.get("tensors");
        Manifest.GoldenCase found = new Manifest.GoldenCase(node.get("name").text(), tensors(tensors));
        Map<String, Manifest.GoldenTensor> held = found.tensors;
        if (!held.containsKey("latent") || !(held.containsKey("input") || held.containsKey("reconstruction"))) {
            throw tensors.refusal("lack latent, or input and reconstruction");
        }
        held.forEach((name, tensor) -> {
            if (!name.equals("input")) checkScale(tensors, name, tensor);
            checkDeclared(tensors.get(name), name, tensor);
        });
        refuseRagged(tensors, found);
        return found;
    }

    private Map<String, Manifest.GoldenTensor> tensors(JsonNode node) {
        Map<String, Manifest.GoldenTensor> found = new LinkedHashMap<>();
        node.members().forEach((name, item) -> found.put(name, tensor(item)));
        return found;
    }

    private Manifest.GoldenTensor tensor(JsonNode node) {
        long[] shape = ManifestReader.shape(node.get("shape"), false);
        ElementType type = ElementType.of(node.get("dtype"));
        long offset = node.get("offset").natural();
        long left = fileSize / type.bytes();
        long bytes = type.bytes();
        for (long extent : shape) {
            if (extent > left) throw node.refusal("reaches past the golden file");
            left /= extent;
            bytes *= extent;
        }
        if (bytes > fileSize || offset > fileSize - bytes) throw node.refusal("reaches past the golden file");
        if (offset + bytes > Integer.MAX_VALUE) throw Refusal.UNAVAILABLE.because("golden vectors of 2 GiB or more", node.where());
        return new Manifest.GoldenTensor(type, shape, (int) offset, (int) bytes);
    }

    private static void refuseRagged(JsonNode node, Manifest.GoldenCase found) {
        long count = found.tensors.values().stream().mapToLong(tensor -> tensor.shape[0]).distinct().count();
        if (count > 1) throw node.refusal("disagree in their number of samples");
    }

    /** Less than {@link TensorSpec#takes}: free dimensions may be too many. The self-test finds those. */
    private static boolean agrees(TensorSpec spec, Manifest.GoldenTensor tensor) {
        if (tensor.type != spec.type || tensor.shape.length > spec.shape.length) return false;
        for (int i = 1; i < spec.shape.length; i++) {
            boolean differs = i >= tensor.shape.length || tensor.shape[i] != spec.shape[i];
            if (spec.shape[i] != TensorSpec.FREE && differs) return false;
        }
        return true;
    }

    private void checkScale(JsonNode node, String name, Manifest.GoldenTensor tensor) {
        Manifest.OutputScale found = made.scales.get(name);
        long channels = tensor.shape[tensor.shape.length - 1];
        if (found == null || (found.scale.length != 1 && found.scale.length != channels)) {
            throw node.refusal("has " + name + ", which golden.scales does not fit");
        }
    }

    private void checkDeclared(JsonNode node, String name, Manifest.GoldenTensor tensor) {
        boolean declared = false;
        for (Manifest.Artifact a : made.artifacts) {
            if (!a.cases.isEmpty()) continue;
            for (TensorSpec spec : a.tensors()) {
                if (!spec.name.equals(name)) continue;
                if (agrees(spec, tensor)) return;
                declared = true;
            }
        }
        if (declared) throw node.refusal("is not what the artifacts say");
    }
}

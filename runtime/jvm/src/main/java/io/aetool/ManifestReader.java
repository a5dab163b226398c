package io.aetool;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/** Reads a manifest strictly: every rule of FORMAT.md, sections 2 and 3; golden vectors are left to {@link GoldenReader}. */
final class ManifestReader {
    static final Pattern OPEN_NAME = Pattern.compile("[a-z][a-z0-9_]{0,31}");
    private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");

    private final JsonNode root;
    private final Manifest made = new Manifest();

    ManifestReader(JsonNode root) {
        this.root = root;
    }

    Manifest read() {
        checkVersion();
        readFiles();
        made.name = root.get("name").text();
        JsonNode golden = root.get("golden");
        made.goldenPath = listed(golden.get("path"));
        GoldenReader cases = new GoldenReader(golden, made);
        for (JsonNode node : root.get("artifacts").items()) made.artifacts.add(artifact(node, cases));
        if (made.artifacts.isEmpty()) throw root.get("artifacts").refusal("is empty");
        refuseTwins();
        cases.read();
        new ManifestRest(root).check();
        if (root.has("compression")) made.compression = listed(root.get("compression").get("path"));
        return made;
    }

    private void checkVersion() {
        if (!root.get("format").text().equals("aetool.bundle")) throw root.get("format").refusal("is not aetool.bundle");
        if (root.get("version").integer() != 1) {
            throw root.get("version").refusal("is not 1: update aetool", Refusal.VERSION);
        }
        List<JsonNode> required = root.get("requires").items();
        for (JsonNode node : required) node.text();
        if (!required.isEmpty()) {
            throw root.get("requires").refusal("has unknown features: update aetool", Refusal.VERSION);
        }
    }

    private void readFiles() {
        JsonNode files = root.get("files");
        Set<String> folded = new HashSet<>();
        Set<String> folders = new HashSet<>();
        for (String path : files.keys()) {
            BundlePath.check(path, files.where());
            made.files.put(path, fileEntry(files.get(path)));
            String small = BundlePath.folded(path);
            folded.add(small);
            for (String f = BundlePath.folderOf(small); !f.isEmpty(); f = BundlePath.folderOf(f)) folders.add(f);
        }
        if (folded.size() != made.files.size()) throw files.refusal("lists two paths that are one on some systems");
        folders.retainAll(folded);
        if (!folders.isEmpty()) throw files.refusal("lists a path that is the folder of another");
        if (folded.contains("manifest.json") || folded.contains("manifest.sha256")) {
            throw files.refusal("lists the manifest or its digest");
        }
    }

    private static Manifest.FileEntry fileEntry(JsonNode node) {
        String sha256 = node.get("sha256").text();
        if (!SHA256.matcher(sha256).matches()) throw node.get("sha256").refusal("is not 64 lower-case hexadecimal digits");
        return new Manifest.FileEntry(sha256, node.get("bytes").natural());
    }

    private String listed(JsonNode node) {
        String path = node.text();
        BundlePath.check(path, node.where());
        if (!made.files.containsKey(path)) throw node.refusal("is not a listed file");
        return path;
    }

    static String openName(JsonNode node) {
        String name = node.text();
        if (!OPEN_NAME.matcher(name).matches()) throw node.refusal("is not a-z, then a-z 0-9 _");
        return name;
    }

    private Manifest.Artifact artifact(JsonNode node, GoldenReader cases) {
        Manifest.Artifact a = new Manifest.Artifact();
        a.role = node.get("role").oneOf("encoder", "decoder", "autoencoder");
        a.format = openName(node.get("format"));
        a.precision = openName(node.get("precision"));
        a.path = listed(node.get("path"));
        a.inputs = tensors(node.get("inputs"), a.role.equals("decoder") ? "latent" : "input", true);
        a.outputs = tensors(node.get("outputs"), a.role.equals("encoder") ? "latent" : "reconstruction", false);
        a.atol = node.get("tolerance").get("atol").number();
        a.rtol = node.get("tolerance").get("rtol").number();
        if (a.atol <= 0 || a.rtol < 0) throw node.get("tolerance").refusal("is not atol > 0 and rtol >= 0");
        checkOptional(node);
        if (node.has("external_data")) a.externalData = externalData(node.get("external_data"), a.path);
        if (node.has("cases")) {
            for (JsonNode item : node.get("cases").items()) a.cases.add(cases.ownCase(item, a));
            if (a.cases.isEmpty()) throw node.get("cases").refusal("is empty");
        }
        return a;
    }

    private static void checkOptional(JsonNode node) {
        if (node.has("opset")) node.get("opset").natural();
        if (node.has("signature")) node.get("signature").text();
        if (node.has("snr")) node.get("snr").members().values().forEach(JsonNode::number);
        if (node.has("operators")) node.get("operators").members().values().forEach(item -> item.natural(1));
    }

    private String externalData(JsonNode node, String path) {
        String data = listed(node);
        if (data.equals(path) || !BundlePath.folderOf(data).equals(BundlePath.folderOf(path))) {
            throw node.refusal("is not another file in the graph's folder");
        }
        return data;
    }

    private static List<TensorSpec> tensors(JsonNode node, String first, boolean one) {
        List<TensorSpec> found = new ArrayList<>();
        Set<String> names = new HashSet<>();
        for (JsonNode item : node.items()) {
            found.add(tensor(item));
            if (!names.add(found.get(found.size() - 1).name)) throw node.refusal("has a name twice");
        }
        if (found.isEmpty() || !found.get(0).name.equals(first) || (one && found.size() > 1)) {
            throw node.refusal("does not begin as its role says");
        }
        return found;
    }

    private static TensorSpec tensor(JsonNode node) {
        String name = node.get("name").text();
        ElementType type = ElementType.of(node.get("dtype"));
        long[] shape = shape(node.get("shape"), true);
        return new TensorSpec(name, type, shape, node.has("quantization") ? quantization(node.get("quantization"), shape) : null);
    }

    private static TensorSpec.Quantization quantization(JsonNode node, long[] shape) {
        double[] scale = node.get("scale").numbers();
        long[] zeroPoint = node.get("zero_point").items().stream().mapToLong(JsonNode::integer).toArray();
        long axis = node.has("axis") ? node.get("axis").natural() : -1;
        boolean sound = scale.length > 0 && scale.length == zeroPoint.length;
        for (double value : scale) sound &= value > 0;
        if (!sound) throw node.refusal("does not fit together");
        boolean along = axis < 0 ? scale.length == 1
                : axis < shape.length && (shape[(int) axis] == TensorSpec.FREE || shape[(int) axis] == scale.length);
        if (!along) throw node.refusal("has not one scale, or one for each index of its axis");
        return new TensorSpec.Quantization(scale, zeroPoint, (int) axis);
    }

    static long[] shape(JsonNode node, boolean mayBeFree) {
        long[] sizes = node.items().stream()
                .mapToLong(item -> mayBeFree && item.isNull() ? TensorSpec.FREE : item.natural(1)).toArray();
        if (sizes.length < 1 || sizes.length > 8) throw node.refusal("has not 1 to 8 dimensions");
        return sizes;
    }

    private void refuseTwins() {
        Set<String> seen = new HashSet<>();
        for (Manifest.Artifact a : made.artifacts) {
            if (!seen.add(a.title())) throw root.get("artifacts").refusal("lists a role, format and precision twice");
        }
    }
}

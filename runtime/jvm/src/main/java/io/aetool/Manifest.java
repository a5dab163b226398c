package io.aetool;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What a manifest says (FORMAT.md, sections 2 to 5), as far as this library needs it. Not changed once it is read. */
final class Manifest {
    /** An array in the golden file. */
    static final class GoldenTensor {
        final ElementType type;
        final long[] shape;
        final int offset;
        final int bytes;

        GoldenTensor(ElementType type, long[] shape, int offset, int bytes) {
            this.type = type;
            this.shape = shape;
            this.offset = offset;
            this.bytes = bytes;
        }
    }

    /** Arrays that belong together. */
    static final class GoldenCase {
        final String name;
        final Map<String, GoldenTensor> tensors;

        GoldenCase(String name, Map<String, GoldenTensor> tensors) {
            this.name = name;
            this.tensors = tensors;
        }
    }

    /** The unit of an output: one of each, or one per channel. */
    static final class OutputScale {
        final double[] center;
        final double[] scale;

        OutputScale(double[] center, double[] scale) {
            this.center = center;
            this.scale = scale;
        }
    }

    /** What a listed file must be. */
    static final class FileEntry {
        final String sha256;
        final long bytes;

        FileEntry(String sha256, long bytes) {
            this.sha256 = sha256;
            this.bytes = bytes;
        }
    }

    /** One graph: a role in a format at a precision. */
    static final class Artifact {
        String role;
        String format;
        String precision;
        String path;
        /** Empty: none. */
        String externalData = "";
        List<TensorSpec> inputs;
        List<TensorSpec> outputs;
        double atol;
        double rtol;
        final List<GoldenCase> cases = new ArrayList<>();

        String title() {
            return role + " " + format + " " + precision;
        }

        /** Whether ONNX Runtime takes it from memory. */
        boolean runs() {
            return (format.equals("onnx") || format.equals("ort")) && externalData.isEmpty();
        }

        List<TensorSpec> tensors() {
            List<TensorSpec> all = new ArrayList<>(inputs);
            all.addAll(outputs);
            return all;
        }
    }

    String name;
    final List<Artifact> artifacts = new ArrayList<>();
    final Map<String, FileEntry> files = new LinkedHashMap<>();
    String goldenPath;
    final Map<String, OutputScale> scales = new LinkedHashMap<>();
    final List<GoldenCase> cases = new ArrayList<>();
    /** Empty: the bundle cannot compress. */
    String compression = "";

    static Manifest parse(byte[] text, String where) {
        return new ManifestReader(JsonParser.parse(text, where)).read();
    }
}

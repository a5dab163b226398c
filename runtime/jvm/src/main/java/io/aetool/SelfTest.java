package io.aetool;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Artifacts against their golden vectors: FORMAT.md, section 5. */
final class SelfTest {
    private static final double EPSILON = Math.scalb(1.0, -23);

    private final Manifest manifest;
    private final byte[] golden;
    private final List<Check> checks = new ArrayList<>();

    SelfTest(Bundle bundle) {
        this.manifest = bundle.manifest();
        this.golden = bundle.read(manifest.goldenPath);
    }

    List<Check> checks() {
        return checks;
    }

    /** Loads a graph. */
    interface Loader {
        GraphSession load(Manifest.Artifact artifact);
    }

    void run(Manifest.Artifact artifact, Loader loader) {
        int before = checks.size();
        try (GraphSession graph = loader.load(artifact)) {
            List<Manifest.GoldenCase> cases = artifact.cases.isEmpty() ? manifest.cases : artifact.cases;
            for (Manifest.GoldenCase given : cases) tryCase(graph, given);
            if (checks.size() == before) checks.add(Check.failed(artifact.title(), "", "", "no golden case applies"));
        } catch (AetoolException error) {
            checks.add(Check.failed(artifact.title(), "", "", error.getMessage()));
        }
    }

    private void tryCase(GraphSession graph, Manifest.GoldenCase given) {
        Manifest.Artifact artifact = graph.artifact();
        for (TensorSpec spec : artifact.tensors()) {
            if (!given.tensors.containsKey(spec.name)) return;
        }
        Manifest.GoldenTensor input = given.tensors.get(graph.input().name);
        if (!graph.input().takes(input.type, input.shape)) throw Refusal.UNAVAILABLE.because("a golden input has another shape");
        ByteBuffer aligned = ByteBuffer.allocateDirect(input.bytes);
        aligned.duplicate().put(golden, input.offset, input.bytes);
        List<Tensor> outputs = graph.run(new Tensor(input.type, input.shape, aligned));
        for (int i = 0; i < outputs.size(); i++) checks.add(compare(artifact, artifact.outputs.get(i), given, outputs.get(i)));
    }

    private Check compare(Manifest.Artifact artifact, TensorSpec spec, Manifest.GoldenCase given, Tensor met) {
        Manifest.GoldenTensor wanted = given.tensors.get(spec.name);
        if (wanted.type != met.type() || !Arrays.equals(wanted.shape, met.shape())) {
            return Check.failed(artifact.title(), spec.name, given.name, "another type or shape came out");
        }
        Elements elements = new Elements(spec, wanted.shape);
        ByteBuffer expected = ByteBuffer.wrap(golden, wanted.offset, wanted.bytes).slice().order(ByteOrder.LITTLE_ENDIAN);
        double[] e = elements.real(expected, met.count());
        double[] a = elements.real(met.data(), met.count());
        int size = met.count() / (int) wanted.shape[0];
        double worst = 0;
        for (int start = 0; start < e.length; start += size) {
            double share = worstOf(artifact, manifest.scales.get(spec.name), e, a, start, size);
            worst = Double.isNaN(share) ? share : Math.max(worst, share); // the maximum of NaN is NaN
        }
        return new Check(artifact.title(), spec.name, given.name, worst, worst <= 1, "");
    }

    /** The largest error of one sample as a share of what is allowed; NaN where any is. */
    private static double worstOf(Manifest.Artifact artifact, Manifest.OutputScale unit, double[] e, double[] a, int start, int size) {
        int channels = unit.scale.length;
        double squares = 0;
        for (int i = start; i < start + size; i++) squares += Math.pow(distance(unit, e[i], i % channels), 2);
        double r = Math.max(1, Math.sqrt(squares / size));
        double worst = 0;
        for (int i = start; i < start + size; i++) {
            double u = Math.abs(distance(unit, e[i], i % channels));
            double allowed = unit.scale[i % channels] * (artifact.atol * r + artifact.rtol * u) + 4 * EPSILON * Math.abs(e[i]);
            worst = Math.max(worst, Math.abs(a[i] - e[i]) / allowed);
        }
        return worst;
    }

    private static double distance(Manifest.OutputScale unit, double value, int channel) {
        return (value - unit.center[channel]) / unit.scale[channel];
    }
}

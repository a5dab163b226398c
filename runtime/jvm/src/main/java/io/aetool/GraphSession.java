package io.aetool;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A graph in ONNX Runtime. {@link #run} may be called by several threads at once. */
final class GraphSession implements AutoCloseable {
    private final Manifest.Artifact artifact;
    private final OrtEnvironment environment;
    private final OrtSession session;

    GraphSession(byte[] graph, Manifest.Artifact artifact, int threads, SessionSetup setup) {
        this.artifact = artifact;
        if (ByteOrder.nativeOrder() != ByteOrder.LITTLE_ENDIAN) throw Refusal.UNAVAILABLE.because("needs a little-endian machine");
        try {
            environment = OrtEnvironment.getEnvironment();
            session = load(graph, threads, setup);
        } catch (OrtException error) {
            throw unavailable(error);
        }
    }

    private OrtSession load(byte[] graph, int threads, SessionSetup setup) throws OrtException {
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setInterOpNumThreads(1);
            options.addConfigEntry("session.load_model_format", artifact.format.equals("ort") ? "ORT" : "ONNX");
            if (setup != null) setup.apply(options);
            return environment.createSession(graph, options);
        }
    }

    private AetoolException unavailable(OrtException error) {
        AetoolException refused = Refusal.UNAVAILABLE.because("ONNX Runtime: " + error.getMessage(), artifact.path);
        refused.initCause(error);
        return refused;
    }

    Manifest.Artifact artifact() {
        return artifact;
    }

    TensorSpec input() {
        return artifact.inputs.get(0);
    }

    TensorSpec output() {
        return artifact.outputs.get(0);
    }

    boolean isFloat() {
        return input().type == ElementType.FLOAT32 && output().type == ElementType.FLOAT32;
    }

    /** All outputs, in the artifact's order. */
    List<Tensor> run(Tensor input) {
        try (OnnxTensor given = lend(input.type(), input.shape(), input.data());
                OrtSession.Result result = session.run(Collections.singletonMap(input().name, given))) {
            List<Tensor> outputs = new ArrayList<>();
            for (TensorSpec spec : artifact.outputs) outputs.add(copy(result.get(spec.name).orElse(null), spec));
            return outputs;
        } catch (OrtException error) {
            throw unavailable(error);
        }
    }

    /** The first output, of the given shape, written to {@code out}; both buffers are direct, nothing is copied. */
    void runInto(ByteBuffer input, long[] shape, ByteBuffer out, long[] outShape) {
        try (OnnxTensor given = lend(input().type, shape, input);
                OnnxTensor wanted = lend(output().type, outShape, out)) {
            Map<String, OnnxValue> pinned = new LinkedHashMap<>();
            pinned.put(output().name, wanted);
            session.run(Collections.singletonMap(input().name, given), Collections.emptySet(), pinned).close();
        } catch (OrtException error) {
            throw unavailable(error);
        }
    }

    private OnnxTensor lend(ElementType type, long[] shape, ByteBuffer data) throws OrtException {
        return OnnxTensor.createTensor(environment, data.order(ByteOrder.nativeOrder()), shape, javaType(type));
    }

    private static OnnxJavaType javaType(ElementType type) {
        switch (type) {
            case FLOAT32: return OnnxJavaType.FLOAT;
            case FLOAT16: return OnnxJavaType.FLOAT16;
            case INT8: return OnnxJavaType.INT8;
            case UINT8: return OnnxJavaType.UINT8;
            case INT16: return OnnxJavaType.INT16;
            case INT32: return OnnxJavaType.INT32;
            default: return OnnxJavaType.INT64;
        }
    }

    private Tensor copy(OnnxValue value, TensorSpec spec) {
        if (value instanceof OnnxTensor) {
            OnnxTensor tensor = (OnnxTensor) value;
            long[] shape = tensor.getInfo().getShape();
            if (tensor.getInfo().type == javaType(spec.type) && spec.takes(spec.type, shape)) {
                return new Tensor(spec.type, shape, tensor.getByteBuffer());
            }
        }
        throw Refusal.UNAVAILABLE.because("the output " + spec.name + " is not what the manifest says", artifact.path);
    }

    @Override
    public void close() {
        try {
            session.close();
        } catch (OrtException error) {
            throw unavailable(error);
        }
    }
}

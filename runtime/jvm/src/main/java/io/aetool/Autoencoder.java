package io.aetool;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * A bundle's encoder and decoder as functions on arrays, and the self-test. Any number of threads may use one at once;
 * closing waits for those that do. A graph is loaded when it is first used, so that a device that only encodes never loads
 * the decoder.
 */
public final class Autoencoder implements AutoCloseable {
    private static final String ENCODER = "encoder";
    private static final String DECODER = "decoder";
    private static final String AUTOENCODER = "autoencoder";

    /** How a bundle is run. Each setter returns the same object. */
    public static final class Options {
        private String precision = "";
        private int threads = 1;
        private SessionSetup setup;

        /** Asks for another precision than float32 or, where there is none, the bundle's first. */
        public Options precision(String name) {
            precision = name;
            return this;
        }

        /** Sets the number of threads of one call; 1 unless it is set. */
        public Options threads(int count) {
            threads = count;
            return this;
        }

        /** Sets what is done to each graph's session options: execution providers, for example. */
        public Options session(SessionSetup change) {
            setup = change;
            return this;
        }
    }

    private final Bundle bundle;
    private final Options options;
    private final Map<String, GraphSession> sessions = new HashMap<>();
    private final ReadWriteLock use = new ReentrantReadWriteLock();
    private boolean closed;

    /** Makes one of an open bundle; loads nothing yet. */
    public Autoencoder(Bundle bundle, Options options) {
        this.bundle = bundle;
        this.options = options;
    }

    /** Opens a bundle: a folder, or one zip of it. */
    public static Autoencoder open(Path path) {
        return open(path, new Options());
    }

    /** Opens a bundle: a folder, or one zip of it. */
    public static Autoencoder open(Path path, Options options) {
        return new Autoencoder(Bundle.open(path), options);
    }

    /** Returns the bundle. */
    public Bundle bundle() {
        return bundle;
    }

    /** Returns the shape of one sample, without the batch; −1: any size. */
    public long[] inputShape() {
        return sampleShape(artifact(ENCODER).inputs.get(0));
    }

    /** Returns the shape of one latent, without the batch; −1: any size. */
    public long[] latentShape() {
        return sampleShape(artifact(ENCODER).outputs.get(0));
    }

    /** Returns the latents [batch, …] of samples [batch, …], raw values in C order. */
    public float[] encode(float[] samples) {
        return run(ENCODER, samples);
    }

    /** Returns the reconstructions of latents. */
    public float[] decode(float[] latents) {
        return run(DECODER, latents);
    }

    /** Returns the reconstructions of samples. */
    public float[] reconstruct(float[] samples) {
        return run(AUTOENCODER, samples);
    }

    /**
     * The same without a copy: reads what remains of {@code samples}, whole samples, and writes to {@code latents} from its
     * position on. Both are direct and in native byte order; positions and limits stay. For graphs of float32 only.
     */
    public void encode(ByteBuffer samples, ByteBuffer latents) {
        runInto(ENCODER, samples, latents);
    }

    /** As {@link #encode(ByteBuffer, ByteBuffer)}. */
    public void decode(ByteBuffer latents, ByteBuffer reconstructions) {
        runInto(DECODER, latents, reconstructions);
    }

    /** As {@link #encode(ByteBuffer, ByteBuffer)}. */
    public void reconstruct(ByteBuffer samples, ByteBuffer reconstructions) {
        runInto(AUTOENCODER, samples, reconstructions);
    }

    /** Any types and shapes, as the graph has them: all outputs of {@code encoder}, {@code decoder} or {@code autoencoder}. */
    public List<Tensor> run(String role, Tensor input) {
        return using(role, graph -> {
            if (!graph.input().takes(input.type(), input.shape())) {
                throw Refusal.INPUT.because("the input has another type or shape than " + graph.input().name);
            }
            return graph.run(input);
        });
    }

    /** Runs every ONNX artifact against its golden vectors: what {@code aetool verify} does, on this device. */
    public List<Check> selfTest() {
        SelfTest test = new SelfTest(bundle);
        for (Manifest.Artifact artifact : bundle.manifest().artifacts) {
            if (artifact.runs()) test.run(artifact, this::load);
        }
        return test.checks();
    }

    /** Frees the graphs, once no other thread runs one. What is called afterwards is refused. */
    @Override
    public void close() {
        use.writeLock().lock();
        try {
            closed = true;
            for (GraphSession session : sessions.values()) session.close();
            sessions.clear();
        } finally {
            use.writeLock().unlock();
        }
    }

    private static long[] sampleShape(TensorSpec spec) {
        return Arrays.copyOfRange(spec.shape, 1, spec.shape.length);
    }

    private Manifest.Artifact artifact(String role) {
        String precision = options.precision.isEmpty() ? defaultPrecision() : options.precision;
        for (Manifest.Artifact a : bundle.manifest().artifacts) {
            if (a.role.equals(role) && a.precision.equals(precision) && a.runs()) return a;
        }
        throw Refusal.USAGE.because("the bundle has no ONNX " + role + " of precision " + precision);
    }

    private String defaultPrecision() {
        List<Manifest.Artifact> all = bundle.manifest().artifacts;
        boolean usual = all.stream().anyMatch(a -> a.precision.equals("float32"));
        return usual ? "float32" : all.get(0).precision;
    }

    private GraphSession load(Manifest.Artifact artifact) {
        byte[] graph = bundle.read(artifact.path);
        if (artifact.format.equals("onnx")) OnnxScan.refuseExternalData(graph, artifact.path);
        if (artifact.format.equals("ort")) OrtScan.refuseExternalData(graph, artifact.path);
        try {
            return new GraphSession(graph, artifact, options.threads, options.setup);
        } catch (LinkageError error) { // no such class, or its native library cannot be loaded
            String hint = "add com.microsoft.onnxruntime:onnxruntime or onnxruntime-android";
            throw Refusal.UNAVAILABLE.because("no ONNX Runtime: " + hint + ": " + error);
        }
    }

    /** Something that is done with a graph. */
    private interface Work<T> {
        T with(GraphSession graph);
    }

    private <T> T using(String role, Work<T> work) {
        use.readLock().lock();
        try {
            if (closed) throw Refusal.USAGE.because("the autoencoder is closed");
            return work.with(session(role));
        } finally {
            use.readLock().unlock();
        }
    }

    private GraphSession session(String role) {
        synchronized (sessions) {
            return sessions.computeIfAbsent(role, name -> load(artifact(name)));
        }
    }

    private static int batchOf(TensorSpec spec, int values) {
        int size = spec.sampleSize();
        if (values % size != 0) throw Refusal.INPUT.because(values + " values are no multiple of " + size);
        return values / size;
    }

    private float[] run(String role, float[] values) {
        return using(role, graph -> {
            int batch = batchOf(graph.input(), values.length);
            return batch == 0 ? new float[0] : run(graph, graph.input().batched(batch), values);
        });
    }

    /** Latents of samples of that shape, for encoders whose sizes may be free. */
    float[] encodeAs(long[] sampleShape, float[] samples) {
        long[] shape = new long[sampleShape.length + 1];
        System.arraycopy(sampleShape, 0, shape, 1, sampleShape.length);
        shape[0] = samples.length / PredictiveDecoder.product(shape, 1, shape.length);
        return using(ENCODER, graph -> run(graph, shape, samples));
    }

    private static float[] run(GraphSession graph, long[] shape, float[] values) {
        TensorSpec spec = graph.input();
        if (!spec.takes(spec.type, shape)) throw Refusal.INPUT.because("samples of another shape than " + spec.name);
        ByteBuffer data = new Elements(spec, shape).store(values);
        Tensor met = graph.run(new Tensor(spec.type, shape, data)).get(0);
        if (met.type() == ElementType.FLOAT32) {
            float[] out = new float[met.count()];
            met.data().asFloatBuffer().get(out);
            return out;
        }
        double[] real = new Elements(graph.output(), met.shape()).real(met.data(), met.count());
        float[] out = new float[real.length];
        for (int i = 0; i < out.length; i++) out[i] = (float) real[i];
        return out;
    }

    private void runInto(String role, ByteBuffer values, ByteBuffer out) {
        using(role, graph -> {
            if (!graph.isFloat()) throw Refusal.USAGE.because("the graph does not take and return float32");
            ByteBuffer input = direct(values);
            int batch = batchOf(graph.input(), input.remaining() / Float.BYTES);
            int wanted = Math.multiplyExact(batch, graph.output().sampleSize() * Float.BYTES);
            ByteBuffer room = direct(out);
            if (room.remaining() < wanted) throw Refusal.INPUT.because("there is no room for " + wanted + " bytes");
            Buffer window = room; // ByteBuffer.limit is newer than some Androids
            window.limit(wanted);
            if (batch > 0) graph.runInto(input, graph.input().batched(batch), room.slice(), graph.output().batched(batch));
            return null;
        });
    }

    private static ByteBuffer direct(ByteBuffer buffer) {
        if (!buffer.isDirect()) throw Refusal.INPUT.because("the buffer is not direct: ByteBuffer.allocateDirect, or give arrays");
        if (buffer.order() != ByteOrder.nativeOrder()) throw Refusal.INPUT.because("the buffer is not in native order");
        return buffer.slice().order(ByteOrder.nativeOrder());
    }
}

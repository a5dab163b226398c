package io.aetool;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;

/** Changes how ONNX Runtime runs graphs, say {@code options -> options.addNnapi()}. */
public interface SessionSetup {
    /** Called for each graph, before it is loaded. */
    void apply(OrtSession.SessionOptions options) throws OrtException;
}

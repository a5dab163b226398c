package io.aetool;

/**
 * Looks through an ONNX file for tensors kept in other files, before an engine would read those. Only the protobuf wire
 * format is needed; the field numbers are those of onnx.proto. Bounded by the file and by depth.
 */
final class OnnxScan {
    private static final int MAX_DEPTH = 32;

    private enum Kind { MODEL, TRAINING, FUNCTION, GRAPH, NODE, ATTRIBUTE, SPARSE, TENSOR }

    private final byte[] model;
    private final String where;
    private boolean pointsAway;
    private int at;

    private OnnxScan(byte[] model, String where) {
        this.model = model;
        this.where = where;
    }

    /** Throws unsafe if any tensor points to another file, unavailable if the bytes are no protobuf message. */
    static void refuseExternalData(byte[] model, String where) {
        OnnxScan scan = new OnnxScan(model, where);
        scan.walk(model.length, Kind.MODEL, 0);
        if (scan.pointsAway) throw Refusal.UNSAFE.because("the graph keeps a tensor in another file", where);
    }

    private AetoolException invalid() {
        return Refusal.UNAVAILABLE.because("the graph is not valid ONNX", where);
    }

    /** What a field of a message holds; null: nothing to look into. */
    private static Kind child(Kind kind, int field) {
        switch (kind) {
            case MODEL: return field == 7 ? Kind.GRAPH : field == 25 ? Kind.FUNCTION : field == 20 ? Kind.TRAINING : null;
            case TRAINING: return field == 1 || field == 2 ? Kind.GRAPH : null;
            case FUNCTION: return field == 7 ? Kind.NODE : field == 11 ? Kind.ATTRIBUTE : null;
            case GRAPH: return field == 1 ? Kind.NODE : field == 5 ? Kind.TENSOR : field == 15 ? Kind.SPARSE : null;
            case NODE: return field == 5 ? Kind.ATTRIBUTE : null;
            case ATTRIBUTE: return field == 5 || field == 10 ? Kind.TENSOR : field == 6 || field == 11 ? Kind.GRAPH
                    : field == 22 || field == 23 ? Kind.SPARSE : null;
            case SPARSE: return field == 1 || field == 2 ? Kind.TENSOR : null;
            default: return null;
        }
    }

    private long varint(int end) {
        long value = 0;
        for (int shift = 0; shift <= 63; shift += 7) {
            if (at == end) throw invalid();
            byte read = model[at++];
            value |= (long) (read & 127) << shift;
            if (read >= 0) return value;
        }
        throw invalid();
    }

    private void walk(int end, Kind kind, int depth) {
        if (depth >= MAX_DEPTH) throw invalid();
        while (at != end) {
            long key = varint(end);
            if (key < 0 || key > 0xFFFFFFFFL) throw invalid(); // some readers keep 32 bits of a longer key, and see another field
            int field = (int) (key >>> 3);
            int wire = (int) (key & 7);
            long value = wire == 0 ? varint(end) : 0;
            int length = (int) length(wire, end);
            boolean external = field == 13 || (field == 14 && wire == 0 && (int) value == 1);
            pointsAway |= kind == Kind.TENSOR && external;
            int next = at + length;
            Kind inside = wire == 0 ? null : child(kind, field);
            if (inside != null) walk(next, inside, depth + 1);
            at = next;
        }
    }

    private long length(int wire, int end) {
        if (wire != 0 && wire != 1 && wire != 2 && wire != 5) throw invalid();
        long length = wire == 0 ? 0 : wire == 2 ? varint(end) : wire == 1 ? 8 : 4;
        if (length < 0 || length > end - at) throw invalid();
        return length;
    }
}

package io.aetool;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashSet;
import java.util.Set;

/**
 * Looks through a file in ONNX Runtime's own format for tensors that are not in it, before the engine gets it. Slots are
 * those of onnxruntime's ort.fbs. A table that is reached twice is looked at once, so that the walk ends.
 */
final class OrtScan {
    private static final int MODEL = 6;
    private static final int GRAPH_OF_MODEL = 18;
    private static final int EXTERNAL_OFFSET = 16;

    private enum Kind { GRAPH, NODE, ATTRIBUTE, SPARSE, TENSOR }

    private static final class Found {
        final Kind kind;
        final FlatTable table;

        Found(Kind kind, FlatTable table) {
            this.kind = kind;
            this.table = table;
        }
    }

    private final Deque<Found> waiting = new ArrayDeque<>();
    private final Set<Long> seen = new HashSet<>();

    private OrtScan() {}

    /** Throws unsafe if any tensor points to another file, unavailable if the bytes are no such file. */
    static void refuseExternalData(byte[] graph, String where) {
        FlatTable root = FlatTable.root(graph, "ORTM");
        FlatTable model = root == null ? null : root.table(MODEL);
        FlatTable outermost = model == null ? null : model.table(GRAPH_OF_MODEL);
        if (outermost == null) throw Refusal.UNAVAILABLE.because("the graph is not in ONNX Runtime's format", where);
        if (new OrtScan().pointsAway(outermost)) throw Refusal.UNSAFE.because("the graph keeps a tensor in another file", where);
    }

    private boolean pointsAway(FlatTable outermost) {
        add(Kind.GRAPH, outermost);
        while (!waiting.isEmpty()) {
            Found found = waiting.pop();
            if (found.kind == Kind.TENSOR && found.table.i64(EXTERNAL_OFFSET, -1) != -1) return true;
            lookInto(found.kind, found.table);
        }
        return false;
    }

    private void lookInto(Kind kind, FlatTable table) {
        switch (kind) {
            case GRAPH:
                add(Kind.TENSOR, table.tables(4));
                add(Kind.NODE, table.tables(8));
                add(Kind.SPARSE, table.tables(18));
                break;
            case NODE: add(Kind.ATTRIBUTE, table.tables(24)); break;
            case ATTRIBUTE:
                add(Kind.TENSOR, table.table(16));
                add(Kind.GRAPH, table.table(18));
                add(Kind.TENSOR, table.tables(26));
                add(Kind.GRAPH, table.tables(28));
                break;
            case SPARSE:
                add(Kind.TENSOR, table.table(4));
                add(Kind.TENSOR, table.table(6));
                break;
            default: // a tensor holds none
        }
    }

    private void add(Kind kind, FlatTable... tables) {
        for (FlatTable table : tables) {
            if (table != null && seen.add((long) table.at() << 3 | kind.ordinal())) waiting.push(new Found(kind, table));
        }
    }
}

package io.aetool;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

/** Files in ONNX Runtime's own format: the smallest ones that hold a tensor. */
class OrtScanTest {
    /** Root → model → graph → tensor, each with one field; the tensor's is external_data_offset. */
    private static byte[] fileOf(long externalOffset) {
        ByteWriter out = new ByteWriter().put(8 + 8, 4).u8('O').u8('R').u8('T').u8('M'); // the root lies behind its vtable
        table(out, 6).put(4 + 20, 4); // model: behind a vtable of 20
        table(out, 18).put(4 + 6, 4); // graph: behind a vtable of 6
        table(out, 4).put(4, 4).put(1, 4).put(4 + 18, 4); // a vector of one tensor, behind a vtable of 18
        return table(out, 16).put(externalOffset, 8).toBytes();
    }

    /** A vtable with one field at that slot, and the table up to that field. */
    private static ByteWriter table(ByteWriter out, int slot) {
        out.put(slot + 2, 2).put(12, 2).put(0, slot - 4);
        return out.put(4, 2).put(slot + 2, 4);
    }

    @Test
    void aTensorInTheFileIsTaken() {
        assertDoesNotThrow(() -> OrtScan.refuseExternalData(fileOf(-1), "graph.ort"));
    }

    @Test
    void aTensorElsewhereIsUnsafe() {
        for (long offset : new long[] {0, 7, Long.MAX_VALUE}) {
            assertThrows(UnsafeException.class, () -> OrtScan.refuseExternalData(fileOf(offset), "graph.ort"));
        }
    }

    @Test
    void whatIsCutOffIsNoSuchFile() {
        byte[] whole = fileOf(-1);
        for (int length = 0; length < whole.length; length++) {
            byte[] cut = Arrays.copyOf(whole, length);
            assertThrows(UnavailableException.class, () -> OrtScan.refuseExternalData(cut, "graph.ort"), "length " + length);
        }
    }
}

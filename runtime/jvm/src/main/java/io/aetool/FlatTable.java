package io.aetool;

/** A table of a FlatBuffer, every offset held against the file's length; slots are those of its schema's vtables. */
final class FlatTable {
    private final byte[] data;
    private final int at;

    private FlatTable(byte[] data, long at) {
        this.data = data;
        this.at = inside(at, 4);
    }

    /** Null: the bytes do not begin like a buffer with that identifier. */
    static FlatTable root(byte[] data, String identifier) {
        boolean begins = data.length >= 8;
        for (int i = 0; begins && i < 4; i++) begins = data[4 + i] == identifier.charAt(i);
        return begins ? new FlatTable(data, Cursor.u32(data, 0)) : null;
    }

    int at() {
        return at;
    }

    /** Null: it is not there. */
    FlatTable table(int slot) {
        int field = field(slot);
        return field == 0 ? null : new FlatTable(data, field + u32(field));
    }

    FlatTable[] tables(int slot) {
        int field = field(slot);
        if (field == 0) return new FlatTable[0];
        long vector = field + u32(field);
        long count = u32(vector);
        inside(vector + 4, 4 * count);
        FlatTable[] tables = new FlatTable[(int) count];
        for (int i = 0; i < tables.length; i++) {
            long item = vector + 4 + 4L * i;
            tables[i] = new FlatTable(data, item + u32(item));
        }
        return tables;
    }

    long i64(int slot, long otherwise) {
        int field = field(slot);
        return field == 0 ? otherwise : Cursor.i64(data, inside(field, 8));
    }

    /** Where a field lies; 0: it is not there. */
    private int field(int slot) {
        long vtable = (long) at - Cursor.i32(data, at);
        int size = u16(vtable);
        int offset = slot + 2 <= size ? u16(vtable + slot) : 0;
        return offset == 0 ? 0 : inside((long) at + offset, 4);
    }

    private long u32(long place) {
        return Cursor.u32(data, inside(place, 4));
    }

    private int u16(long place) {
        return Cursor.u16(data, inside(place, 2));
    }

    private int inside(long place, long bytes) {
        if (place < 0 || place + bytes > data.length) throw Refusal.UNAVAILABLE.because("the graph is not in ONNX Runtime's format");
        return (int) place;
    }
}

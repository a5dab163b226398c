package io.aetool;

import java.util.List;

/** Values ↔ bytes by entropy tables: BITSTREAM.md, section 2. Integers only. Immutable: any number of threads may use it. */
final class Coder {
    private static final int MOST_LANES_EXPONENT = 12;

    private final List<EntropyTable> tables;
    private final List<EntropyModel> models;

    Coder(List<EntropyTable> tables, List<EntropyModel> models) {
        this.tables = tables;
        this.models = models;
    }

    /** A coder of one table. */
    static Coder of(EntropyTable table) {
        return new Coder(List.of(table), List.of(new EntropyModel()));
    }

    /** Values [samples, positions …, channels] from where the cursor stands. Callers bound the shape. */
    int[] decode(Cursor cursor, int[] shape, int index) {
        EntropyModel model = models.get(index);
        Layout layout = new Layout(shape, model);
        int exponent = cursor.u8();
        if (exponent > MOST_LANES_EXPONENT) throw Refusal.DAMAGED.because("more than 2^12 lanes");
        int lanes = 1 << exponent;
        RansReader reader = reader(cursor, lanes);
        Cursor escapes = cursor.part(cursor.varint());
        byte[] sets = decodeSets(reader, layout, model, lanes);
        int[] values = new int[layout.size()];
        byte[] raw = model.hasRaw() ? new byte[values.length] : null;
        layout.eachValue(lanes, (lane, element) -> {
            int set = layout.setOf(element, values, sets);
            EntropyTable table = tables.get(model.table(set, element % layout.channels));
            int entry = reader.entry(lane, table);
            long symbol = entry == table.escape() ? escapes.zigzag() : table.low + entry;
            if (raw != null) raw[element] = (byte) model.raw(set);
            long value = symbol * (1L << model.raw(set));
            if (value != (int) value) throw Refusal.DAMAGED.because("a value beyond 32 bits");
            values[element] = (int) value;
        });
        if (!reader.isDone() || escapes.left() != 0) throw Refusal.DAMAGED.because("coded values do not end where they should");
        if (raw != null) RawBits.read(cursor, raw, values);
        return values;
    }

    private static RansReader reader(Cursor cursor, int lanes) {
        long words = cursor.varint();
        if (words > cursor.left()) throw Refusal.DAMAGED.because("ends too early");
        long[] states = new long[lanes];
        for (int lane = 0; lane < lanes; lane++) {
            states[lane] = cursor.u32();
            if (states[lane] < 1 << 16) throw Refusal.DAMAGED.because("a state out of range");
        }
        return new RansReader(states, cursor.part(words * 2));
    }

    private byte[] decodeSets(RansReader reader, Layout layout, EntropyModel model, int lanes) {
        byte[] sets = new byte[layout.groups()];
        int[] before = new int[lanes];
        layout.eachGroup(lanes, (lane, group) -> {
            EntropyTable table = tables.get(model.selectors[before[lane]]);
            int entry = reader.entry(lane, table);
            if (entry == table.escape()) throw Refusal.DAMAGED.because("an unknown set");
            sets[group] = (byte) entry;
            before[lane] = entry;
        });
        return sets;
    }

    /** The opposite, with 2^{@code exponent} lanes: each costs four bytes. */
    byte[] encode(int[] values, int[] shape, int index, int exponent) {
        EntropyModel model = models.get(index);
        Layout layout = new Layout(shape, model);
        int lanes = 1 << exponent;
        byte[] sets = model.hasSelectors() ? new SetChoice(tables, model, layout).choose(values) : new byte[0];
        Steps steps = new Steps(values.length + sets.length);
        int[] before = new int[lanes];
        layout.eachGroup(lanes, (lane, group) -> {
            int set = sets[group] & 255;
            steps.add(lane, tables.get(model.selectors[before[lane]]), set);
            before[lane] = set;
        });
        ByteWriter escapes = new ByteWriter();
        byte[] raw = new byte[values.length];
        layout.eachValue(lanes, (lane, element) -> {
            int set = layout.setOf(element, values, sets);
            EntropyTable table = tables.get(model.table(set, element % layout.channels));
            raw[element] = (byte) model.raw(set);
            long symbol = values[element] >> raw[element];
            int entry = table.entryOf(symbol);
            if (entry == table.escape()) escapes.zigzag(symbol);
            steps.add(lane, table, entry);
        });
        ByteWriter out = new ByteWriter(exponent);
        steps.writeTo(out, lanes);
        out.varint(escapes.size()).bytes(escapes);
        if (model.hasRaw()) RawBits.write(values, raw, out);
        return out.toBytes();
    }

    /** What is to be coded, in the order of decoding. */
    private static final class Steps {
        private final int[] frequency;
        private final int[] start;
        private final short[] lane;
        private int count;

        Steps(int most) {
            frequency = new int[most];
            start = new int[most];
            lane = new short[most];
        }

        void add(int ofLane, EntropyTable table, int entry) {
            frequency[count] = table.frequency[entry];
            start[count] = table.start[entry];
            lane[count++] = (short) ofLane;
        }

        void writeTo(ByteWriter out, int lanes) {
            RansWriter writer = new RansWriter(lanes, count);
            for (int i = count; i-- > 0;) writer.put(lane[i], frequency[i], start[i]);
            writer.writeTo(out);
        }
    }
}

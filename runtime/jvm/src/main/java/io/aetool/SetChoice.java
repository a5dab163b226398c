package io.aetool;

import java.util.List;

/** For each group the set that codes it and its own index shortest, the index before given. */
final class SetChoice {
    private static final double[] BITS = bitsOfFrequencies();

    private final List<EntropyTable> tables;
    private final EntropyModel model;
    private final Layout layout;

    SetChoice(List<EntropyTable> tables, EntropyModel model, Layout layout) {
        this.tables = tables;
        this.model = model;
        this.layout = layout;
    }

    byte[] choose(int[] values) {
        double[] costs = costs(values);
        byte[] sets = new byte[layout.groups()];
        int before = 0;
        for (int group = 0; group < sets.length; group++) {
            EntropyTable selector = tables.get(model.selectors[before]);
            double least = Double.POSITIVE_INFINITY;
            for (int set = 0; set < model.sets; set++) {
                double cost = costs[group * model.sets + set] + BITS[selector.frequency[set]];
                if (cost >= least) continue;
                least = cost;
                before = set;
            }
            sets[group] = (byte) before;
        }
        return sets;
    }

    /** [groups, sets] → bits. */
    private double[] costs(int[] values) {
        double[] costs = new double[layout.groups() * model.sets];
        for (int element = 0; element < values.length; element++) {
            int group = layout.groupOf(element);
            for (int set = 0; set < model.sets; set++) {
                EntropyTable table = tables.get(model.table(set, element % layout.channels));
                long symbol = values[element] >> model.raw(set);
                int entry = table.entryOf(symbol);
                double escape = entry == table.escape() ? escapeBits(symbol) : 0;
                costs[group * model.sets + set] += model.raw(set) + BITS[table.frequency[entry]] + escape;
            }
        }
        return costs;
    }

    private static double escapeBits(long symbol) {
        double bits = 8;
        for (long code = 2 * Math.abs(symbol); code >= 128; code >>= 7) bits += 8;
        return bits;
    }

    private static double[] bitsOfFrequencies() {
        double[] bits = new double[EntropyTable.TOTAL + 1];
        for (int f = 1; f < bits.length; f++) bits[f] = EntropyTable.PRECISION - Math.log(f) / Math.log(2);
        return bits;
    }
}

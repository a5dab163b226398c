package io.aetool;

/** The arrays of a bundle's compression, each {dtype, shape, offset} into one file. */
final class ArrayFile {
    private final byte[] data;

    ArrayFile(byte[] data) {
        this.data = data;
    }

    /** An array where it lies. */
    final class View {
        final String dtype;
        final long[] shape;
        final int count;
        private final int offset;

        View(String dtype, long[] shape, int count, int offset) {
            this.dtype = dtype;
            this.shape = shape;
            this.count = count;
            this.offset = offset;
        }

        /** uint32 comes as the int of the same bits. */
        int[] ints() {
            int[] values = new int[count];
            int width = widthOf(dtype);
            boolean signed = dtype.startsWith("int");
            for (int i = 0; i < count; i++) {
                int at = offset + i * width;
                int read = width == 1 ? data[at] & 255 : width == 2 ? Cursor.u16(data, at) : Cursor.i32(data, at);
                int spare = 32 - 8 * width;
                values[i] = signed ? read << spare >> spare : read;
            }
            return values;
        }
    }

    View view(JsonNode node) {
        String dtype = node.get("dtype").oneOf("int8", "uint8", "int16", "uint16", "int32", "uint32");
        long[] shape = node.get("shape").items().stream().mapToLong(size -> size.natural(1)).toArray();
        if (shape.length < 1 || shape.length > 8) throw node.get("shape").refusal("has not 1 to 8 sizes");
        long count = 1;
        for (long extent : shape) {
            if (extent > data.length / count) throw node.refusal("reaches past the data file");
            count *= extent;
        }
        long offset = node.get("offset").natural();
        if (offset > data.length - count * widthOf(dtype)) throw node.refusal("reaches past the data file");
        return new View(dtype, shape, (int) count, (int) offset);
    }

    /** An array of that type and one dimension; {@code count} 0: of any length. */
    int[] vector(JsonNode node, String dtype, int count) {
        View view = view(node);
        boolean fits = view.dtype.equals(dtype) && view.shape.length == 1 && (count == 0 || view.count == count);
        if (!fits) throw node.refusal("is not " + dtype + " of that length");
        return view.ints();
    }

    private static int widthOf(String dtype) {
        return dtype.endsWith("8") ? 1 : dtype.endsWith("16") ? 2 : 4;
    }
}

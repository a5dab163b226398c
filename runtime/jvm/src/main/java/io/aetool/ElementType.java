package io.aetool;

/** The type of a tensor's elements, named as in the manifest. */
public enum ElementType {
    FLOAT32("float32", 4), FLOAT16("float16", 2), INT8("int8", 1), UINT8("uint8", 1), INT16("int16", 2), INT32("int32", 4),
    INT64("int64", 8);

    private final String label;
    private final int bytes;

    ElementType(String label, int bytes) {
        this.label = label;
        this.bytes = bytes;
    }

    /** Returns the name in the manifest: {@code float32} … */
    public String label() {
        return label;
    }

    /** Returns the bytes of one element. */
    public int bytes() {
        return bytes;
    }

    static ElementType of(JsonNode node) {
        String text = node.text();
        for (ElementType type : values()) {
            if (type.label.equals(text)) return type;
        }
        throw node.refusal("is an unknown name");
    }
}

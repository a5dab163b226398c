package io.aetool;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A JSON value with its path. Each reading method refuses, by name, a value of another kind. */
final class JsonNode {
    private static final long EXACT_LIMIT = 1L << 53;

    private final Object value;
    private final String where;
    private final String path;

    JsonNode(Object value, String where, String path) {
        this.value = value;
        this.where = where;
        this.path = path;
    }

    AetoolException refusal(String what) {
        return refusal(what, Refusal.MANIFEST);
    }

    AetoolException refusal(String what, Refusal refusal) {
        return refusal.because("the member " + (path.isEmpty() ? "(root)" : path) + " " + what, where);
    }

    String where() {
        return where;
    }

    /** As {@link JsonParser} made it. */
    Object value() {
        return value;
    }

    boolean isNull() {
        return value == null;
    }

    JsonNode get(String key) {
        if (!object().containsKey(key)) throw refusal("has no '" + key + "'");
        return child(key);
    }

    /** Whether a member is there that may be absent or null. */
    boolean has(String key) {
        return object().get(key) != null;
    }

    Map<String, JsonNode> members() {
        Map<String, JsonNode> found = new LinkedHashMap<>();
        for (String name : object().keySet()) {
            if (!isPrintable(name)) throw refusal("has a name with control characters");
            found.put(name, child(name));
        }
        return found;
    }

    Iterable<String> keys() {
        return object().keySet();
    }

    List<JsonNode> items() {
        if (!(value instanceof List)) throw refusal("is no array");
        List<JsonNode> found = new ArrayList<>();
        for (Object item : (List<?>) value) found.add(new JsonNode(item, where, path + "[" + found.size() + "]"));
        return found;
    }

    String text() {
        if (!(value instanceof String)) throw refusal("is no string");
        if (!isPrintable((String) value)) throw refusal("holds control characters or half of a surrogate pair");
        return (String) value;
    }

    String oneOf(String... known) {
        if (!Arrays.asList(known).contains(text())) throw refusal("is an unknown name");
        return text();
    }

    double number() {
        if (!(value instanceof JsonNumber)) throw refusal("is no number");
        double number = ((JsonNumber) value).number;
        if (Double.isInfinite(number)) throw refusal("is not finite");
        return number;
    }

    double[] numbers() {
        return items().stream().mapToDouble(JsonNode::number).toArray();
    }

    long integer() {
        if (!(value instanceof JsonNumber) || !((JsonNumber) value).whole) throw refusal("is no integer");
        return ((JsonNumber) value).integer;
    }

    long integer(long least, long most) {
        long met = integer();
        if (met < least || met > most) throw refusal("is out of range");
        return met;
    }

    long natural() {
        return natural(0);
    }

    long natural(long least) {
        return integer(least, EXACT_LIMIT - 1);
    }

    private JsonNode child(String key) {
        return new JsonNode(object().get(key), where, path.isEmpty() ? key : path + "." + key);
    }

    @SuppressWarnings("unchecked") // JsonParser makes no other maps
    private Map<String, Object> object() {
        if (!(value instanceof Map)) throw refusal("is no object");
        return (Map<String, Object>) value;
    }

    /** Neither control characters (C0, DEL, C1), some of which a terminal would obey, nor half surrogates. */
    private static boolean isPrintable(String text) {
        for (int i = 0; i < text.length(); i += Character.charCount(text.codePointAt(i))) {
            int c = text.codePointAt(i);
            if (c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0xD800 && c < 0xE000)) return false;
        }
        return true;
    }
}

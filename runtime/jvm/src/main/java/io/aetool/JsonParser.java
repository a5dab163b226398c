package io.aetool;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Strict JSON (RFC 8259) as FORMAT.md, section 2, wants it: null, {@link Boolean}, {@link String}, {@link JsonNumber},
 * {@link List} and {@link Map}.
 */
final class JsonParser {
    static final int MAX_BYTES = 16 << 20;
    private static final int MAX_DEPTH = 512;

    private final String text;
    private final String where;
    private int at;

    private JsonParser(String text, String where) {
        this.text = text;
        this.where = where;
    }

    static JsonNode parse(byte[] bytes, String where) {
        if (bytes.length > MAX_BYTES) throw Refusal.MANIFEST.because("is larger than 16 MiB", where);
        JsonParser parser = new JsonParser(decode(bytes, where), where);
        Object value = parser.value(0);
        parser.skip();
        if (parser.at != parser.text.length()) throw parser.invalid("text behind its end");
        return new JsonNode(value, where, "");
    }

    private static String decode(byte[] bytes, String where) {
        try {
            return StandardCharsets.UTF_8.newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .onUnmappableCharacter(CodingErrorAction.REPORT)
                    .decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException notUtf8) {
            throw Refusal.MANIFEST.because("is not UTF-8", where);
        }
    }

    private AetoolException invalid(String what) {
        return Refusal.MANIFEST.because("is not valid JSON: " + what + " at character " + at, where);
    }

    private char peek() {
        return at < text.length() ? text.charAt(at) : '\0';
    }

    private char next() {
        if (at >= text.length()) throw invalid("it ends too early");
        return text.charAt(at++);
    }

    private void skip() {
        while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') at++;
    }

    private Object value(int depth) {
        if (depth > MAX_DEPTH) throw invalid("it is nested too deeply");
        skip();
        switch (peek()) {
            case '{': return object(depth);
            case '[': return array(depth);
            case '"': return string();
            case 't': return word("true", Boolean.TRUE);
            case 'f': return word("false", Boolean.FALSE);
            case 'n': return word("null", null);
            default: return number();
        }
    }

    private Object word(String word, Object meaning) {
        if (!text.startsWith(word, at)) throw invalid("an unknown word");
        at += word.length();
        return meaning;
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> members = new LinkedHashMap<>();
        at++;
        skip();
        if (peek() == '}') {
            at++;
            return members;
        }
        while (true) {
            member(members, depth);
            char c = next();
            if (c == '}') return members;
            if (c != ',') throw invalid("an object without a comma");
        }
    }

    private void member(Map<String, Object> members, int depth) {
        skip();
        if (peek() != '"') throw invalid("a member without a name");
        String key = string();
        if (members.containsKey(key)) throw invalid("a member appears twice in one object");
        skip();
        if (next() != ':') throw invalid("a member without a colon");
        members.put(key, value(depth + 1));
        skip();
    }

    private List<Object> array(int depth) {
        List<Object> items = new ArrayList<>();
        at++;
        skip();
        if (peek() == ']') {
            at++;
            return items;
        }
        while (true) {
            items.add(value(depth + 1));
            skip();
            char c = next();
            if (c == ']') return items;
            if (c != ',') throw invalid("an array without a comma");
        }
    }

    private void digits() {
        int first = at;
        while (peek() >= '0' && peek() <= '9') at++;
        if (at == first) throw invalid("no value");
    }

    private JsonNumber number() {
        int start = at;
        boolean whole = true;
        if (peek() == '-') at++;
        if (peek() == '0') {
            at++;
        } else {
            digits();
        }
        if (peek() == '.') {
            whole = false;
            at++;
            digits();
        }
        if (peek() == 'e' || peek() == 'E') {
            whole = false;
            at++;
            if (peek() == '+' || peek() == '-') at++;
            digits();
        }
        JsonNumber number = new JsonNumber(text.substring(start, at), whole);
        if (!whole && Double.isInfinite(number.number)) throw invalid("a number beyond 64-bit floats");
        return number;
    }

    private String string() {
        at++;
        StringBuilder out = new StringBuilder();
        while (true) {
            char c = next();
            if (c == '"') return out.toString();
            if (c < 0x20) throw invalid("a control character in a string");
            out.append(c == '\\' ? escaped() : c);
        }
    }

    private char escaped() {
        switch (next()) {
            case '"': return '"';
            case '\\': return '\\';
            case '/': return '/';
            case 'b': return '\b';
            case 'f': return '\f';
            case 'n': return '\n';
            case 'r': return '\r';
            case 't': return '\t';
            case 'u': return unit();
            default: throw invalid("an escape that is none");
        }
    }

    private char unit() {
        int unit = 0;
        for (int i = 0; i < 4; i++) {
            char c = next();
            int digit = c < 128 ? Character.digit(c, 16) : -1;
            if (digit < 0) throw invalid("an escape that is none");
            unit = unit << 4 | digit;
        }
        return (char) unit;
    }
}

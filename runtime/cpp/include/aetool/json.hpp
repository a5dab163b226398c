// Strict JSON (RFC 8259), as FORMAT.md section 2 wants it: every value knows its path, so that a refusal names the member.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <locale>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aetool/error.hpp"

namespace aetool::json {

constexpr std::size_t max_bytes = std::size_t{16} << 20;
constexpr int max_depth = 512;
constexpr std::int64_t exact_limit = std::int64_t{1} << 53;

struct Value {
    enum class Kind { null, boolean, number, string, array, object };
    Kind kind = Kind::null;
    bool boolean = false;
    double number = 0;         // infinite for an integer that is too long for it
    bool whole = false;        // written without fraction and exponent
    std::int64_t integer = 0;  // where whole; ±2^62 for those beyond
    std::string string;        // UTF-8; half surrogates as three bytes each, which no valid UTF-8 has
    std::vector<Value> array;
    std::vector<std::pair<std::string, Value>> object;
};

namespace detail {

class Parser {
public:
    Parser(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

    Value parse() {
        Value value = parse_value(0);
        skip();
        if (at_ != text_.size()) fail("has text behind its end");
        return value;
    }

private:
    [[noreturn]] void fail(const char* what) const {
        throw Error(Refusal::manifest, std::string("is not valid JSON: ") + what + " at byte " + std::to_string(at_), where_);
    }
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    char next() {
        if (at_ >= text_.size()) fail("it ends too early");
        return text_[at_++];
    }
    void skip() {
        while (at_ < text_.size() && (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r')) ++at_;
    }
    void expect(std::string_view word) {
        if (text_.substr(at_, word.size()) != word) fail("an unknown word");
        at_ += word.size();
    }

    Value parse_value(int depth) {
        if (depth > max_depth) fail("it is nested too deeply");
        skip();
        Value value;
        switch (peek()) {
            case '{': parse_object(value, depth); break;
            case '[': parse_array(value, depth); break;
            case '"':
                value.kind = Value::Kind::string;
                value.string = parse_string();
                break;
            case 't':
                expect("true");
                value.kind = Value::Kind::boolean;
                value.boolean = true;
                break;
            case 'f':
                expect("false");
                value.kind = Value::Kind::boolean;
                break;
            case 'n': expect("null"); break;
            default: parse_number(value);
        }
        return value;
    }

    void parse_object(Value& value, int depth) {
        value.kind = Value::Kind::object;
        ++at_;
        skip();
        if (peek() == '}') {
            ++at_;
            return;
        }
        std::map<std::string, bool> seen;
        for (;;) {
            skip();
            if (peek() != '"') fail("a member without a name");
            std::string key = parse_string();
            if (!seen.emplace(key, true).second) fail("a member appears twice in one object");
            skip();
            if (next() != ':') fail("a member without a colon");
            value.object.emplace_back(std::move(key), parse_value(depth + 1));
            skip();
            const char c = next();
            if (c == '}') return;
            if (c != ',') fail("an object without a comma");
        }
    }

    void parse_array(Value& value, int depth) {
        value.kind = Value::Kind::array;
        ++at_;
        skip();
        if (peek() == ']') {
            ++at_;
            return;
        }
        for (;;) {
            value.array.push_back(parse_value(depth + 1));
            skip();
            const char c = next();
            if (c == ']') return;
            if (c != ',') fail("an array without a comma");
        }
    }

    void parse_number(Value& value) {
        const std::size_t start = at_;
        const auto digits = [&] {
            const std::size_t first = at_;
            while (peek() >= '0' && peek() <= '9') ++at_;
            if (at_ == first) fail("no value");
        };
        if (peek() == '-') ++at_;
        if (peek() == '0') {
            ++at_;
        } else {
            digits();
        }
        value.kind = Value::Kind::number;
        value.whole = true;
        if (peek() == '.') {
            value.whole = false;
            ++at_;
            digits();
        }
        if (peek() == 'e' || peek() == 'E') {
            value.whole = false;
            ++at_;
            if (peek() == '+' || peek() == '-') ++at_;
            digits();
        }
        const std::string text(text_.substr(start, at_ - start));
        value.number = to_double(text);
        if (!value.whole && !std::isfinite(value.number)) fail("a number beyond 64-bit floats");
        if (value.whole) {
            const auto read = std::from_chars(text.data(), text.data() + text.size(), value.integer);
            if (read.ec != std::errc()) value.integer = (text[0] == '-' ? -1 : 1) * (std::int64_t{1} << 62);
        }
    }

    // Not strtod, which obeys the program's locale.
    static double to_double(const std::string& text) {
        std::istringstream stream(text);
        stream.imbue(std::locale::classic());
        double number = 0;
        stream >> number;
        if (stream.fail() && std::fabs(number) >= 1) return number > 0 ? HUGE_VAL : -HUGE_VAL;
        return number;
    }

    std::string parse_string() {
        ++at_;
        std::string out;
        for (;;) {
            const char c = next();
            if (c == '"') return out;
            if (static_cast<unsigned char>(c) < 0x20) fail("a control character in a string");
            if (c == '\\') {
                parse_escape(out);
            } else if (static_cast<unsigned char>(c) < 0x80) {
                out += c;
            } else {
                --at_;
                copy_character(out);
            }
        }
    }

    // One character of two to four bytes; neither overlong, nor a surrogate, nor beyond U+10FFFF.
    void copy_character(std::string& out) {
        const auto byte = [&](std::size_t i) {
            return at_ + i < text_.size() ? static_cast<unsigned char>(text_[at_ + i]) : 0U;
        };
        const unsigned first = byte(0);
        const std::size_t length = first >= 0xC2 && first <= 0xDF ? 2 : first >= 0xE0 && first <= 0xEF ? 3 : first >= 0xF0 && first <= 0xF4 ? 4 : 0;
        if (length == 0) fail("not UTF-8");
        for (std::size_t i = 1; i < length; ++i) {
            if ((byte(i) & 0xC0U) != 0x80U) fail("not UTF-8");
        }
        const unsigned second = byte(1);
        if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) ||
            (first == 0xF4 && second > 0x8F)) {
            fail("not UTF-8");
        }
        out.append(text_.substr(at_, length));
        at_ += length;
    }

    unsigned parse_unit() {
        unsigned unit = 0;
        for (int i = 0; i < 4; ++i) {
            const char c = next();
            unit <<= 4;
            if (c >= '0' && c <= '9') {
                unit |= static_cast<unsigned>(c - '0');
            } else if (c >= 'a' && c <= 'f') {
                unit |= static_cast<unsigned>(c - 'a' + 10);
            } else if (c >= 'A' && c <= 'F') {
                unit |= static_cast<unsigned>(c - 'A' + 10);
            } else {
                fail("an escape that is none");
            }
        }
        return unit;
    }

    void parse_escape(std::string& out) {
        switch (next()) {
            case '"': out += '"'; return;
            case '\\': out += '\\'; return;
            case '/': out += '/'; return;
            case 'b': out += '\b'; return;
            case 'f': out += '\f'; return;
            case 'n': out += '\n'; return;
            case 'r': out += '\r'; return;
            case 't': out += '\t'; return;
            case 'u': break;
            default: fail("an escape that is none");
        }
        unsigned code = parse_unit();
        if (code >= 0xD800 && code < 0xDC00 && text_.substr(at_, 2) == "\\u") {
            const std::size_t before = at_;
            at_ += 2;
            const unsigned low = parse_unit();
            if (low >= 0xDC00 && low < 0xE000) {
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
            } else {
                at_ = before;
            }
        }
        append(out, code);
    }

    static void append(std::string& out, unsigned code) {
        const auto put = [&](unsigned byte) { out += static_cast<char>(byte); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xC0 | code >> 6);
            put(0x80 | (code & 63));
        } else if (code < 0x10000) {
            put(0xE0 | code >> 12);
            put(0x80 | (code >> 6 & 63));
            put(0x80 | (code & 63));
        } else {
            put(0xF0 | code >> 18);
            put(0x80 | (code >> 12 & 63));
            put(0x80 | (code >> 6 & 63));
            put(0x80 | (code & 63));
        }
    }

    std::string_view text_;
    std::string where_;
    std::size_t at_ = 0;
};

// Control characters (C0, DEL, C1) and half surrogates: a terminal would obey some of them.
inline bool is_printable(const std::string& text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        const auto after = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
        if (c < 0x20 || c == 0x7F || (c == 0xC2 && after < 0xA0) || (c == 0xED && after > 0x9F)) return false;
    }
    return true;
}

}  // namespace detail

// A value with its path. Each reading method refuses, by name, a value of another kind. Borrows the Value.
class Node {
public:
    Node(const Value& value, std::string where, std::string path = "")
        : value_(&value), where_(std::move(where)), path_(std::move(path)) {}

    [[noreturn]] void refuse(const std::string& what, Refusal refusal = Refusal::manifest) const {
        throw Error(refusal, "the member " + (path_.empty() ? "(root)" : path_) + " " + what, where_);
    }
    const std::string& where() const { return where_; }

    bool is_null() const { return value_->kind == Value::Kind::null; }

    Node operator[](const std::string& key) const {
        for (const auto& [name, value] : members_of()) {
            if (name == key) return Node(value, where_, path_.empty() ? key : path_ + "." + key);
        }
        refuse("has no '" + key + "'");
    }
    // A member that may be absent or null.
    bool has(const std::string& key) const {
        const auto& members = members_of();
        return std::any_of(members.begin(), members.end(), [&](const auto& member) {
            return member.first == key && member.second.kind != Value::Kind::null;
        });
    }
    std::vector<std::pair<std::string, Node>> members() const {
        std::vector<std::pair<std::string, Node>> found;
        for (const auto& [name, value] : members_of()) {
            if (!detail::is_printable(name)) refuse("has a name with control characters");
            found.emplace_back(name, Node(value, where_, path_.empty() ? name : path_ + "." + name));
        }
        return found;
    }
    std::vector<std::string> keys() const {
        std::vector<std::string> found;
        for (const auto& member : members_of()) found.push_back(member.first);
        return found;
    }
    std::vector<Node> items() const {
        if (value_->kind != Value::Kind::array) refuse("is no array");
        std::vector<Node> found;
        for (std::size_t i = 0; i < value_->array.size(); ++i) {
            found.emplace_back(value_->array[i], where_, path_ + "[" + std::to_string(i) + "]");
        }
        return found;
    }
    const std::string& text() const {
        if (value_->kind != Value::Kind::string) refuse("is no string");
        if (!detail::is_printable(value_->string)) refuse("holds control characters or half of a surrogate pair");
        return value_->string;
    }
    const std::string& one_of(std::initializer_list<const char*> known) const {
        const std::string& met = text();
        for (const char* name : known) {
            if (met == name) return met;
        }
        refuse("is an unknown name");
    }
    double number() const {
        if (value_->kind != Value::Kind::number) refuse("is no number");
        if (!std::isfinite(value_->number)) refuse("is not finite");
        return value_->number;
    }
    std::vector<double> numbers() const {
        std::vector<double> found;
        for (const Node& item : items()) found.push_back(item.number());
        return found;
    }
    std::int64_t integer() const {
        if (value_->kind != Value::Kind::number || !value_->whole) refuse("is no integer");
        return value_->integer;
    }
    std::int64_t integer(std::int64_t least, std::int64_t most) const {
        const std::int64_t met = integer();
        if (met < least || met > most) refuse("is out of range");
        return met;
    }
    std::int64_t natural(std::int64_t least = 0) const { return integer(least, exact_limit - 1); }

private:
    const std::vector<std::pair<std::string, Value>>& members_of() const {
        if (value_->kind != Value::Kind::object) refuse("is no object");
        return value_->object;
    }

    const Value* value_;
    std::string where_, path_;
};

inline Value parse(std::string_view text, const std::string& where) {
    if (text.size() > max_bytes) throw Error(Refusal::manifest, "is larger than 16 MiB", where);
    return detail::Parser(text, where).parse();
}

}  // namespace aetool::json

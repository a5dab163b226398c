// Values ↔ bytes by entropy tables: BITSTREAM.md, section 2. Integers only.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "aetool/error.hpp"
#include "aetool/files.hpp"

namespace aetool {

// The variable-length numbers of BITSTREAM.md, from whatever hands out bytes by u8().
template <class Reader>
std::uint64_t read_varint(Reader& from) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 9; ++i) {
        const std::uint8_t byte = from.u8();
        value |= static_cast<std::uint64_t>(byte & 127) << (7 * i);
        if (byte < 128) {
            if (byte == 0 && i > 0) throw Error(Refusal::damaged, "a number with superfluous bytes");
            return value;
        }
    }
    throw Error(Refusal::damaged, "a number of more than 9 bytes");
}

// Reads numbers from bytes that others own; a stream that ends within one is truncated.
class Cursor {
public:
    Cursor(const std::uint8_t* data, std::size_t size, Refusal at_end = Refusal::damaged) : at_(data), end_(data + size), refusal_(at_end) {}

    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
    const std::uint8_t* take(std::size_t bytes) {
        if (bytes > left()) throw Error(refusal_, "ends too early");
        const std::uint8_t* start = at_;
        at_ += bytes;
        return start;
    }
    std::uint8_t u8() { return *take(1); }
    std::uint32_t u16() { return detail::little16(take(2)); }
    std::uint32_t u32() { return detail::little32(take(4)); }
    std::uint64_t varint() { return read_varint(*this); }
    // 32 bits with a sign, as 2·n for n ≥ 0 and −2·n − 1 for n < 0.
    std::int64_t zigzag() {
        const std::uint64_t code = varint();
        if (code > 0xFFFFFFFFULL) throw Error(Refusal::damaged, "a number beyond 32 bits");
        return (code & 1) != 0 ? -static_cast<std::int64_t>(code / 2) - 1 : static_cast<std::int64_t>(code / 2);
    }

private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
    Refusal refusal_;
};

inline void put_varint(Bytes& out, std::uint64_t value) {
    for (; value >= 128; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 128));
    out.push_back(static_cast<std::uint8_t>(value));
}

constexpr unsigned precision_bits = 14;
constexpr std::uint32_t precision_total = 1U << precision_bits;

struct EntropyTable {
    std::int64_t low = 0;
    std::vector<std::uint32_t> frequency, start;
    std::vector<std::uint16_t> entry_at;  // slot → entry

    // frequencies: each at least 1, sum 2^14.
    EntropyTable(std::int64_t least, std::vector<std::uint32_t> frequencies) : low(least), frequency(std::move(frequencies)) {
        entry_at.reserve(precision_total);
        for (std::size_t i = 0; i < frequency.size(); ++i) {
            start.push_back(static_cast<std::uint32_t>(entry_at.size()));
            entry_at.insert(entry_at.end(), frequency[i], static_cast<std::uint16_t>(i));
        }
    }
    std::size_t escape() const noexcept { return frequency.size() - 1; }
    std::size_t entry_of(std::int64_t value) const noexcept {
        return value < low || value - low >= static_cast<std::int64_t>(escape()) ? escape() : static_cast<std::size_t>(value - low);
    }
};

struct EntropyModel {
    bool neighbors = false;
    std::size_t channels = 1, sets = 1, positions = 1;
    std::vector<std::uint16_t> map;        // [sets, channels] → table
    std::vector<std::uint8_t> raw_bits;    // [sets]
    std::vector<std::uint16_t> selectors;  // [sets] where there are several
    std::vector<std::uint32_t> thresholds;
};

// What an array of values is for a model: samples × positions × channels.
struct Layout {
    std::size_t samples = 0, positions = 1, channels = 1;

    // `shape`: [samples, positions …, channels].
    explicit Layout(const std::vector<std::size_t>& shape) : samples(shape.front()), channels(shape.back()) {
        for (std::size_t i = 1; i + 1 < shape.size(); ++i) positions *= shape[i];
        last_ = shape.size() > 2 ? shape[shape.size() - 2] : 1;
        before_ = shape.size() > 3 ? shape[shape.size() - 3] : 1;
    }
    std::size_t per_sample() const noexcept { return positions * channels; }
    std::size_t size() const noexcept { return samples * per_sample(); }
    bool has_left(std::size_t position) const noexcept { return position % last_ != 0; }
    bool has_upper(std::size_t position) const noexcept { return position / last_ % before_ != 0; }
    std::size_t last() const noexcept { return last_; }

private:
    std::size_t last_ = 1, before_ = 1;
};

namespace detail {

// How elements are dealt to lanes: runs of `run` elements, lane l from l·run on.
struct Dealing {
    std::size_t total, run;
    std::size_t start(std::size_t lane) const noexcept { return std::min(total, lane * run); }
    std::size_t count(std::size_t lane) const noexcept { return std::min(total, (lane + 1) * run) - start(lane); }

    static Dealing of(std::size_t total, std::size_t lanes, std::size_t unit = 1) noexcept {
        const std::size_t units = total / unit;
        return {total, (units + lanes - 1) / lanes * unit};
    }
};

// Walks values in the order in which they are decoded and says which table each has.
class Walk {
public:
    Walk(const EntropyModel& model, const Layout& layout, std::size_t lanes)
        : model_(model), layout_(layout), lanes_(lanes), per_sample_groups_((layout.positions + model.positions - 1) / model.positions) {}

    std::size_t groups() const noexcept { return has_selectors() ? layout_.samples * per_sample_groups_ : 0; }
    bool has_selectors() const noexcept { return !model_.neighbors && model_.sets > 1; }
    std::size_t group_of(std::size_t element) const noexcept {
        const std::size_t sample = element / layout_.per_sample(), position = element / layout_.channels % layout_.positions;
        return sample * per_sample_groups_ + position / model_.positions;
    }
    Dealing selectors() const noexcept { return Dealing::of(groups(), lanes_); }
    Dealing values() const noexcept { return Dealing::of(layout_.size(), lanes_, model_.neighbors ? std::max<std::size_t>(layout_.per_sample(), 1) : 1); }

    // The set that earlier values of the same sample and channel call for.
    std::size_t context(const std::int32_t* values, std::size_t element) const noexcept {
        const std::size_t position = element / layout_.channels % layout_.positions;
        const auto size = [&](std::size_t back) {
            const std::int64_t value = values[element - back * layout_.channels];
            return static_cast<std::uint64_t>(std::min<std::int64_t>(value < 0 ? -value : value, 1 << 20));
        };
        std::uint64_t a = 0;
        if (layout_.has_left(position)) a += 2 * size(1);
        if (layout_.has_upper(position)) a += size(layout_.last());
        std::size_t k = 0;
        while (k < model_.thresholds.size() && model_.thresholds[k] <= a) ++k;
        return k;
    }

    template <class F>
    static void each(const Dealing& dealing, std::size_t lanes, F&& visit) {
        for (std::size_t t = 0; t < dealing.run; ++t) {
            for (std::size_t lane = 0; lane < lanes && lane * dealing.run + t < dealing.total; ++lane) {
                if (t < dealing.count(lane)) visit(lane, dealing.start(lane) + t);
            }
        }
    }

private:
    const EntropyModel& model_;
    const Layout& layout_;
    std::size_t lanes_, per_sample_groups_;
};

class RansReader {
public:
    RansReader(std::vector<std::uint32_t> states, const std::uint8_t* words, std::size_t count) : states_(std::move(states)), words_(words), left_(count) {}

    std::size_t entry(std::size_t lane, const EntropyTable& table) {
        std::uint32_t& x = states_[lane];
        const std::uint32_t slot = x & (precision_total - 1);
        const std::size_t entry = table.entry_at[slot];
        x = table.frequency[entry] * (x >> precision_bits) + slot - table.start[entry];
        if (x < (1U << 16)) {
            if (left_ == 0) throw Error(Refusal::damaged, "too few words");
            x = x << 16 | little16(words_);
            words_ += 2;
            --left_;
        }
        return entry;
    }
    bool is_done() const {
        return left_ == 0 && std::all_of(states_.begin(), states_.end(), [](std::uint32_t x) { return x == 1U << 16; });
    }

private:
    std::vector<std::uint32_t> states_;
    const std::uint8_t* words_;
    std::size_t left_;
};

// Entries are given last first; `words` come out last first, too.
struct RansWriter {
    explicit RansWriter(std::size_t lanes) : states(lanes, 1U << 16) {}
    void put(std::size_t lane, std::uint32_t frequency, std::uint32_t start) {
        std::uint64_t x = states[lane];
        if (x >= static_cast<std::uint64_t>(frequency) << (32 - precision_bits)) {
            words.push_back(static_cast<std::uint16_t>(x));
            x >>= 16;
        }
        states[lane] = static_cast<std::uint32_t>((x / frequency << precision_bits) + x % frequency + start);
    }
    std::vector<std::uint32_t> states;
    std::vector<std::uint16_t> words;
};

// value / step, rounded to the nearest, halves away from 0.
inline std::int64_t nearest(std::int64_t value, std::int64_t step) noexcept {
    return value >= 0 ? (value + step / 2) / step : -((-value + step / 2) / step);
}

inline std::int64_t floor_shift(std::int64_t value, unsigned bits) noexcept {  // ⌊value / 2^bits⌋
    return value >= 0 ? value >> bits : -((-value + (std::int64_t{1} << bits) - 1) >> bits);
}

}  // namespace detail

// The coder of a bundle's tables and models. Immutable once made: any number of threads may use it.
class Coder {
public:
    Coder() = default;
    Coder(std::vector<EntropyTable> tables, std::vector<EntropyModel> models) : tables_(std::move(tables)), models_(std::move(models)) {}

    const EntropyModel& model(std::size_t index) const { return models_.at(index); }
    std::size_t models() const noexcept { return models_.size(); }

    // Values [samples, positions …, channels] from where the cursor stands. Callers bound the shape.
    std::vector<std::int32_t> decode(Cursor& cursor, const std::vector<std::size_t>& shape, std::size_t index) const {
        const EntropyModel& model = models_.at(index);
        const Layout layout(shape);
        const unsigned exponent = cursor.u8();
        if (exponent > 12) throw Error(Refusal::damaged, "more than 2^12 lanes");
        const std::size_t lanes = std::size_t{1} << exponent;
        const std::uint64_t words = cursor.varint();
        if (words > cursor.left()) throw Error(Refusal::damaged, "ends too early");
        std::vector<std::uint32_t> states(lanes);
        for (std::uint32_t& state : states) {
            state = cursor.u32();
            if (state < (1U << 16)) throw Error(Refusal::damaged, "a state out of range");
        }
        detail::RansReader reader(std::move(states), cursor.take(static_cast<std::size_t>(words) * 2), static_cast<std::size_t>(words));
        const std::uint64_t escape_bytes = cursor.varint();
        if (escape_bytes > cursor.left()) throw Error(Refusal::damaged, "ends too early");
        Cursor escapes(cursor.take(static_cast<std::size_t>(escape_bytes)), static_cast<std::size_t>(escape_bytes));

        const detail::Walk walk(model, layout, lanes);
        const std::vector<std::uint8_t> sets = decode_sets(reader, walk, model, lanes);
        std::vector<std::int32_t> values(layout.size());
        std::vector<std::uint8_t> raw;  // bits of each value, where any set has some
        const bool has_raw = std::any_of(model.raw_bits.begin(), model.raw_bits.end(), [](std::uint8_t bits) { return bits > 0; });
        if (has_raw) raw.resize(values.size());
        detail::Walk::each(walk.values(), lanes, [&](std::size_t lane, std::size_t element) {
            const std::size_t set = model.neighbors ? walk.context(values.data(), element) : walk.has_selectors() ? sets[walk.group_of(element)] : 0;
            const EntropyTable& table = tables_[model.map[set * model.channels + element % layout.channels]];
            const std::size_t entry = reader.entry(lane, table);
            const std::int64_t symbol = entry == table.escape() ? escapes.zigzag() : table.low + static_cast<std::int64_t>(entry);
            if (has_raw) raw[element] = model.raw_bits[set];
            const std::int64_t value = has_raw ? symbol * (std::int64_t{1} << model.raw_bits[set]) : symbol;
            if (value < -2147483648LL || value > 2147483647LL) throw Error(Refusal::damaged, "a value beyond 32 bits");
            values[element] = static_cast<std::int32_t>(value);
        });
        if (!reader.is_done() || escapes.left() != 0) throw Error(Refusal::damaged, "coded values do not end where they should");
        if (has_raw) read_raw(cursor, raw, values);
        return values;
    }

    // The opposite; lanes: 2^`exponent`, each costs four bytes and makes decoding by vector units quicker.
    Bytes encode(const std::vector<std::int32_t>& values, const std::vector<std::size_t>& shape, std::size_t index, unsigned exponent = 0) const {
        const EntropyModel& model = models_.at(index);
        const Layout layout(shape);
        const std::size_t lanes = std::size_t{1} << exponent;
        const detail::Walk walk(model, layout, lanes);
        const std::vector<std::uint8_t> sets = walk.has_selectors() ? choose_sets(values, model, layout, walk) : std::vector<std::uint8_t>();

        struct Step {
            std::uint32_t frequency, start;
            std::uint16_t lane;
        };
        std::vector<Step> steps;
        steps.reserve(values.size() + sets.size());
        const auto add = [&](std::size_t lane, const EntropyTable& table, std::size_t entry) {
            steps.push_back({table.frequency[entry], table.start[entry], static_cast<std::uint16_t>(lane)});
        };
        std::vector<std::size_t> before(lanes, 0);
        if (walk.has_selectors()) {
            detail::Walk::each(walk.selectors(), lanes, [&](std::size_t lane, std::size_t group) {
                add(lane, tables_[model.selectors[before[lane]]], sets[group]);
                before[lane] = sets[group];
            });
        }
        Bytes escapes;
        std::vector<std::uint8_t> raw(values.size(), 0);
        detail::Walk::each(walk.values(), lanes, [&](std::size_t lane, std::size_t element) {
            const std::size_t set = model.neighbors ? walk.context(values.data(), element) : walk.has_selectors() ? sets[walk.group_of(element)] : 0;
            const EntropyTable& table = tables_[model.map[set * model.channels + element % layout.channels]];
            raw[element] = model.raw_bits.empty() ? std::uint8_t{0} : model.raw_bits[set];
            const std::int64_t symbol = detail::floor_shift(values[element], raw[element]);
            const std::size_t entry = table.entry_of(symbol);
            if (entry == table.escape()) put_varint(escapes, symbol >= 0 ? 2 * static_cast<std::uint64_t>(symbol) : 2 * static_cast<std::uint64_t>(-symbol) - 1);
            add(lane, table, entry);
        });
        detail::RansWriter writer(lanes);
        for (std::size_t i = steps.size(); i-- > 0;) writer.put(steps[i].lane, steps[i].frequency, steps[i].start);

        Bytes out = {static_cast<std::uint8_t>(exponent)};
        put_varint(out, writer.words.size());
        for (const std::uint32_t state : writer.states) detail::put(out, state, 4);
        for (std::size_t i = writer.words.size(); i-- > 0;) detail::put(out, writer.words[i], 2);
        put_varint(out, escapes.size());
        out.insert(out.end(), escapes.begin(), escapes.end());
        if (std::any_of(model.raw_bits.begin(), model.raw_bits.end(), [](std::uint8_t bits) { return bits > 0; })) write_raw(values, raw, out);
        return out;
    }

private:
    std::vector<std::uint8_t> decode_sets(detail::RansReader& reader, const detail::Walk& walk, const EntropyModel& model, std::size_t lanes) const {
        std::vector<std::uint8_t> sets(walk.groups());
        if (sets.empty()) return sets;
        std::vector<std::size_t> before(lanes, 0);
        detail::Walk::each(walk.selectors(), lanes, [&](std::size_t lane, std::size_t group) {
            const EntropyTable& table = tables_[model.selectors[before[lane]]];
            const std::size_t entry = reader.entry(lane, table);
            if (entry == table.escape()) throw Error(Refusal::damaged, "an unknown set");
            sets[group] = static_cast<std::uint8_t>(entry);
            before[lane] = entry;
        });
        return sets;
    }

    static void read_raw(Cursor& cursor, const std::vector<std::uint8_t>& raw, std::vector<std::int32_t>& values) {
        std::uint64_t total = 0;
        for (const std::uint8_t bits : raw) total += bits;
        const std::uint8_t* data = cursor.take(static_cast<std::size_t>((total + 7) / 8));
        std::uint64_t held = 0;
        unsigned filled = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            for (; filled < raw[i]; filled += 8) held |= static_cast<std::uint64_t>(*data++) << filled;
            values[i] += static_cast<std::int32_t>(held & ((std::uint64_t{1} << raw[i]) - 1));  // multiples of 2^bits: no carry
            held >>= raw[i];
            filled -= raw[i];
        }
        if (held != 0) throw Error(Refusal::damaged, "bits behind the last value");
    }

    static void write_raw(const std::vector<std::int32_t>& values, const std::vector<std::uint8_t>& raw, Bytes& out) {
        std::uint64_t held = 0;
        unsigned filled = 0;
        for (std::size_t i = 0; i < values.size(); ++i) {
            held |= (static_cast<std::uint64_t>(static_cast<std::uint32_t>(values[i])) & ((std::uint64_t{1} << raw[i]) - 1)) << filled;
            for (filled += raw[i]; filled >= 8; filled -= 8) {
                out.push_back(static_cast<std::uint8_t>(held));
                held >>= 8;
            }
        }
        if (filled > 0) out.push_back(static_cast<std::uint8_t>(held));
    }

    // For each group the set that codes it and its own index shortest, the index before given: dynamic programming would
    // save little more.
    std::vector<std::uint8_t> choose_sets(const std::vector<std::int32_t>& values, const EntropyModel& model, const Layout& layout, const detail::Walk& walk) const {
        std::vector<std::vector<double>> costs(walk.groups(), std::vector<double>(model.sets, 0.0));
        for (std::size_t element = 0; element < values.size(); ++element) {
            std::vector<double>& cost = costs[walk.group_of(element)];
            for (std::size_t set = 0; set < model.sets; ++set) {
                const EntropyTable& table = tables_[model.map[set * model.channels + element % layout.channels]];
                const unsigned bits = model.raw_bits.empty() ? 0U : model.raw_bits[set];
                const std::int64_t symbol = detail::floor_shift(values[element], bits);
                const std::size_t entry = table.entry_of(symbol);
                cost[set] += bits + bits_of(table.frequency[entry]);
                if (entry == table.escape()) cost[set] += escape_bits(symbol);
            }
        }
        std::vector<std::uint8_t> sets(costs.size());
        std::size_t before = 0;
        for (std::size_t group = 0; group < costs.size(); ++group) {
            const EntropyTable& table = tables_[model.selectors[before]];
            for (std::size_t set = 0; set < model.sets; ++set) costs[group][set] += bits_of(table.frequency[set]);
            before = static_cast<std::size_t>(std::min_element(costs[group].begin(), costs[group].end()) - costs[group].begin());
            sets[group] = static_cast<std::uint8_t>(before);
        }
        return sets;
    }

    static double bits_of(std::uint32_t frequency) noexcept {
        static const std::vector<double> table = [] {
            std::vector<double> made(precision_total + 1, 0.0);
            for (std::uint32_t f = 1; f <= precision_total; ++f) made[f] = precision_bits - std::log2(static_cast<double>(f));
            return made;
        }();
        return table[frequency];
    }
    static double escape_bits(std::int64_t symbol) noexcept {
        double bits = 8;
        for (std::uint64_t code = 2 * static_cast<std::uint64_t>(symbol < 0 ? -symbol : symbol); code >= 128; code >>= 7) bits += 8;
        return bits;
    }

    std::vector<EntropyTable> tables_;
    std::vector<EntropyModel> models_;
};

}  // namespace aetool

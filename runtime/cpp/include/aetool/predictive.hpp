// Linear prediction of integers: BITSTREAM.md, section 7.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "aetool/compression.hpp"

namespace aetool::detail {

struct Predictor {
    std::vector<std::int64_t> taps;
    unsigned shift = 0;

    // Of n'(t), given the values before it in the same block.
    std::int64_t predict(const std::int64_t* now, std::size_t t) const noexcept {
        if (taps.empty()) return 0;
        if (t < taps.size()) return now[-1];
        std::int64_t sum = 0;
        for (std::size_t k = 0; k < taps.size(); ++k) sum += taps[k] * now[-1 - static_cast<std::ptrdiff_t>(k)];
        return shifted(sum, shift);
    }
};

// How samples are seen as series: [time, series], time outermost.
struct SeriesView {
    std::size_t time = 0, series = 1;
    static SeriesView of(std::size_t samples, const Sizes& shape, std::size_t time_dimensions) {
        SeriesView view{samples, 1};
        for (std::size_t i = 0; i < shape.size(); ++i) (i < time_dimensions ? view.time : view.series) *= static_cast<std::size_t>(shape[i]);
        return view;
    }
};

constexpr std::int64_t step_limit = (std::int64_t{1} << 21) - 1;
constexpr std::int64_t value_limit = std::int64_t{1} << 31;

// What a chunk may bring beside its predictors.
struct Extras {
    std::vector<std::int64_t> palette;
    std::size_t lag = 0;  // 0: none
    std::optional<EntropyTable> table;

    static Extras read(Cursor& cursor, unsigned flags, std::size_t time) {
        Extras extras;
        if ((flags & 1) != 0) read_palette(cursor, extras.palette);
        if ((flags & 2) != 0) {
            const std::uint64_t lag = cursor.varint();
            if (lag < 1 || lag > std::max<std::size_t>(time - 1, 1)) throw Error(Refusal::damaged, "a lag out of range");
            extras.lag = static_cast<std::size_t>(lag);
        }
        if ((flags & 4) != 0) extras.table = read_table(cursor);
        return extras;
    }

private:
    static void read_palette(Cursor& cursor, std::vector<std::int64_t>& palette) {
        const std::uint64_t count = cursor.varint();
        if (count < 2 || count > 65536 || count > cursor.left()) throw Error(Refusal::damaged, "a palette out of range");
        palette.push_back(cursor.zigzag());
        while (palette.size() < count) {
            const std::uint64_t more = cursor.varint();
            if (more < 1 || more > 0xFFFFFFFFULL) throw Error(Refusal::damaged, "a palette out of order");
            palette.push_back(palette.back() + static_cast<std::int64_t>(more));
            if (palette.back() >= value_limit) throw Error(Refusal::damaged, "a palette out of range");
        }
        if (palette.front() <= -value_limit) throw Error(Refusal::damaged, "a palette out of range");
    }

    static EntropyTable read_table(Cursor& cursor) {
        const std::int64_t low = cursor.zigzag();
        const std::uint64_t count = cursor.varint();
        if (count < 2 || count > 4096 || low + static_cast<std::int64_t>(count) - 2 >= value_limit) throw Error(Refusal::damaged, "a table out of range");
        std::vector<std::uint32_t> frequencies;
        std::uint64_t sum = 0;
        while (frequencies.size() < count) {
            const std::uint64_t frequency = cursor.varint();
            if (frequency < 1 || frequency > precision_total) throw Error(Refusal::damaged, "a table out of range");
            sum += frequency;
            frequencies.push_back(static_cast<std::uint32_t>(frequency));
        }
        if (sum != precision_total) throw Error(Refusal::damaged, "a table of another sum");
        return EntropyTable(low, std::move(frequencies));
    }
};

inline Coder with_table(EntropyTable table) {
    EntropyModel model;
    model.map = {0};
    std::vector<EntropyTable> tables;
    tables.push_back(std::move(table));
    return Coder(std::move(tables), {model});
}

// The payload of a chunk → r · n', not yet clamped, in the order of the samples.
inline std::vector<std::int64_t> decode_predictive(Cursor& cursor, const Compression& compression, std::size_t samples, const Sizes& shape) {
    const std::uint64_t given_step = cursor.varint();
    if (given_step < 1 || given_step > static_cast<std::uint64_t>(step_limit)) throw Error(Refusal::damaged, "a step out of range");
    const auto r = static_cast<std::int64_t>(given_step);
    const unsigned flags = cursor.u8();
    if (flags > 7) throw Error(Refusal::damaged, "unknown extras");
    const std::size_t dimensions = cursor.u8();
    if (dimensions < 1 || dimensions > shape.size()) throw Error(Refusal::damaged, "dimensions of time out of range");
    const unsigned exponent = cursor.u8();
    if (exponent < 4 || exponent > 16) throw Error(Refusal::damaged, "a block size out of range");
    const SeriesView view = SeriesView::of(samples, shape, dimensions);
    const unsigned each = cursor.u8();
    if (each > 1 || (each == 1 && view.series > 256)) throw Error(Refusal::damaged, "predictors out of range");
    std::vector<Predictor> predictors(each == 1 ? view.series : 1);
    for (Predictor& predictor : predictors) {
        const std::size_t order = cursor.u8();
        predictor.shift = cursor.u8();
        if (order > 32 || predictor.shift > 15) throw Error(Refusal::damaged, "a predictor out of range");
        for (std::size_t k = 0; k < order; ++k) predictor.taps.push_back(static_cast<std::int16_t>(cursor.u16()));
    }
    const Extras extras = Extras::read(cursor, flags, view.time);
    const std::vector<std::size_t> coded_shape = {1, view.series * view.time, 1};
    const std::vector<std::int32_t> coded = extras.table ? with_table(*extras.table).decode(cursor, coded_shape, 0)
                                                         : compression.coder.decode(cursor, coded_shape, compression.residual);
    std::vector<std::int64_t> out(coded.size()), line(view.time), sums(view.time);
    const std::size_t block = std::size_t{1} << exponent;
    for (std::size_t s = 0; s < view.series; ++s) {
        const Predictor& predictor = predictors[each == 1 ? s : 0];
        std::int64_t first = 0;
        for (std::size_t i = 0; i < view.time; ++i) {
            const std::size_t t = i % block;
            const std::int64_t value = coded[s * view.time + i] + (t == 0 ? first : predictor.predict(&line[i], t));
            if (value <= -value_limit || value >= value_limit) throw Error(Refusal::damaged, "a value beyond 32 bits");
            if (t == 0) first = value;
            line[i] = value;
            sums[i] = value + (extras.lag > 0 && i >= extras.lag ? sums[i - extras.lag] : 0);
            if (sums[i] <= -value_limit || sums[i] >= value_limit) throw Error(Refusal::damaged, "a value beyond 32 bits");
            std::int64_t n = sums[i];
            if (!extras.palette.empty()) {
                if (n < 0 || n >= static_cast<std::int64_t>(extras.palette.size())) throw Error(Refusal::damaged, "no number of the palette");
                n = extras.palette[static_cast<std::size_t>(n)];
            }
            out[i * view.series + s] = n * r;
        }
    }
    return out;
}

// What a predictor leaves over, as a sum of magnitudes.
inline double left_over(const Predictor& predictor, const std::vector<std::int64_t>& line) {
    double sum = 0;
    for (std::size_t t = predictor.taps.size(); t < line.size(); ++t) sum += std::fabs(static_cast<double>(line[t] - predictor.predict(&line[t], t)));
    return sum;
}

// Autocorrelation and Levinson-Durbin (Levinson 1947, Durbin 1960), then taps of 16 bits.
inline Predictor fit_predictor(const std::vector<std::int64_t>& line, std::size_t order) {
    std::vector<double> correlation(order + 1, 0.0), taps(order, 0.0);
    for (std::size_t lag = 0; lag <= order && lag < line.size(); ++lag) {
        for (std::size_t i = lag; i < line.size(); ++i) {
            correlation[lag] += static_cast<double>(line[i]) * static_cast<double>(line[i - lag]);
        }
    }
    double error = correlation[0] * (1 + 1e-9) + 1e-9;
    for (std::size_t i = 0; i < order; ++i) {
        double reflection = correlation[i + 1];
        for (std::size_t k = 0; k < i; ++k) reflection -= taps[k] * correlation[i - k];
        reflection /= error;
        std::vector<double> next = taps;
        next[i] = reflection;
        for (std::size_t k = 0; k < i; ++k) next[k] -= reflection * taps[i - 1 - k];
        taps = next;
        error *= 1 - reflection * reflection;
    }
    double most = 1e-9;
    for (const double tap : taps) most = std::max(most, std::fabs(tap));
    Predictor predictor;
    while (predictor.shift < 15 && most * std::ldexp(1.0, static_cast<int>(predictor.shift) + 1) < 32767) ++predictor.shift;
    const double scale = std::ldexp(1.0, static_cast<int>(predictor.shift));
    for (const double tap : taps) predictor.taps.push_back(static_cast<std::int64_t>(std::lround(std::min(std::max(tap * scale, -32767.0), 32767.0))));
    return predictor;
}

// Of some orders, and of differences of the first to third kind, the one that leaves least.
inline Predictor best_predictor(const std::vector<std::int64_t>& line) {
    std::vector<Predictor> candidates = {{{1}, 0}, {{2, -1}, 0}, {{3, -3, 1}, 0}};
    for (const std::size_t order : {2, 4, 8, 16}) {
        if (line.size() >= 32 * order) candidates.push_back(fit_predictor(line, order));
    }
    return *std::min_element(candidates.begin(), candidates.end(),
                             [&](const Predictor& a, const Predictor& b) { return left_over(a, line) < left_over(b, line); });
}

// n → the payload, in steps of r; time is the first dimension of samples.
inline Bytes encode_predictive(const std::vector<std::int64_t>& n, const Compression& compression, std::size_t samples, const Sizes& shape, std::int64_t r) {
    const SeriesView view = SeriesView::of(samples, shape, 1);
    constexpr unsigned exponent = 12;
    const bool each = view.series <= 256;
    Bytes out;
    put_varint(out, static_cast<std::uint64_t>(r));
    out.insert(out.end(), {0, 1, static_cast<std::uint8_t>(exponent), static_cast<std::uint8_t>(each ? 1 : 0)});
    std::vector<std::vector<std::int64_t>> lines(view.series, std::vector<std::int64_t>(view.time));
    for (std::size_t i = 0; i < n.size(); ++i) lines[i % view.series][i / view.series] = nearest(n[i], r);
    std::vector<Predictor> predictors;
    for (std::size_t s = 0; s < (each ? view.series : 1); ++s) {
        predictors.push_back(each ? best_predictor(lines[s]) : Predictor{{1}, 0});
        const Predictor& made = predictors.back();
        out.push_back(static_cast<std::uint8_t>(made.taps.size()));
        out.push_back(static_cast<std::uint8_t>(made.shift));
        for (const std::int64_t tap : made.taps) put(out, static_cast<std::uint64_t>(tap), 2);
    }
    std::vector<std::int32_t> coded(view.time * view.series);
    for (std::size_t s = 0; s < view.series; ++s) {
        std::int64_t first = 0;
        for (std::size_t i = 0; i < view.time; ++i) {
            const std::size_t t = i % (std::size_t{1} << exponent);
            const std::int64_t predicted = t == 0 ? first : predictors[each ? s : 0].predict(&lines[s][i], t);
            const std::int64_t u = lines[s][i] - predicted;
            if (u < -value_limit || u >= value_limit) return {};  // not codable: another path will do
            coded[s * view.time + i] = static_cast<std::int32_t>(u);
            if (t == 0) first = lines[s][i];
        }
    }
    const Bytes symbols = compression.coder.encode(coded, {1, coded.size(), 1}, compression.residual);
    out.insert(out.end(), symbols.begin(), symbols.end());
    return out;
}

}  // namespace aetool::detail

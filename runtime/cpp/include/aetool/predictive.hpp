// Linear prediction of integers: BITSTREAM.md, section 7.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
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

inline std::uint64_t read_step(Cursor& cursor) {
    const std::uint64_t step = cursor.varint();
    if (step % 2 == 0 || step > static_cast<std::uint64_t>(step_limit)) throw Error(Refusal::damaged, "a step that is even or too large");
    return step;
}

// The payload of a chunk → r · n', not yet clamped, in the order of the samples.
inline std::vector<std::int64_t> decode_predictive(Cursor& cursor, const Compression& compression, std::size_t samples, const Sizes& shape) {
    const auto r = static_cast<std::int64_t>(read_step(cursor));
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
    const std::vector<std::int32_t> coded = compression.coder.decode(cursor, {1, view.series * view.time, 1}, compression.residual);
    std::vector<std::int64_t> out(coded.size()), line(view.time);
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
            out[i * view.series + s] = value * r;
        }
    }
    return out;
}

// Autocorrelation and Levinson-Durbin (Levinson 1947, Durbin 1960), then taps of 16 bits.
inline Predictor fit_predictor(const std::vector<std::int64_t>& line, std::size_t order) {
    std::vector<double> correlation(order + 1, 0.0), taps(order, 0.0);
    double mean = 0;
    for (const std::int64_t value : line) mean += static_cast<double>(value) / static_cast<double>(line.size());
    for (std::size_t lag = 0; lag <= order && lag < line.size(); ++lag) {
        for (std::size_t i = lag; i < line.size(); ++i) {
            correlation[lag] += (static_cast<double>(line[i]) - mean) * (static_cast<double>(line[i - lag]) - mean);
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

// n → the payload, in steps of r; time is the first dimension of samples.
inline Bytes encode_predictive(const std::vector<std::int64_t>& n, const Compression& compression, std::size_t samples, const Sizes& shape, std::int64_t r) {
    const SeriesView view = SeriesView::of(samples, shape, 1);
    constexpr unsigned exponent = 12;
    const bool each = view.series <= 256;
    Bytes out;
    put_varint(out, static_cast<std::uint64_t>(r));
    out.insert(out.end(), {1, static_cast<std::uint8_t>(exponent), static_cast<std::uint8_t>(each ? 1 : 0)});
    std::vector<std::vector<std::int64_t>> lines(view.series, std::vector<std::int64_t>(view.time));
    for (std::size_t i = 0; i < n.size(); ++i) {
        const std::int64_t half = r / 2;
        lines[i % view.series][i / view.series] = n[i] >= 0 ? (n[i] + half) / r : -((-n[i] + half) / r);
    }
    const std::size_t order = std::min<std::size_t>(each ? 12 : 1, view.time / 32);
    std::vector<Predictor> predictors;
    for (std::size_t s = 0; s < (each ? view.series : 1); ++s) {
        predictors.push_back(each ? fit_predictor(lines[s], order) : Predictor{{1}, 0});
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

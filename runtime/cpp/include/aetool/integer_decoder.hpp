// Symbols → samples by integers alone: BITSTREAM.md, section 4. What is refused here never runs.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "aetool/entropy.hpp"
#include "aetool/error.hpp"

namespace aetool {

using Sizes = std::vector<std::int64_t>;

struct Step {
    enum class Op { dense, conv, conv_transposed, table, rescale, add, upsample, reshape, crop, concatenate };
    Op op = Op::dense;
    std::vector<std::size_t> inputs;
    std::int64_t low = 0, high = 0;
    std::vector<std::int16_t> weights;  // [kernel …, in, out]
    Sizes kernel, stride, sizes;        // sizes: of a reshape, or the factors of an upsample
    std::vector<std::pair<std::int64_t, std::int64_t>> margins;
    std::size_t in = 0, out = 0;
    std::vector<std::int32_t> bias, multiplier, values;
    std::vector<std::uint8_t> shift;
    std::array<std::int64_t, 2> added{};  // multipliers of an addition
    unsigned added_shift = 0;
};

namespace detail {

// A dimension: factor · n + offset, n ≥ 1 the latent's free size at that place; fixed where factor is 0.
struct Size {
    std::int64_t factor = 0, offset = 0;
    bool operator==(const Size& other) const noexcept { return factor == other.factor && offset == other.offset; }
    std::int64_t at(std::int64_t free) const noexcept { return factor * free + offset; }
};
using FreeShape = std::vector<Size>;

inline std::int64_t shifted(std::int64_t x, unsigned s) noexcept {
    return s == 0 ? x : floor_shift(x + (std::int64_t{1} << (s - 1)), s);
}

// Checks steps one after the other, and keeps what is known of each value.
class StepChecker {
public:
    StepChecker(FreeShape latent, std::string where) : where_(std::move(where)) {
        shapes_.push_back(std::move(latent));
        ranges_.push_back(32768);
    }

    void add(const Step& step) {
        const std::size_t number = shapes_.size() - 1;
        const bool right = step.op == Step::Op::concatenate ? step.inputs.size() >= 2 : step.inputs.size() == (step.op == Step::Op::add ? 2U : 1U);
        want(right, "has another number of inputs");
        for (const std::size_t input : step.inputs) want(input <= number, "takes a later value");
        want(step.low > -limit && step.low <= step.high && step.high < limit, "has no range");
        FreeShape shape = shape_after(step);
        std::int64_t known = 1;
        for (const Size& size : shape) {
            want(size.at(1) >= 1, "makes an empty value");
            if (size.factor == 0) known = size.offset > (1 << 28) / known ? (1 << 28) + 1 : known * size.offset;
        }
        want(known <= 1 << 28, "makes too large a value");
        check_bounds(step);
        shapes_.push_back(std::move(shape));
        ranges_.push_back(std::max(std::llabs(step.low), std::llabs(step.high)));
        lows_.push_back(step.low);
        highs_.push_back(step.high);
    }

    const FreeShape& shape() const { return shapes_.back(); }
    const std::vector<FreeShape>& shapes() const { return shapes_; }
    void want(bool holds, const char* what) const {
        if (!holds) throw Error(Refusal::manifest, "step " + std::to_string(shapes_.size() - 1) + " " + what, where_);
    }

private:
    static constexpr std::int64_t limit = std::int64_t{1} << 31;

    const FreeShape& given(const Step& step, std::size_t i = 0) const { return shapes_[step.inputs[i]]; }

    FreeShape shape_after(const Step& step) const {
        FreeShape shape = given(step);
        const std::size_t places = shape.size() - 1;
        switch (step.op) {
            case Step::Op::dense:
                want(shape.back() == Size{0, static_cast<std::int64_t>(step.in)}, "takes another number of channels");
                shape.back() = {0, static_cast<std::int64_t>(step.out)};
                break;
            case Step::Op::conv:
            case Step::Op::conv_transposed: convolve(step, shape); break;
            case Step::Op::rescale: want(shape.back() == Size{0, static_cast<std::int64_t>(step.bias.size())}, "takes another number of channels"); break;
            case Step::Op::add: want(shape == given(step, 1), "adds two shapes"); break;
            case Step::Op::upsample:
                want(places >= 1 && step.sizes.size() == places, "has other factors");
                for (std::size_t i = 0; i < places; ++i) shape[i] = {shape[i].factor * step.sizes[i], shape[i].offset * step.sizes[i]};
                break;
            case Step::Op::reshape: reshape(step, shape); break;
            case Step::Op::crop:
                want(places >= 1 && step.margins.size() == places, "crops other dimensions");
                for (std::size_t i = 0; i < places; ++i) shape[i].offset -= step.margins[i].first + step.margins[i].second;
                break;
            case Step::Op::concatenate:
                for (std::size_t i = 1; i < step.inputs.size(); ++i) {
                    const FreeShape& other = given(step, i);
                    want(other.size() == shape.size() && std::equal(other.begin(), other.end() - 1, shape.begin()), "puts different shapes side by side");
                    shape.back().offset += other.back().offset;
                }
                break;
            case Step::Op::table: break;
        }
        return shape;
    }

    void convolve(const Step& step, FreeShape& shape) const {
        const std::size_t places = step.kernel.size();
        want(shape.size() == places + 1, "takes another number of dimensions");
        want(shape.back() == Size{0, static_cast<std::int64_t>(step.in)}, "takes another number of channels");
        for (std::size_t i = 0; i < places; ++i) {
            const std::int64_t k = step.kernel[i], s = step.stride[i], margin = step.margins[i].first + step.margins[i].second;
            if (step.op == Step::Op::conv_transposed) {
                shape[i] = {shape[i].factor * s, (shape[i].offset - 1) * s + k - margin};
            } else {
                want(shape[i].factor % s == 0, "has a stride that does not divide its free size");
                shape[i] = {shape[i].factor / s, floor_divide(shape[i].offset + margin - k, s) + 1};
            }
        }
        shape.back() = {0, static_cast<std::int64_t>(step.out)};
    }

    void reshape(const Step& step, FreeShape& shape) const {
        std::int64_t before = 1, after = 1;
        for (const Size& size : shape) {
            want(size.factor == 0, "reshapes a free size");
            before *= size.offset;
        }
        for (const std::int64_t size : step.sizes) after = size > (std::int64_t{1} << 29) / after ? std::int64_t{1} << 30 : after * size;
        want(!step.sizes.empty() && before == after, "reshapes to another number of values");
        shape.clear();
        for (const std::int64_t size : step.sizes) shape.push_back({0, size});
    }

    static std::int64_t floor_divide(std::int64_t a, std::int64_t b) noexcept { return a >= 0 ? a / b : -((-a + b - 1) / b); }

    // The largest Σ |w| that meets in one place of each output channel: of a transposed convolution, places of the kernel
    // with the same remainders modulo the stride.
    static std::vector<std::int64_t> meeting_sums(const Step& step) {
        std::map<std::int64_t, std::vector<std::int64_t>> groups;
        for (std::size_t i = 0; i < step.weights.size(); ++i) {
            std::int64_t tap = static_cast<std::int64_t>(i / (step.in * step.out)), group = 0;
            for (std::size_t d = step.kernel.size(); step.op == Step::Op::conv_transposed && d-- > 0; tap /= step.kernel[d]) {
                group = group * std::min(step.stride[d], step.kernel[d]) + tap % step.kernel[d] % step.stride[d];
            }
            std::vector<std::int64_t>& sums = groups.try_emplace(group, step.out, 0).first->second;
            sums[i % step.out] += std::abs(static_cast<int>(step.weights[i]));
        }
        std::vector<std::int64_t> largest(step.out, 0);
        for (const auto& entry : groups) {
            for (std::size_t o = 0; o < step.out; ++o) largest[o] = std::max(largest[o], entry.second[o]);
        }
        return largest;
    }

    void check_bounds(const Step& step) const {
        const std::int64_t largest = ranges_[step.inputs[0]];
        switch (step.op) {
            case Step::Op::dense:
            case Step::Op::conv:
            case Step::Op::conv_transposed: {
                const std::vector<std::int64_t> sums = meeting_sums(step);
                for (std::size_t o = 0; o < step.out; ++o) {
                    const std::int64_t room = limit - 1 - std::llabs(step.bias[o]);
                    want(room >= 0 && (largest == 0 || sums[o] <= room / largest), "may reach 2^31");
                }
                break;
            }
            case Step::Op::rescale:
                for (std::size_t c = 0; c < step.bias.size(); ++c) {
                    want(shifted(largest * step.multiplier[c], step.shift[c]) + std::llabs(step.bias[c]) < limit, "may reach 2^31");
                }
                break;
            case Step::Op::add:
                want(shifted(largest * step.added[0] + ranges_[step.inputs[1]] * step.added[1], step.added_shift) < limit, "may reach 2^31");
                break;
            case Step::Op::table: check_table(step); break;
            default: break;
        }
    }

    void check_table(const Step& step) const {
        const std::size_t input = step.inputs[0];
        const std::int64_t low = input == 0 ? -32768 : lows_[input - 1], high = input == 0 ? 32767 : highs_[input - 1];
        want(static_cast<std::int64_t>(step.values.size()) == high - low + 1 && step.values.size() <= 65536, "has a table of another size");
        for (const std::int32_t value : step.values) want(value >= step.low && value <= step.high, "has a table beyond its range");
    }

    std::string where_;
    std::vector<FreeShape> shapes_;
    std::vector<std::int64_t> ranges_, lows_, highs_;
};

}  // namespace detail

// Checked steps, run. Immutable once made: any number of threads may use it.
class IntegerDecoder {
public:
    IntegerDecoder() = default;
    // Throws manifest where the steps break the specification. `latent`: without the batch.
    IntegerDecoder(std::vector<Step> steps, detail::FreeShape latent, const std::string& where) : steps_(std::move(steps)) {
        if (steps_.empty() || steps_.size() > 256) throw Error(Refusal::manifest, "has not 1 to 256 steps", where);
        detail::StepChecker checker(std::move(latent), where);
        for (const Step& step : steps_) checker.add(step);
        shapes_ = checker.shapes();
        last_use_.assign(shapes_.size(), 0);
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            for (const std::size_t input : steps_[i].inputs) last_use_[input] = i;
        }
    }

    const detail::FreeShape& output_shape() const { return shapes_.back(); }

    // One sample: the decoder's input, of the given sizes, → its output.
    std::vector<std::int32_t> run(std::vector<std::int32_t> latent, const Sizes& free) const {
        std::vector<std::vector<std::int32_t>> values(shapes_.size());
        values[0] = std::move(latent);
        for (std::size_t i = 0; i < steps_.size(); ++i) {
            values[i + 1] = apply(steps_[i], values, i + 1, free);
            for (const std::size_t input : steps_[i].inputs) {
                if (last_use_[input] == i) std::vector<std::int32_t>().swap(values[input]);
            }
        }
        return std::move(values.back());
    }

    Sizes sizes_at(const detail::FreeShape& shape, const Sizes& free) const {
        Sizes sizes;
        for (std::size_t i = 0; i < shape.size(); ++i) sizes.push_back(shape[i].factor == 0 ? shape[i].offset : shape[i].at(free[i]));
        return sizes;
    }

private:
    using Values = std::vector<std::int32_t>;

    static std::size_t product(const Sizes& sizes) {
        std::size_t all = 1;
        for (const std::int64_t size : sizes) all *= static_cast<std::size_t>(size);
        return all;
    }

    static std::int32_t clamped(std::int64_t value, const Step& step) noexcept {
        return static_cast<std::int32_t>(std::min(std::max(value, step.low), step.high));
    }

    static void rescale(const Step& step, const std::int32_t* sums, std::int32_t* out) noexcept {
        for (std::size_t o = 0; o < step.out; ++o) {
            out[o] = clamped(detail::shifted(static_cast<std::int64_t>(sums[o]) * step.multiplier[o], step.shift[o]), step);
        }
    }

    // sums += row of inputs · [in, out]
    static void multiply(const std::int32_t* row, const std::int16_t* weights, std::size_t in, std::size_t out, std::int32_t* sums) noexcept {
        for (std::size_t i = 0; i < in; ++i) {
            const std::int32_t x = row[i];
            if (x == 0) continue;
            const std::int16_t* w = weights + i * out;
            for (std::size_t o = 0; o < out; ++o) sums[o] += x * w[o];
        }
    }

    Values apply(const Step& step, const std::vector<Values>& values, std::size_t number, const Sizes& free) const {
        const Values& given = values[step.inputs[0]];
        const Sizes before = sizes_at(shapes_[step.inputs[0]], free), after = sizes_at(shapes_[number], free);
        Values out(product(after));
        switch (step.op) {
            case Step::Op::dense:
                for (std::size_t row = 0; row * step.out < out.size(); ++row) {
                    Values sums(step.bias);
                    multiply(&given[row * step.in], step.weights.data(), step.in, step.out, sums.data());
                    rescale(step, sums.data(), &out[row * step.out]);
                }
                break;
            case Step::Op::conv: convolve(step, given, before, after, out); break;
            case Step::Op::conv_transposed: spread(step, given, before, after, out); break;
            case Step::Op::table: {
                const std::int64_t low = step.inputs[0] == 0 ? -32768 : steps_[step.inputs[0] - 1].low;
                for (std::size_t i = 0; i < out.size(); ++i) out[i] = step.values[static_cast<std::size_t>(given[i] - low)];
                break;
            }
            case Step::Op::rescale:
                for (std::size_t i = 0; i < out.size(); ++i) {
                    const std::size_t c = i % step.bias.size();
                    out[i] = clamped(detail::shifted(static_cast<std::int64_t>(given[i]) * step.multiplier[c], step.shift[c]) + step.bias[c], step);
                }
                break;
            case Step::Op::add: {
                const Values& other = values[step.inputs[1]];
                for (std::size_t i = 0; i < out.size(); ++i) {
                    out[i] = clamped(detail::shifted(given[i] * step.added[0] + other[i] * step.added[1], step.added_shift), step);
                }
                break;
            }
            case Step::Op::reshape:
                for (std::size_t i = 0; i < out.size(); ++i) out[i] = clamped(given[i], step);
                break;
            case Step::Op::upsample:
                move(step, given, before, after, out, [&](std::size_t i, std::int64_t at) { return at / step.sizes[i]; });
                break;
            case Step::Op::crop:
                move(step, given, before, after, out, [&](std::size_t i, std::int64_t at) { return at + step.margins[i].first; });
                break;
            case Step::Op::concatenate: concatenate(step, values, free, after, out); break;
        }
        return out;
    }

    // Each output position takes the channels of the input position that `source` names, dimension by dimension.
    template <class F>
    static void move(const Step& step, const Values& given, const Sizes& before, const Sizes& after, Values& out, F&& source) {
        const std::size_t channels = static_cast<std::size_t>(after.back());
        Sizes at(after.size() - 1, 0);
        for (std::size_t target = 0; target < out.size(); target += channels) {
            std::size_t from = 0;
            for (std::size_t i = 0; i < at.size(); ++i) from = from * static_cast<std::size_t>(before[i]) + static_cast<std::size_t>(source(i, at[i]));
            for (std::size_t c = 0; c < channels; ++c) out[target + c] = clamped(given[from * channels + c], step);
            for (std::size_t i = at.size(); i-- > 0;) {
                if (++at[i] < after[i]) break;
                at[i] = 0;
            }
        }
    }

    void concatenate(const Step& step, const std::vector<Values>& values, const Sizes& free, const Sizes& after, Values& out) const {
        const std::size_t channels = static_cast<std::size_t>(after.back());
        std::size_t place = 0;
        for (const std::size_t input : step.inputs) {
            const std::size_t own = static_cast<std::size_t>(sizes_at(shapes_[input], free).back());
            const Values& given = values[input];
            for (std::size_t row = 0; row * own < given.size(); ++row) {
                for (std::size_t c = 0; c < own; ++c) out[row * channels + place + c] = clamped(given[row * own + c], step);
            }
            place += own;
        }
    }

    // One dimension is a picture of one row.
    struct Plane {
        std::int64_t height, width, kernel_height, kernel_width, stride_y, stride_x, top, left;
    };
    static Plane plane(const Step& step, const Sizes& sizes) {
        const std::size_t x = step.kernel.size() - 1;
        const bool flat = x == 0;
        return {flat ? 1 : sizes[0], sizes[x], flat ? 1 : step.kernel[0], step.kernel[x],
                flat ? 1 : step.stride[0], step.stride[x], flat ? 0 : step.margins[0].first, step.margins[x].first};
    }

    static void convolve(const Step& step, const Values& given, const Sizes& before, const Sizes& after, Values& out) {
        const Plane in = plane(step, before);
        const std::int64_t width = after[step.kernel.size() - 1];
        for (std::size_t position = 0; position * step.out < out.size(); ++position) {
            const std::int64_t y = static_cast<std::int64_t>(position) / width * in.stride_y - in.top;
            const std::int64_t x = static_cast<std::int64_t>(position) % width * in.stride_x - in.left;
            Values sums(step.bias);
            for (std::int64_t ky = 0; ky < in.kernel_height; ++ky) {
                if (y + ky < 0 || y + ky >= in.height) continue;
                for (std::int64_t kx = 0; kx < in.kernel_width; ++kx) {
                    if (x + kx < 0 || x + kx >= in.width) continue;
                    const auto from = static_cast<std::size_t>((y + ky) * in.width + x + kx), tap = static_cast<std::size_t>(ky * in.kernel_width + kx);
                    multiply(&given[from * step.in], &step.weights[tap * step.in * step.out], step.in, step.out, sums.data());
                }
            }
            rescale(step, sums.data(), &out[position * step.out]);
        }
    }

    // Transposed: each output position gathers from the inputs that reach it.
    static void spread(const Step& step, const Values& given, const Sizes& before, const Sizes& after, Values& out) {
        const Plane in = plane(step, before);
        const std::int64_t width = after[step.kernel.size() - 1];
        for (std::size_t position = 0; position * step.out < out.size(); ++position) {
            const std::int64_t y = static_cast<std::int64_t>(position) / width + in.top, x = static_cast<std::int64_t>(position) % width + in.left;
            Values sums(step.bias);
            for (std::int64_t ky = y % in.stride_y; ky < in.kernel_height && ky <= y; ky += in.stride_y) {
                if ((y - ky) / in.stride_y >= in.height) continue;
                for (std::int64_t kx = x % in.stride_x; kx < in.kernel_width && kx <= x; kx += in.stride_x) {
                    if ((x - kx) / in.stride_x >= in.width) continue;
                    const auto from = static_cast<std::size_t>((y - ky) / in.stride_y * in.width + (x - kx) / in.stride_x);
                    const auto tap = static_cast<std::size_t>(ky * in.kernel_width + kx);
                    multiply(&given[from * step.in], &step.weights[tap * step.in * step.out], step.in, step.out, sums.data());
                }
            }
            rescale(step, sums.data(), &out[position * step.out]);
        }
    }

    std::vector<Step> steps_;
    std::vector<detail::FreeShape> shapes_;
    std::vector<std::size_t> last_use_;
};

}  // namespace aetool

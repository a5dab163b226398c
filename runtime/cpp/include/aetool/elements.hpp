// Elements of every type as real numbers, and back.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "aetool/manifest.hpp"

namespace aetool::detail {

// IEEE 754 binary16 → double, exactly.
inline double from_half(std::uint16_t bits) {
    const int exponent = bits >> 10 & 31;
    const double fraction = bits & 1023;
    const double size = exponent == 0    ? std::ldexp(fraction, -24)
                        : exponent == 31 ? (fraction > 0 ? std::nan("") : HUGE_VAL)
                                         : std::ldexp(fraction + 1024, exponent - 25);
    return (bits & 0x8000) != 0 ? -size : size;
}

// float → binary16, to nearest, ties to even; beyond the range infinite.
inline std::uint16_t to_half(float value) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
    const double size = std::fabs(static_cast<double>(value));
    if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7E00);
    if (size >= 65520) return static_cast<std::uint16_t>(sign | 0x7C00);
    int exponent = 0;
    std::frexp(size, &exponent);
    const int unit = std::max(exponent - 11, -24);  // the size of the last place
    const double steps = std::nearbyint(std::ldexp(size, -unit));
    const auto whole = static_cast<std::uint32_t>(steps);
    if (unit == -24) return static_cast<std::uint16_t>(sign | whole);
    return static_cast<std::uint16_t>(sign | (static_cast<std::uint32_t>(unit + 24) * 1024 + whole));
}

template <class T>
T read_as(const std::uint8_t* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

inline double element(Type type, const std::uint8_t* at) {
    switch (type) {
        case Type::float32: return static_cast<double>(read_as<float>(at));
        case Type::float16: return from_half(read_as<std::uint16_t>(at));
        case Type::int8: return read_as<std::int8_t>(at);
        case Type::uint8: return *at;
        case Type::int16: return read_as<std::int16_t>(at);
        case Type::int32: return read_as<std::int32_t>(at);
        case Type::int64: break;
    }
    return static_cast<double>(read_as<std::int64_t>(at));
}

// Which scale goes with which value of an array of that shape.
class Scales {
public:
    Scales(const Quantization& quantization, const Shape& shape) : given_(&quantization) {
        if (!quantization.axis) return;
        for (std::size_t i = *quantization.axis + 1; i < shape.size(); ++i) inner_ *= static_cast<std::size_t>(shape[i]);
    }
    std::size_t at(std::size_t value) const { return given_->axis ? value / inner_ % given_->scale.size() : 0; }
    double scale(std::size_t value) const { return given_->scale[at(value)]; }
    double zero_point(std::size_t value) const { return static_cast<double>(given_->zero_point[at(value)]); }

private:
    const Quantization* given_;
    std::size_t inner_ = 1;
};

// What an array stands for.
inline std::vector<double> real_values(const TensorSpec& spec, const Shape& shape, const std::uint8_t* data, std::size_t count) {
    std::vector<double> values(count);
    const std::size_t step = bytes_of(spec.type);
    for (std::size_t i = 0; i < count; ++i) values[i] = element(spec.type, data + i * step);
    if (!spec.quantization) return values;
    const Scales scales(*spec.quantization, shape);
    for (std::size_t i = 0; i < count; ++i) values[i] = (values[i] - scales.zero_point(i)) * scales.scale(i);
    return values;
}

// Real values as the tensor's own elements: the nearest integers, those out of range to its ends.
inline void store(const TensorSpec& spec, const float* values, std::size_t count, Bytes& out) {
    const std::size_t step = bytes_of(spec.type);
    out.resize(count * step);
    const auto put_integer = [&](std::size_t i, double whole, double least, double most) {
        const auto kept = static_cast<std::int64_t>(std::fmin(std::fmax(whole, least), most));
        for (std::size_t byte = 0; byte < step; ++byte) {
            out[i * step + byte] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(kept) >> (8 * byte));
        }
    };
    std::optional<Scales> scales;
    if (spec.quantization) scales.emplace(*spec.quantization, spec.shape);
    for (std::size_t i = 0; i < count; ++i) {
        double value = static_cast<double>(values[i]);
        if (scales) value = std::nearbyint(value / scales->scale(i)) + scales->zero_point(i);
        switch (spec.type) {
            case Type::float32: std::memcpy(out.data() + i * step, values + i, step); break;
            case Type::float16: {
                const std::uint16_t half = to_half(values[i]);
                std::memcpy(out.data() + i * step, &half, step);
                break;
            }
            case Type::int8: put_integer(i, value, -128, 127); break;
            case Type::uint8: put_integer(i, value, 0, 255); break;
            case Type::int16: put_integer(i, value, -32768, 32767); break;
            case Type::int32: put_integer(i, value, -2147483648.0, 2147483647.0); break;
            case Type::int64: put_integer(i, value, -9007199254740992.0, 9007199254740992.0); break;
        }
    }
}

}  // namespace aetool::detail

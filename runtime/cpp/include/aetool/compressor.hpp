// Samples → a stream: for each chunk the path that takes the fewest bytes for what it returns.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aetool/autoencoder.hpp"
#include "aetool/stream.hpp"

namespace aetool {

class Compressor {
public:
    struct Options {
        std::size_t codec = 0, quality = std::numeric_limits<std::size_t>::max();  // quality: from coarse; too large: the finest
        std::optional<std::int64_t> max_error;                                     // integer samples: of every value; 0: lossless
        std::size_t chunk_samples = 256;
    };

    // All three must outlive it; `model` may be null: then codecs without an encoder of their own are left aside.
    Compressor(const Bundle& bundle, const Compression& compression, const Autoencoder* model, Options options, StreamHeader header, Sink sink)
        : compression_(&compression), model_(model), options_(options), writer_(std::move(sink), bundle, with_promise(std::move(header), options)),
          scaling_(detail::Scaling::of(writer_.header(), compression)) {
        if (options_.codec >= compression.codecs.size() && !compression.codecs.empty()) throw Error(Refusal::usage, "the bundle has no such codec");
        if (options_.max_error && (writer_.header().type == SampleType::float32 || *options_.max_error < 0 || 2 * *options_.max_error + 1 > detail::step_limit)) {
            throw Error(Refusal::usage, "max_error is for integer samples, from 0 to 2^20 - 1");
        }
    }

    // Values of the stream's type, in C order: whole samples, or of a recording any number of rows.
    void write(const void* values, std::size_t count) {
        const auto* bytes = static_cast<const std::uint8_t*>(values);
        const std::size_t unit = unit_bytes(), whole = chunk_units() * unit;
        waiting_.insert(waiting_.end(), bytes, bytes + count * unit);
        std::size_t done = 0;
        for (; waiting_.size() - done >= whole; done += whole) compress(waiting_.data() + done, chunk_units());
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(done));
    }

    void finish() {
        if (!waiting_.empty() || writer_.chunks() == 0) compress(waiting_.data(), waiting_.size() / unit_bytes());
        waiting_.clear();
        writer_.finish();
    }

private:
    struct Candidate {
        unsigned path = 0;
        Bytes payload;
        std::vector<std::int64_t> n;
        double cost = 0;
    };

    static StreamHeader with_promise(StreamHeader header, const Options& options) {
        if (options.max_error) header.max_error = static_cast<double>(*options.max_error);
        return header;
    }

    std::size_t unit_values() const {
        const StreamHeader& header = writer_.header();
        return header.is_recording ? header.values_of_row() : header.values();
    }
    std::size_t unit_bytes() const { return unit_values() * bytes_of(writer_.header().type); }
    std::size_t chunk_units() const {
        const StreamHeader& header = writer_.header();
        const std::size_t samples = std::max<std::size_t>(1, std::min(options_.chunk_samples, (std::size_t{1} << 22) / header.values()));
        return header.is_recording ? samples * static_cast<std::size_t>(header.shape[0]) : samples;
    }

    void compress(const std::uint8_t* values, std::size_t count) {
        const StreamHeader& header = writer_.header();
        const std::size_t rows = header.is_recording ? static_cast<std::size_t>(header.shape[0]) : 1, samples = (count + rows - 1) / rows;
        Bytes padded(values, values + count * unit_bytes());
        if (count > 0) {  // the last row again
            while (padded.size() < samples * header.values() * bytes_of(header.type)) padded.push_back(padded[padded.size() - unit_bytes()]);
        }
        const std::vector<double> real = real_values(padded);
        if (samples == 0 || !all_on_grid(real)) {
            store(count, padded, real);
            return;
        }
        std::vector<std::int64_t> n(real.size());
        for (std::size_t i = 0; i < n.size(); ++i) n[i] = std::llrint(real[i] / scaling_.grid);
        std::optional<Candidate> best;
        const auto offer = [&](std::optional<Candidate> candidate) {
            if (candidate && (!best || candidate->cost < best->cost)) best = std::move(candidate);
        };
        for (std::size_t i = 0; i < compression_->codecs.size(); ++i) offer(by_codec(i, real, n, samples));
        offer(by_prediction(n, samples));
        const double stored_bits = 8.0 * static_cast<double>(padded.size());
        if (!best || best->cost >= stored_bits) {
            store(count, padded, real);
        } else {
            writer_.write(count, best->path, best->payload, detail::values_crc(best->n, count * unit_values()));
        }
    }

    void store(std::size_t count, const Bytes& padded, const std::vector<double>& real) {
        if (writer_.header().type == SampleType::float32) {
            writer_.write(count, 0, padded, crc32(0, padded.data(), count * unit_bytes()));
            return;
        }
        std::vector<std::int64_t> n;
        for (const double value : real) n.push_back(static_cast<std::int64_t>(value));
        writer_.write(count, 0, padded, detail::values_crc(n, count * unit_values()));
    }

    std::vector<double> real_values(const Bytes& bytes) const {
        const SampleType type = writer_.header().type;
        const std::size_t width = bytes_of(type);
        std::vector<double> real(bytes.size() / width);
        for (std::size_t i = 0; i < real.size(); ++i) {
            const std::uint8_t* at = bytes.data() + i * width;
            switch (type) {
                case SampleType::uint8: real[i] = *at; break;
                case SampleType::int8: real[i] = static_cast<std::int8_t>(*at); break;
                case SampleType::uint16: real[i] = detail::little16(at); break;
                case SampleType::int16: real[i] = static_cast<std::int16_t>(detail::little16(at)); break;
                case SampleType::int32: real[i] = static_cast<std::int32_t>(detail::little32(at)); break;
                case SampleType::float32: {
                    float value = 0;
                    const std::uint32_t bits = detail::little32(at);
                    std::memcpy(&value, &bits, sizeof value);
                    real[i] = static_cast<double>(value);
                    break;
                }
            }
        }
        return real;
    }

    bool all_on_grid(const std::vector<double>& real) const {
        const double least = static_cast<double>(scaling_.low) * scaling_.grid, most = static_cast<double>(scaling_.high) * scaling_.grid;
        return std::all_of(real.begin(), real.end(), [&](double value) { return value >= least && value <= most; });  // NaN is not
    }

    const Quality* target() const {
        if (compression_->codecs.empty()) return nullptr;
        const Codec& codec = compression_->codecs[options_.codec];
        return &codec.qualities[std::min(options_.quality, codec.qualities.size() - 1)];
    }

    // Bits and, without a promise, what the distortion is worth: at high rates dR/dD = 1 / (2 ln 2 · D).
    double cost_of(const Candidate& candidate, const std::vector<std::int64_t>& n) const {
        double cost = 8.0 * static_cast<double>(candidate.payload.size());
        const Quality* quality = target();
        if (options_.max_error || quality == nullptr || quality->rmse <= 0) return cost;
        const double unit = quality->rmse / scaling_.grid;
        double squares = 0;
        for (std::size_t i = 0; i < n.size(); ++i) squares += std::pow(static_cast<double>(n[i] - candidate.n[i]) / unit, 2);
        return cost + squares / (2 * std::log(2.0));
    }

    std::optional<Candidate> by_codec(std::size_t index, const std::vector<double>& real, const std::vector<std::int64_t>& n, std::size_t samples) const {
        const Codec& codec = compression_->codecs[index];
        if (codec.adjoint || model_ == nullptr) return std::nullopt;  // the transpose is the Python runtime's affair
        const Sizes latent = codec.latent_of(writer_.header().shape, Refusal::input);
        const std::size_t q = std::min(options_.quality, codec.qualities.size() - 1);
        const Quality& quality = codec.qualities[q];
        Candidate made{static_cast<unsigned>(index + 2), {static_cast<std::uint8_t>(q)}, {}, 0};
        const std::vector<std::int32_t> symbols = symbols_of(codec, quality, real, samples);
        const std::size_t per_sample = symbols.size() / samples;
        for (std::size_t s = 0; s < samples; ++s) {
            for (const std::int32_t output : codec.decode(&symbols[s * per_sample], latent, quality)) made.n.push_back(scaling_.predict(output));
        }
        const std::int64_t step = options_.max_error ? 2 * *options_.max_error + 1 : 0;
        put_varint(made.payload, static_cast<std::uint64_t>(step));
        std::vector<std::size_t> shape = {samples};
        for (const std::int64_t size : latent) shape.push_back(static_cast<std::size_t>(size));
        append(made.payload, compression_->coder.encode(symbols, shape, quality.model));
        if (step != 0) {
            std::vector<std::int32_t> residual(n.size());
            for (std::size_t i = 0; i < n.size(); ++i) {
                const std::int64_t u = detail::nearest(n[i] - made.n[i], step);
                if (u < -detail::value_limit || u >= detail::value_limit) return std::nullopt;  // not codable: another path will do
                residual[i] = static_cast<std::int32_t>(u);
                made.n[i] = scaling_.clamp(made.n[i] + step * residual[i]);
            }
            append(made.payload, compression_->coder.encode(residual, {1, residual.size(), 1}, compression_->residual));
        }
        made.cost = cost_of(made, n);
        return made;
    }

    std::vector<std::int32_t> symbols_of(const Codec& codec, const Quality& quality, const std::vector<double>& real, std::size_t samples) const {
        const std::vector<float> given(real.begin(), real.end());
        const std::vector<float> latents = model_->encode(given.data(), samples);
        std::vector<std::int32_t> symbols(latents.size());
        for (std::size_t i = 0; i < symbols.size(); ++i) {
            const std::size_t c = i % codec.channels();
            const double v = static_cast<double>(latents[i]) / codec.unit[c] - codec.center[c];
            const double size = std::floor(std::fabs(v) / quality.step[c] + quality.rounding);
            const double kept = std::isfinite(size) ? std::min(size, 65536.0) : 0.0;
            symbols[i] = static_cast<std::int32_t>(v < 0 ? -kept : kept);
        }
        return symbols;
    }

    std::optional<Candidate> by_prediction(const std::vector<std::int64_t>& n, std::size_t samples) const {
        std::int64_t r = 1;
        const Quality* quality = target();
        if (options_.max_error) {
            r = 2 * *options_.max_error + 1;
        } else if (quality != nullptr && quality->rmse > 0) {
            const double wanted = std::sqrt(12.0) * quality->rmse / scaling_.grid;
            r = std::min<std::int64_t>(2 * static_cast<std::int64_t>(std::fmin(wanted, 2e6) / 2) + 1, detail::step_limit);
        }
        Candidate made{1, detail::encode_predictive(n, *compression_, samples, writer_.header().shape, r), {}, 0};
        if (made.payload.empty()) return std::nullopt;
        for (const std::int64_t value : n) made.n.push_back(scaling_.clamp(r * detail::nearest(value, r)));
        made.cost = cost_of(made, n);
        return made;
    }

    static void append(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }

    const Compression* compression_;
    const Autoencoder* model_;
    Options options_;
    StreamWriter writer_;
    detail::Scaling scaling_;
    Bytes waiting_;
};

}  // namespace aetool

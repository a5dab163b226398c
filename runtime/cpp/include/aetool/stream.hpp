// The stream: header, chunks, end (BITSTREAM.md, sections 5 and 6). Read strictly, a chunk at a time, in bounded memory.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aetool/compression.hpp"
#include "aetool/predictive.hpp"

namespace aetool {

enum class SampleType : std::uint8_t { uint8 = 0, int8 = 1, uint16 = 2, int16 = 3, int32 = 4, float32 = 5 };

inline std::size_t bytes_of(SampleType type) noexcept {
    switch (type) {
        case SampleType::uint8:
        case SampleType::int8: return 1;
        case SampleType::uint16:
        case SampleType::int16: return 2;
        default: return 4;
    }
}

inline std::pair<std::int64_t, std::int64_t> range_of(SampleType type) noexcept {
    switch (type) {
        case SampleType::uint8: return {0, 255};
        case SampleType::int8: return {-128, 127};
        case SampleType::uint16: return {0, 65535};
        case SampleType::int16: return {-32768, 32767};
        case SampleType::int32: return {-2147483648LL, 2147483647LL};
        case SampleType::float32: break;
    }
    return {-2147483647LL, 2147483647LL};
}

// Hands out the next bytes, at most as many as asked for; 0 at the end.
using Source = std::function<std::size_t(std::uint8_t*, std::size_t)>;
using Sink = std::function<void(const std::uint8_t*, std::size_t)>;

inline Source from_memory(const void* data, std::size_t size) {
    const auto* at = static_cast<const std::uint8_t*>(data);
    return [at, left = size](std::uint8_t* out, std::size_t wanted) mutable {
        const std::size_t given = std::min(wanted, left);
        if (given > 0) std::memcpy(out, at, given);
        at += given;
        left -= given;
        return given;
    };
}

struct Picture {
    std::int64_t height = 0, width = 0, halo = 0;
};

struct StreamHeader {
    SampleType type = SampleType::int16;
    Sizes shape;  // of a sample
    bool is_recording = false, has_checks = true;
    std::optional<double> grid;  // float32: what 1 stands for; else the bundle's output unit
    std::int64_t multiplier = 1;
    unsigned shift = 0;
    std::optional<double> max_error;  // what the compressor promised: raw units; whole for integers
    std::optional<Picture> picture;
    Bytes attachment;

    std::size_t values() const noexcept {
        std::size_t all = 1;
        for (const std::int64_t size : shape) all *= static_cast<std::size_t>(size);
        return all;
    }
    std::size_t values_of_row() const noexcept { return values() / static_cast<std::size_t>(shape[0]); }

    Bytes write(const std::string& bundle_digest) const {
        Bytes out = {0x93, 'A', 'E', 'Z', 1};
        for (std::size_t i = 0; i < 8; ++i) out.push_back(static_cast<std::uint8_t>(std::stoi(bundle_digest.substr(2 * i, 2), nullptr, 16)));
        out.push_back(static_cast<std::uint8_t>((grid ? 1 : 0) | (max_error ? 2 : 0) | (is_recording ? 4 : 0) | (picture ? 8 : 0) |
                                                (has_checks ? 16 : 0) | (attachment.empty() ? 0 : 32)));
        out.push_back(static_cast<std::uint8_t>(type));
        out.push_back(static_cast<std::uint8_t>(shape.size()));
        for (const std::int64_t size : shape) put_varint(out, static_cast<std::uint64_t>(size));
        if (grid) {
            put_double(out, *grid);
            put_varint(out, static_cast<std::uint64_t>(multiplier));
            out.push_back(static_cast<std::uint8_t>(shift));
        }
        if (max_error && type == SampleType::float32) put_double(out, *max_error);
        if (max_error && type != SampleType::float32) put_varint(out, static_cast<std::uint64_t>(*max_error));
        if (picture) {
            for (const std::int64_t size : {picture->height, picture->width, picture->halo}) put_varint(out, static_cast<std::uint64_t>(size));
        }
        if (!attachment.empty()) {
            put_varint(out, attachment.size());
            out.insert(out.end(), attachment.begin(), attachment.end());
        }
        return out;
    }

private:
    static void put_double(Bytes& out, double value) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        detail::put(out, bits, 8);
    }
};

namespace detail {

// Numbers from a source, all of whose bytes are kept until they are taken away.
class SourceReader {
public:
    explicit SourceReader(Source source) : source_(std::move(source)) {}

    const std::uint8_t* take(std::size_t bytes) {
        const std::size_t start = kept_.size();
        constexpr std::size_t piece = 1 << 20;  // memory follows what came, not what was claimed
        while (kept_.size() < start + bytes) {
            const std::size_t before = kept_.size(), wanted = std::min(piece, start + bytes - before);
            kept_.resize(before + wanted);
            const std::size_t got = source_(kept_.data() + before, wanted);
            kept_.resize(before + got);
            if (got == 0) throw Error(Refusal::truncated, "the stream ends too early");
        }
        return kept_.data() + start;
    }
    std::uint8_t u8() { return *take(1); }
    std::uint32_t u32() { return little32(take(4)); }
    std::uint64_t varint() { return read_varint(*this); }
    bool at_end() {
        std::uint8_t byte = 0;
        return source_(&byte, 1) == 0;
    }
    double f64() {
        double value = 0;
        std::uint64_t bits = 0;
        const std::uint8_t* at = take(8);
        for (int i = 7; i >= 0; --i) bits = bits << 8 | at[i];
        std::memcpy(&value, &bits, sizeof value);
        return value;
    }
    const Bytes& kept() const noexcept { return kept_; }
    void drop() noexcept { kept_.clear(); }

private:
    Source source_;
    Bytes kept_;
};

inline StreamHeader read_header(SourceReader& in, const std::string& bundle_digest) {
    static constexpr std::uint8_t magic[4] = {0x93, 'A', 'E', 'Z'};
    for (const std::uint8_t wanted : magic) {
        if (in.u8() != wanted) throw Error(Refusal::damaged, "is no stream");
    }
    const unsigned version = in.u8();
    if (version != 1) throw Error(Refusal::version, "a stream of version " + std::to_string(version) + ": update aetool");
    const std::uint8_t* digest = in.take(8);
    if (hexadecimal(std::vector<std::uint8_t>(digest, digest + 8)) != bundle_digest.substr(0, 16)) {
        throw Error(Refusal::bundle, "the stream was made with another bundle");
    }
    const unsigned flags = in.u8();
    if (flags > 63) throw Error(Refusal::version, "a stream with unknown flags: update aetool");
    StreamHeader header;
    const unsigned type = in.u8(), rank = in.u8();
    if (type > 5) throw Error(Refusal::damaged, "an unknown type of samples");
    if (rank < 1 || rank > 7) throw Error(Refusal::damaged, "samples of no rank");
    header.type = static_cast<SampleType>(type);
    constexpr std::uint64_t most = 1 << 24;
    std::uint64_t product = 1;
    for (unsigned i = 0; i < rank; ++i) {
        const std::uint64_t size = in.varint();
        if (size < 1 || size > most || product * size > most) throw Error(Refusal::damaged, "samples of a size out of range");
        product *= size;
        header.shape.push_back(static_cast<std::int64_t>(size));
    }
    if ((flags & 1) != 0) {
        const double grid = in.f64();
        const std::uint64_t multiplier = in.varint();
        header.shift = in.u8();
        if (header.type != SampleType::float32 || !(grid > 0) || !std::isfinite(grid) || multiplier < 1 || multiplier >= 1 << 21 || header.shift > 40) {
            throw Error(Refusal::damaged, "a grid out of range");
        }
        header.grid = grid;
        header.multiplier = static_cast<std::int64_t>(multiplier);
    }
    if ((flags & 2) != 0) {
        const double error = header.type == SampleType::float32 ? in.f64() : static_cast<double>(in.varint());
        if (!(error >= 0) || !std::isfinite(error)) throw Error(Refusal::damaged, "an error out of range");
        header.max_error = error;
    }
    header.is_recording = (flags & 4) != 0;
    if ((flags & 8) != 0) {
        const std::uint64_t height = in.varint(), width = in.varint(), halo = in.varint();
        const bool fits = rank >= 2 && height >= 1 && width >= 1 && height <= most && width <= most &&
                          halo * 2 < static_cast<std::uint64_t>(std::min(header.shape[0], header.shape[rank >= 2 ? 1 : 0]));
        if (!fits || halo > most || header.is_recording) throw Error(Refusal::damaged, "a picture out of range");
        header.picture = Picture{static_cast<std::int64_t>(height), static_cast<std::int64_t>(width), static_cast<std::int64_t>(halo)};
    }
    header.has_checks = (flags & 16) != 0;
    if ((flags & 32) != 0) {
        const std::uint64_t bytes = in.varint();
        if (bytes < 1 || bytes > 1 << 20) throw Error(Refusal::damaged, "an attachment out of range");
        const std::uint8_t* at = in.take(static_cast<std::size_t>(bytes));
        header.attachment.assign(at, at + bytes);
    }
    return header;
}

inline std::uint32_t chunk_crc(std::uint32_t header_crc, std::uint32_t number, const std::uint8_t* body, std::size_t size) {
    Bytes place;
    put(place, number, 4);
    return crc32(crc32(header_crc, place.data(), 4), body, size);
}

// Of the first `count` values: surplus rows are not returned.
inline std::uint32_t values_crc(const std::vector<std::int64_t>& n, std::size_t count) {
    Bytes bytes;
    bytes.reserve(count * 4);
    for (std::size_t i = 0; i < count; ++i) put(bytes, static_cast<std::uint64_t>(n[i]), 4);
    return crc32(0, bytes.data(), bytes.size());
}

// Output ↔ samples for one stream.
struct Scaling {
    std::int64_t multiplier = 1, low = 0, high = 0;
    unsigned shift = 0;
    double grid = 1;

    static Scaling of(const StreamHeader& header, const Compression& compression) {
        const auto [low, high] = range_of(header.type);
        Scaling made{1, low, high, 0, 1.0};
        if (header.type != SampleType::float32) {
            made.multiplier = compression.multiplier;
            made.shift = compression.shift;
        } else {
            made.multiplier = header.multiplier;
            made.shift = header.shift;
            made.grid = header.grid ? *header.grid : compression.output_unit;
        }
        return made;
    }
    std::int64_t clamp(std::int64_t n) const noexcept { return std::min(std::max(n, low), high); }
    std::int64_t predict(std::int32_t output) const noexcept { return clamp(shifted(output * multiplier, shift)); }
};

inline void put_values(const std::vector<std::int64_t>& n, SampleType type, double grid, std::size_t count, Bytes& out) {
    out.reserve(out.size() + count * bytes_of(type));
    for (std::size_t i = 0; i < count; ++i) {
        if (type != SampleType::float32) {
            put(out, static_cast<std::uint64_t>(n[i]), static_cast<int>(bytes_of(type)));
            continue;
        }
        const auto value = static_cast<float>(grid * static_cast<double>(n[i]));  // one product, one rounding
        std::uint32_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        put(out, bits, 4);
    }
}

}  // namespace detail

// What a chunk returned: `count` rows of a recording, or samples, as little-endian values in C order.
struct Chunk {
    std::size_t count = 0;
    unsigned path = 0;  // 0: stored, 1: predicted, 2 + i: codec i
    Bytes values;
};

// Reads a stream chunk by chunk. Not to be shared by threads; the Compression, which must outlive it, may be.
class StreamReader {
public:
    StreamReader(Source source, const Bundle& bundle, const Compression& compression)
        : in_(std::move(source)), compression_(&compression), header_(detail::read_header(in_, bundle.digest())) {
        header_crc_ = crc32(0, in_.kept().data(), in_.kept().size());
        in_.drop();
    }

    const StreamHeader& header() const noexcept { return header_; }

    // The next chunk; none at the end of the stream, which is checked, too.
    std::optional<Chunk> next() {
        if (done_) return std::nullopt;
        in_.drop();
        const std::uint64_t size = in_.varint();
        if (size == 0) {
            finish();
            return std::nullopt;
        }
        if (size > std::uint64_t{1} << 26) throw Error(Refusal::damaged, "a chunk too large");
        in_.drop();
        in_.take(static_cast<std::size_t>(size) + 4);
        const Bytes& kept = in_.kept();
        const auto number = static_cast<std::uint32_t>(seen_.size());
        if (detail::little32(kept.data() + size) != detail::chunk_crc(header_crc_, number, kept.data(), static_cast<std::size_t>(size))) {
            throw Error(Refusal::damaged, "chunk " + std::to_string(number) + " has another checksum");
        }
        if (last_) throw Error(Refusal::damaged, "a chunk behind the last one");
        Chunk chunk = decode(kept.data(), static_cast<std::size_t>(size));
        seen_.emplace_back(chunk.count, size);
        total_ += chunk.count;
        return chunk;
    }

    // All values, for those that fit in memory.
    Bytes read_all() {
        Bytes all;
        while (std::optional<Chunk> chunk = next()) all.insert(all.end(), chunk->values.begin(), chunk->values.end());
        return all;
    }

private:
    Chunk decode(const std::uint8_t* body, std::size_t size) {
        Cursor cursor(body, size);
        Chunk chunk;
        const std::uint64_t count = cursor.varint();
        const auto rows = static_cast<std::uint64_t>(header_.shape[0]);
        constexpr std::uint64_t most = 1 << 24;
        if (count > most) throw Error(Refusal::damaged, "a chunk of too many samples");
        const std::uint64_t samples = header_.is_recording ? (count + rows - 1) / rows : count;
        if (samples * header_.values() > most) throw Error(Refusal::damaged, "a chunk of too many values");
        if (count == 0 && !seen_.empty()) throw Error(Refusal::damaged, "an empty chunk");
        last_ = count == 0 || (header_.is_recording && count % rows != 0);
        chunk.count = static_cast<std::size_t>(count);
        chunk.path = cursor.u8();
        const std::uint32_t check = header_.has_checks ? cursor.u32() : 0;
        const std::size_t kept = header_.is_recording ? chunk.count * header_.values_of_row() : chunk.count * header_.values();
        if (chunk.path == 0 && header_.type == SampleType::float32) {
            const std::uint8_t* values = cursor.take(static_cast<std::size_t>(samples) * header_.values() * 4);
            if (header_.has_checks && crc32(0, values, kept * 4) != check) mismatch();
            chunk.values.assign(values, values + kept * 4);
        } else {
            const detail::Scaling scaling = detail::Scaling::of(header_, *compression_);
            const std::vector<std::int64_t> n = decode_path(cursor, chunk.path, static_cast<std::size_t>(samples), scaling);
            if (header_.has_checks && detail::values_crc(n, kept) != check) mismatch();
            detail::put_values(n, header_.type, scaling.grid, kept, chunk.values);
        }
        if (cursor.left() != 0) throw Error(Refusal::damaged, "bytes behind a chunk's payload");
        return chunk;
    }

    [[noreturn]] static void mismatch() { throw Error(Refusal::damaged, "a chunk returned other values than its compressor saw"); }

    std::vector<std::int64_t> decode_path(Cursor& cursor, unsigned path, std::size_t samples, const detail::Scaling& scaling) const {
        const std::size_t values = samples * header_.values();
        std::vector<std::int64_t> n;
        if (path == 0) {
            const std::size_t width = bytes_of(header_.type);
            const std::uint8_t* at = cursor.take(values * width);
            const bool is_signed = range_of(header_.type).first < 0;
            for (std::size_t i = 0; i < values; ++i, at += width) {
                std::int64_t value = 0;
                for (std::size_t byte = width; byte-- > 0;) value = value << 8 | at[byte];
                if (is_signed && (at[width - 1] & 0x80) != 0) value -= std::int64_t{1} << (8 * width);
                n.push_back(value);
            }
            return n;
        }
        if (path == 1) {
            if (samples == 0) throw Error(Refusal::damaged, "an empty chunk that is predicted");
            n = detail::decode_predictive(cursor, *compression_, samples, header_.shape);
            for (std::int64_t& value : n) value = scaling.clamp(value);
            return n;
        }
        if (path - 2 >= compression_->codecs.size() || samples == 0) throw Error(Refusal::damaged, "an unknown path");
        const Codec& codec = compression_->codecs[path - 2];
        const Sizes latent = codec.latent_of(header_.shape, Refusal::damaged);
        const std::size_t index = cursor.u8();
        if (index >= codec.qualities.size()) throw Error(Refusal::damaged, "an unknown quality");
        const Quality& quality = codec.qualities[index];
        const std::uint64_t step = cursor.varint();
        if (step != 0 && (step % 2 == 0 || step > static_cast<std::uint64_t>(detail::step_limit))) throw Error(Refusal::damaged, "a step that is even or too large");
        std::vector<std::size_t> shape = {samples};
        std::size_t per_sample = 1;
        for (const std::int64_t size : latent) {
            shape.push_back(static_cast<std::size_t>(size));
            per_sample *= static_cast<std::size_t>(size);
        }
        if (per_sample * samples > std::size_t{1} << 24) throw Error(Refusal::damaged, "a latent too large");
        const std::vector<std::int32_t> symbols = compression_->coder.decode(cursor, shape, quality.model);
        n.reserve(values);
        for (std::size_t sample = 0; sample < samples; ++sample) {
            for (const std::int32_t output : codec.decode(&symbols[sample * per_sample], latent, quality)) n.push_back(scaling.predict(output));
        }
        if (step != 0) {
            const std::vector<std::int32_t> residual = compression_->coder.decode(cursor, {1, values, 1}, compression_->residual);
            for (std::size_t i = 0; i < values; ++i) n[i] = scaling.clamp(n[i] + static_cast<std::int64_t>(step) * residual[i]);
        }
        return n;
    }

    void finish() {
        if (seen_.empty()) throw Error(Refusal::damaged, "a stream without a chunk");
        if (header_.picture) {
            const Picture& picture = *header_.picture;
            const std::int64_t height = header_.shape[0] - 2 * picture.halo, width = header_.shape[1] - 2 * picture.halo;
            const std::int64_t tiles = ((picture.height + height - 1) / height) * ((picture.width + width - 1) / width);
            if (static_cast<std::int64_t>(total_) != tiles) throw Error(Refusal::damaged, "another number of tiles than the picture has");
        }
        in_.drop();
        const std::uint64_t count = in_.varint();
        if (count != 0) {
            if (count != seen_.size()) wrong_index();
            for (const auto& [samples, size] : seen_) {
                if (in_.varint() != samples || in_.varint() != size) wrong_index();
            }
            const std::uint32_t crc = crc32(header_crc_, in_.kept().data(), in_.kept().size());
            if (in_.u32() != crc) wrong_index();
            const std::size_t bytes = in_.kept().size() + 4;
            if (in_.u32() != bytes || in_.u8() != 1) wrong_index();
        }
        if (!in_.at_end()) throw Error(Refusal::damaged, "bytes behind the end");
        done_ = true;
    }

    [[noreturn]] static void wrong_index() { throw Error(Refusal::damaged, "an index that does not fit the chunks"); }

    detail::SourceReader in_;
    const Compression* compression_;
    StreamHeader header_;
    std::uint32_t header_crc_ = 0;
    std::vector<std::pair<std::size_t, std::uint64_t>> seen_;  // count and bytes of each chunk
    std::uint64_t total_ = 0;
    bool last_ = false, done_ = false;
};

// Writes header, chunks and end. Give it chunks in order; finish() ends the stream.
class StreamWriter {
public:
    StreamWriter(Sink sink, const Bundle& bundle, StreamHeader header) : sink_(std::move(sink)), header_(std::move(header)) {
        const Bytes bytes = header_.write(bundle.digest());
        header_crc_ = crc32(0, bytes.data(), bytes.size());
        sink_(bytes.data(), bytes.size());
    }

    const StreamHeader& header() const noexcept { return header_; }

    // `n`: what a reader will return, all samples of the chunk, padded ones included; `raw`: of a stored float32 chunk.
    void write(std::size_t count, unsigned path, const Bytes& payload, std::uint32_t check) {
        Bytes body;
        put_varint(body, count);
        body.push_back(static_cast<std::uint8_t>(path));
        if (header_.has_checks) detail::put(body, check, 4);
        body.insert(body.end(), payload.begin(), payload.end());
        Bytes out;
        put_varint(out, body.size());
        out.insert(out.end(), body.begin(), body.end());
        detail::put(out, detail::chunk_crc(header_crc_, static_cast<std::uint32_t>(chunks_.size()), body.data(), body.size()), 4);
        sink_(out.data(), out.size());
        chunks_.emplace_back(count, body.size());
    }

    std::size_t chunks() const noexcept { return chunks_.size(); }

    void finish() {
        Bytes out = {0};
        if (chunks_.size() > 1) {
            Bytes index;
            put_varint(index, chunks_.size());
            for (const auto& [count, size] : chunks_) {
                put_varint(index, count);
                put_varint(index, size);
            }
            detail::put(index, crc32(header_crc_, index.data(), index.size()), 4);
            detail::put(index, index.size() + 4, 4);
            out.insert(out.end(), index.begin(), index.end());
            out.push_back(1);
        } else {
            out.push_back(0);
        }
        sink_(out.data(), out.size());
    }

private:
    Sink sink_;
    StreamHeader header_;
    std::uint32_t header_crc_ = 0;
    std::vector<std::pair<std::size_t, std::size_t>> chunks_;
};

}  // namespace aetool

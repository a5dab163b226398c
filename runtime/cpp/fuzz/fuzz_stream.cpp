// libFuzzer: any bytes behind a sound header are a stream of the bundle AETOOL_FUZZ_BUNDLE or are refused by name. Checksums
// are put right first, so that what lies behind them is reached.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "aetool/stream.hpp"

namespace {

struct Opened {
    aetool::Bundle bundle;
    aetool::Compression compression;
};

const Opened& opened() {
    static const std::unique_ptr<Opened> held = [] {
        const char* path = std::getenv("AETOOL_FUZZ_BUNDLE");
        if (path == nullptr) std::abort();
        aetool::Bundle bundle = aetool::Bundle::open(path);
        aetool::Compression compression = aetool::read_compression(bundle);
        return std::unique_ptr<Opened>(new Opened{std::move(bundle), std::move(compression)});
    }();
    return *held;
}

// The input: u8 type of samples and flags, then the body of one chunk.
aetool::Bytes wrapped(const std::uint8_t* data, std::size_t size) {
    aetool::StreamHeader header;
    header.type = static_cast<aetool::SampleType>(data[0] % 6);
    header.is_recording = (data[0] & 64) != 0;
    header.has_checks = false;
    header.shape.clear();
    for (const std::int64_t extent : opened().compression.sample_shape) header.shape.push_back(extent == aetool::free_size ? 16 : extent);
    aetool::Bytes out = header.write(opened().bundle.digest());
    const std::uint32_t crc = aetool::crc32(0, out.data(), out.size());
    aetool::put_varint(out, size - 1);
    out.insert(out.end(), data + 1, data + size);
    aetool::detail::put(out, aetool::detail::chunk_crc(crc, 0, data + 1, size - 1), 4);
    out.insert(out.end(), {0, 0});
    return out;
}

void read(const aetool::Bytes& stream) {
    try {
        aetool::StreamReader(aetool::from_memory(stream.data(), stream.size()), opened().bundle, opened().compression).read_all();
    } catch (const aetool::Error&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    read(aetool::Bytes(data, data + size));
    if (size >= 2) read(wrapped(data, size));
    return 0;
}

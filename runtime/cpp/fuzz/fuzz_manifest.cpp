// libFuzzer: any bytes are a manifest or are refused by name.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "aetool/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        aetool::parse_manifest(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
    } catch (const aetool::Error&) {
    }
    return 0;
}

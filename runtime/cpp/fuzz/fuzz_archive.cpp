// libFuzzer: any bytes are a zipped bundle or are refused by name.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "aetool/bundle.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string path = std::filesystem::temp_directory_path() / ("aetool-fuzz-" + std::to_string(getpid()) + ".aepkg");
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr || (size > 0 && std::fwrite(data, 1, size, file) != size)) std::abort();
    std::fclose(file);
    try {
        aetool::Bundle::open(path);
    } catch (const aetool::Error&) {
    }
    return 0;
}

// A gateway's program: self-test, compress a stream of windows from standard input to standard output, and back.
//
//     aetool-cpp selftest BUNDLE
//     aetool-cpp compress BUNDLE [--max-error E | --quality N] < int16.raw > recording.aes
//     aetool-cpp decompress BUNDLE < recording.aes > int16.raw
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#ifdef AETOOL_WITHOUT_ONNXRUNTIME
#include "aetool/stream.hpp"
#else
#include "aetool/aetool.hpp"
#endif

namespace {

std::size_t read_input(std::uint8_t* out, std::size_t wanted) { return std::fread(out, 1, wanted, stdin); }

void write_output(const std::uint8_t* data, std::size_t size) {
    if (std::fwrite(data, 1, size, stdout) != size) throw aetool::Error(aetool::Refusal::input, "standard output is closed");
}

void decompress(const char* path) {
    const aetool::Bundle bundle = aetool::Bundle::open(path);
    const aetool::Compression compression = aetool::read_compression(bundle);
    aetool::StreamReader reader(read_input, bundle, compression);
    while (const std::optional<aetool::Chunk> chunk = reader.next()) write_output(chunk->values.data(), chunk->values.size());
}

#ifndef AETOOL_WITHOUT_ONNXRUNTIME
void self_test(const char* path) {
    bool passed = true;
    for (const aetool::Check& check : aetool::Autoencoder::open(path).self_test()) {
        passed = passed && check.passed;
        std::printf("%-32s %-16s %-16s %s %s\n", check.artifact.c_str(), check.tensor.c_str(), check.golden_case.c_str(),
                    check.passed ? "ok" : "FAILED", check.error.c_str());
    }
    if (!passed) throw aetool::Error(aetool::Refusal::unavailable, "the self-test failed");
}

void compress(const char* path, int count, char** options) {
    const aetool::Autoencoder model = aetool::Autoencoder::open(path);
    const aetool::Compression compression = aetool::read_compression(model.bundle());
    aetool::Compressor::Options chosen;
    for (int i = 0; i + 1 < count; i += 2) {
        if (std::strcmp(options[i], "--max-error") == 0) chosen.max_error = std::atoll(options[i + 1]);
        if (std::strcmp(options[i], "--quality") == 0) chosen.quality = static_cast<std::size_t>(std::atoll(options[i + 1]));
    }
    aetool::StreamHeader header;
    header.type = aetool::SampleType::int16;
    header.shape = compression.sample_shape;
    header.is_recording = true;
    aetool::Compressor compressor(model.bundle(), compression, &model, chosen, header, write_output);
    const std::size_t row = header.values_of_row() * sizeof(std::int16_t);
    std::vector<std::uint8_t> rows(4096 * row);
    for (;;) {
        const std::size_t got = std::fread(rows.data(), row, 4096, stdin);
        if (got == 0) break;
        compressor.write(rows.data(), got);
    }
    compressor.finish();
}
#endif

}  // namespace

int main(int count, char** arguments) {
    const std::string verb = count >= 3 ? arguments[1] : "";
    const auto outcome = aetool::attempt([&] {
        if (verb == "decompress") return decompress(arguments[2]);
#ifndef AETOOL_WITHOUT_ONNXRUNTIME
        if (verb == "selftest") return self_test(arguments[2]);
        if (verb == "compress") return compress(arguments[2], count - 3, arguments + 3);
#endif
        throw aetool::Error(aetool::Refusal::usage, "selftest, compress or decompress, and a bundle");
    });
    if (!outcome.ok()) std::fprintf(stderr, "aetool-cpp: %s: %s\n", aetool::name_of(outcome.refusal()), outcome.message().c_str());
    return outcome.ok() ? 0 : 1;
}

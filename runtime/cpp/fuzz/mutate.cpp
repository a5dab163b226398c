// For compilers without libFuzzer: a fuzz target on inputs that were changed at random, the same ones every time.
//
//     program RUNS FILE…
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int count, char** arguments) {
    if (count < 3) return 2;
    std::mt19937 random(1);
    const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
    for (long run = std::atol(arguments[1]); run > 0; --run) {
        std::ifstream file(arguments[2 + below(static_cast<std::size_t>(count - 2))], std::ios::binary);
        std::vector<char> text((std::istreambuf_iterator<char>(file)), {});
        std::vector<std::uint8_t> bytes(text.begin(), text.end());
        for (std::size_t changes = 1 + below(4); changes > 0 && !bytes.empty(); --changes) {
            const std::size_t at = below(bytes.size());
            const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
            switch (below(5)) {
                case 0: bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << below(8))); break;
                case 1: bytes[at] = static_cast<std::uint8_t>(random()); break;
                case 2: bytes.resize(at); break;
                case 3: bytes.insert(place, static_cast<std::uint8_t>(random())); break;
                default: bytes.erase(place);
            }
        }
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }
    return 0;
}

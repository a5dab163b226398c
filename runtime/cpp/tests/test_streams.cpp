// Every vector of tests/vectors/compression: coded values, whole streams, refusals; then every bit of some streams.
//
//     test_streams VECTORS
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>

#include "aetool/stream.hpp"

namespace {

using aetool::Bytes;

std::string slurp(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

Bytes from_hex(const std::string& text) {
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) bytes.push_back(static_cast<std::uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
    return bytes;
}

struct Opened {
    aetool::Bundle bundle;
    aetool::Compression compression;
};

class Bundles {
public:
    explicit Bundles(std::filesystem::path root) : root_(std::move(root)) {}
    const Opened& get(const std::string& name) {
        auto& held = held_[name];
        if (!held) {
            aetool::Bundle bundle = aetool::Bundle::open(root_ / (name + ".aepkg"));
            aetool::Compression compression = aetool::read_compression(bundle);
            held.reset(new Opened{std::move(bundle), std::move(compression)});
        }
        return *held;
    }

private:
    std::filesystem::path root_;
    std::map<std::string, std::unique_ptr<Opened>> held_;
};

std::size_t failures = 0, tried = 0;

void expect(bool holds, const std::string& what) {
    ++tried;
    if (holds) return;
    ++failures;
    std::printf("FAILED %s\n", what.c_str());
}

std::vector<std::size_t> sizes(const aetool::json::Node& node) {
    std::vector<std::size_t> found;
    for (const auto& item : node.items()) found.push_back(static_cast<std::size_t>(item.natural()));
    return found;
}

aetool::Result<Bytes> read(const Opened& with, const Bytes& stream) {
    return aetool::attempt([&] { return aetool::StreamReader(aetool::from_memory(stream.data(), stream.size()), with.bundle, with.compression).read_all(); });
}

void try_coded(const aetool::json::Node& row, Bundles& bundles) {
    const std::string name = "coded " + row["name"].text();
    const aetool::Coder& coder = bundles.get(row["bundle"].text()).compression.coder;
    const auto model = static_cast<std::size_t>(row["model"].natural());
    const Bytes bytes = from_hex(row["bytes"].text());
    std::vector<std::int32_t> wanted;
    for (const auto& item : row["values"].items()) wanted.push_back(static_cast<std::int32_t>(item.integer()));
    const auto shape = sizes(row["shape"]);
    const auto decode = [&](const Bytes& from) {
        return aetool::attempt([&] {
            aetool::Cursor cursor(from.data(), from.size());
            auto values = coder.decode(cursor, shape, model);
            if (cursor.left() != 0) throw aetool::Error(aetool::Refusal::damaged, "bytes are left over");
            return values;
        });
    };
    const auto met = decode(bytes);
    expect(met.ok() && met.value() == wanted, name + ": " + met.message());
    for (const unsigned lanes : {0U, 3U}) {
        const auto again = decode(coder.encode(wanted, shape, model, lanes));
        expect(again.ok() && again.value() == wanted, name + ", written here: " + again.message());
    }
}

void try_stream(const aetool::json::Node& row, Bundles& bundles) {
    const std::string name = "stream " + row["name"].text(), verdict = row["verdict"].text();
    const Opened& with = bundles.get(row["bundle"].text());
    const Bytes stream = from_hex(row["stream"].text());
    const auto met = read(with, stream);
    const std::string told = met.ok() ? "ok" : aetool::name_of(met.refusal());
    expect(told == verdict, name + ": " + told + ", not " + verdict + "; " + met.message());
    if (verdict != "ok" || !met.ok()) return;
    expect(met.value() == from_hex(row["values"].text()), name + ": other values");
    if (stream.size() > 400) return;
    for (std::size_t bit = 0; bit < stream.size() * 8; ++bit) {
        Bytes changed = stream;
        changed[bit / 8] = static_cast<std::uint8_t>(changed[bit / 8] ^ (1U << (bit % 8)));
        expect(!read(with, changed).ok(), name + ", bit " + std::to_string(bit) + ": accepted");
    }
    for (std::size_t length = 0; length < stream.size(); ++length) {
        const auto cut = read(with, Bytes(stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(length)));
        expect(!cut.ok() && cut.refusal() == aetool::Refusal::truncated, name + ", length " + std::to_string(length));
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) return 2;
    const std::filesystem::path root = std::filesystem::path(arguments[1]) / "compression";
    Bundles bundles(root);
    const aetool::json::Value coded = aetool::json::parse(slurp(root / "coded.json"), "coded.json");
    for (const auto& row : aetool::json::Node(coded, "coded.json").items()) try_coded(row, bundles);
    const aetool::json::Value streams = aetool::json::parse(slurp(root / "streams.json"), "streams.json");
    for (const auto& row : aetool::json::Node(streams, "streams.json").items()) try_stream(row, bundles);
    std::printf("%zu of %zu checks\n", tried - failures, tried);
    return failures == 0 ? 0 : 1;
}

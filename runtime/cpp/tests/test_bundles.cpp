// Every vector of tests/vectors that is about bundles and manifests: the same verdicts as every other reader.
//
//     test_bundles VECTORS
#include <cstdio>
#include <fstream>
#include <iterator>

#include "aetool/bundle.hpp"
#include "aetool/onnx_scan.hpp"

namespace {

std::string slurp(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string unbase64(const std::string& text) {
    static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    unsigned bits = 0, count = 0;
    for (const char c : text) {
        const std::size_t value = digits.find(c);
        if (value == std::string::npos) break;
        bits = bits << 6 | static_cast<unsigned>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            out += static_cast<char>(bits >> count & 255);
        }
    }
    return out;
}

template <class F>
std::string verdict_of(F&& function) {
    const auto result = aetool::attempt(function);
    return result.ok() ? "ok" : aetool::name_of(result.refusal());
}

int failures = 0;

void expect(const std::string& what, const std::string& met, const std::string& wanted) {
    if (met == wanted) return;
    ++failures;
    std::printf("FAILED %s: %s, not %s\n", what.c_str(), met.c_str(), wanted.c_str());
}

// Open, then look at every graph as it is looked at before an engine gets it.
void open_and_load(const std::filesystem::path& path) {
    const aetool::Bundle bundle = aetool::Bundle::open(path);
    for (const aetool::Artifact& artifact : bundle.manifest().artifacts) {
        if (artifact.format == "onnx") aetool::refuse_external_data(bundle.read(artifact.path), artifact.path);
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) return 2;
    const std::filesystem::path root = arguments[1];
    std::size_t tried = 0;

    const aetool::json::Value manifests = aetool::json::parse(slurp(root / "manifests.json"), "manifests.json");
    for (const aetool::json::Node& row : aetool::json::Node(manifests, "manifests.json").items()) {
        const auto& object = row;
        std::string text, name = object["name"].text();
        for (const auto& value : manifests.array) {
            for (const auto& [key, member] : value.object) {
                if (key == "name" && member.string == name) {
                    for (const auto& [other, content] : value.object) {
                        if (other == "manifest") text = content.string;
                        if (other == "base64") text = unbase64(content.string);
                    }
                }
            }
        }
        expect("manifest " + name, verdict_of([&] { aetool::parse_manifest(text, name); }), object["verdict"].text());
        ++tried;
    }

    const std::string listing = slurp(root / "bundles.json");
    const aetool::json::Value bundles = aetool::json::parse(listing, "bundles.json");
    for (const aetool::json::Node& row : aetool::json::Node(bundles, "bundles.json").items()) {
        const std::filesystem::path path = root / "bundles" / (row["name"].text() + ".aepkg");
        const bool at_open = row["at"].text() == "open";
        const std::string met = verdict_of([&] { at_open ? void(aetool::Bundle::open(path)) : open_and_load(path); });
        expect("bundle " + row["name"].text(), met, row["verdict"].text());
        if (!row["digest"].is_null()) expect("digest of " + row["name"].text(), aetool::Bundle::open(path).digest(), row["digest"].text());
        ++tried;
    }

    // Every byte changed, every length: refused.
    const std::string whole = slurp(root / "bundles" / "encoder.aepkg");
    const std::filesystem::path scratch = std::filesystem::temp_directory_path() / ("aetool-" + std::to_string(whole.size()) + "-" + std::to_string(tried) + ".aepkg");
    const auto refused = [&](const std::string& bytes) {
        std::ofstream(scratch, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        return !aetool::attempt([&] { return aetool::Bundle::open(scratch); }).ok();
    };
    for (std::size_t i = 0; i < whole.size(); ++i) {
        std::string changed = whole;
        changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
        if (!refused(changed)) expect("byte " + std::to_string(i), "accepted", "refused");
        if (!refused(whole.substr(0, i))) expect("length " + std::to_string(i), "accepted", "refused");
        tried += 2;
    }
    std::filesystem::remove(scratch);
    std::printf("%zu of %zu vectors\n", tried - static_cast<std::size_t>(failures), tried);
    return failures == 0 ? 0 : 1;
}

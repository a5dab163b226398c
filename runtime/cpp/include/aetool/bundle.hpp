// A bundle, opened: every listed file was hashed then, and is hashed again when it is read.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "aetool/checksum.hpp"
#include "aetool/files.hpp"
#include "aetool/manifest.hpp"

namespace aetool {

class Bundle {
public:
    // A folder, or one zip of it. Throws what FORMAT.md, section 1, names.
    static Bundle open(const std::filesystem::path& path) {
        Files files(path);
        const Bytes text = files.read("manifest.json", json::max_bytes + 1);
        if (text.size() > json::max_bytes) throw Error(Refusal::manifest, "is larger than 16 MiB", files.where("manifest.json"));
        Sha256 hash;
        hash.update(text.data(), text.size());
        std::string digest = hexadecimal(hash.digest());
        const std::string line = digest + "  manifest.json\n";
        const Bytes met = files.read("manifest.sha256", line.size() + 1);
        if (std::string(met.begin(), met.end()) != line) {
            throw Error(Refusal::digest, "manifest.json does not match manifest.sha256", path.string());
        }
        Manifest manifest = parse_manifest(std::string_view(reinterpret_cast<const char*>(text.data()), text.size()), files.where("manifest.json"));
        std::set<std::string> listed = {"manifest.json", "manifest.sha256"};
        for (const auto& file : manifest.files) listed.insert(file.first);
        files.refuse_unlisted(listed);
        Bundle bundle(std::move(files), std::move(manifest), std::move(digest));
        for (const auto& file : bundle.manifest_.files) bundle.read(file.first);
        return bundle;
    }

    const Manifest& manifest() const noexcept { return manifest_; }
    const std::string& digest() const noexcept { return digest_; }  // 64 hexadecimal digits; stands for every byte

    // The bytes of a listed file, checked.
    Bytes read(const std::string& path) const {
        const auto found = manifest_.files.find(path);
        if (found == manifest_.files.end()) throw Error(Refusal::unsafe, "the manifest does not list " + path);
        const FileEntry& entry = found->second;
        const std::uint64_t size = files_.size(path);
        if (size != entry.bytes) throw Error(size < entry.bytes ? Refusal::truncated : Refusal::digest, "has another size", files_.where(path));
        Bytes data = files_.read(path, size);
        if (data.size() != size) throw Error(Refusal::truncated, "ends too early", files_.where(path));
        Sha256 hash;
        hash.update(data.data(), data.size());
        if (hexadecimal(hash.digest()) != entry.sha256) throw Error(Refusal::digest, "has another sha256", files_.where(path));
        return data;
    }

private:
    Bundle(Files files, Manifest manifest, std::string digest)
        : files_(std::move(files)), manifest_(std::move(manifest)), digest_(std::move(digest)) {}

    Files files_;
    Manifest manifest_;
    std::string digest_;
};

}  // namespace aetool

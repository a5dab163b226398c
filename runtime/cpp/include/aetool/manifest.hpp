// The manifest, version 1 (FORMAT.md, sections 2 to 5), read strictly.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "aetool/error.hpp"
#include "aetool/files.hpp"
#include "aetool/json.hpp"

namespace aetool {

enum class Type { float32, float16, int8, uint8, int16, int32, int64 };

inline std::size_t bytes_of(Type type) {
    switch (type) {
        case Type::int8:
        case Type::uint8: return 1;
        case Type::float16:
        case Type::int16: return 2;
        case Type::float32:
        case Type::int32: return 4;
        case Type::int64: break;
    }
    return 8;
}

using Shape = std::vector<std::int64_t>;  // the batch first; -1: free
constexpr std::int64_t free_size = -1;

// Affine quantization: real = scale * (q - zero_point); one of each, or one for each index of `axis`.
struct Quantization {
    std::vector<double> scale;
    std::vector<std::int64_t> zero_point;
    std::optional<std::size_t> axis;
};

struct TensorSpec {
    std::string name;
    Type type = Type::float32;
    Shape shape;
    std::optional<Quantization> quantization;

    // Whether an array of this type and shape is such a tensor; any batch will do.
    bool takes(Type other, const Shape& sizes) const {
        if (other != type || sizes.size() != shape.size()) return false;
        for (std::size_t i = 1; i < shape.size(); ++i) {
            if (shape[i] != free_size && shape[i] != sizes[i]) return false;
        }
        return true;
    }
};

struct GoldenTensor {
    Type type = Type::float32;
    Shape shape;
    std::uint64_t offset = 0, bytes = 0;
};
struct GoldenCase {
    std::string name;
    std::map<std::string, GoldenTensor> tensors;
};
struct OutputScale {
    std::vector<double> center, scale;
};

struct Artifact {
    std::string role, format, precision, path, signature, external_data;
    std::vector<TensorSpec> inputs, outputs;
    double atol = 0, rtol = 0;
    std::vector<GoldenCase> cases;
};

struct FileEntry {
    std::string sha256;
    std::uint64_t bytes = 0;
};

struct Manifest {
    std::string name;
    std::vector<Artifact> artifacts;
    std::map<std::string, FileEntry> files;
    std::string golden_path;
    std::map<std::string, OutputScale> scales;
    std::vector<GoldenCase> cases;
    std::string compression;  // empty: the bundle cannot compress
};

namespace detail {

// A name from a set that later versions may add to.
inline const std::string& open_name(const json::Node& node) {
    const std::string& name = node.text();
    const bool sound = !name.empty() && name.size() <= 32 && name[0] >= 'a' && name[0] <= 'z' &&
                       name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
    if (!sound) node.refuse("is not a-z, then a-z 0-9 _");
    return name;
}

class ManifestReader {
public:
    explicit ManifestReader(const json::Node& root) : root_(root) {}

    Manifest read() {
        check_version();
        Manifest made;
        read_files(made);
        made.name = root_["name"].text();
        const json::Node golden = root_["golden"];
        made.golden_path = listed(golden["path"], made);
        for (const json::Node& node : root_["artifacts"].items()) made.artifacts.push_back(artifact(node, made));
        if (made.artifacts.empty()) root_["artifacts"].refuse("is empty");
        refuse_twins(made);
        read_golden(golden, made);
        read_the_rest();
        if (root_.has("compression")) made.compression = listed(root_["compression"]["path"], made);
        return made;
    }

private:
    void check_version() const {
        if (root_["format"].text() != "aetool.bundle") root_["format"].refuse("is not aetool.bundle");
        if (root_["version"].integer() != 1) root_["version"].refuse("is not 1: update aetool", Refusal::version);
        const std::vector<json::Node> required = root_["requires"].items();
        for (const json::Node& node : required) node.text();
        if (!required.empty()) root_["requires"].refuse("has unknown features: update aetool", Refusal::version);
    }

    void read_files(Manifest& made) const {
        const json::Node files = root_["files"];
        std::set<std::string> folded, folders;
        for (const std::string& path : files.keys()) {
            check_path(path, files.where());
            const json::Node node = files[path];
            FileEntry entry;
            entry.sha256 = node["sha256"].text();
            if (entry.sha256.size() != 64 || entry.sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
                node["sha256"].refuse("is not 64 lower-case hexadecimal digits");
            }
            entry.bytes = static_cast<std::uint64_t>(node["bytes"].natural());
            made.files.emplace(path, entry);
            std::string small = path;
            for (char& c : small) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            folded.insert(small);
            for (std::size_t i = small.find('/'); i != std::string::npos; i = small.find('/', i + 1)) folders.insert(small.substr(0, i));
        }
        if (folded.size() != made.files.size()) files.refuse("lists two paths that are one on some systems");
        for (const std::string& folder : folders) {
            if (folded.count(folder) != 0) files.refuse("lists a path that is the folder of another");
        }
        if (folded.count("manifest.json") != 0 || folded.count("manifest.sha256") != 0) files.refuse("lists the manifest or its digest");
    }

    static std::string listed(const json::Node& node, const Manifest& made) {
        const std::string& path = node.text();
        check_path(path, node.where());
        if (made.files.count(path) == 0) node.refuse("is not a listed file");
        return path;
    }

    static std::string folder_of(const std::string& path) {
        const std::size_t slash = path.rfind('/');
        return slash == std::string::npos ? "" : path.substr(0, slash);
    }

    Artifact artifact(const json::Node& node, const Manifest& made) const {
        Artifact a;
        a.role = node["role"].one_of({"encoder", "decoder", "autoencoder"});
        a.format = open_name(node["format"]);
        a.precision = open_name(node["precision"]);
        a.path = listed(node["path"], made);
        a.inputs = tensors(node["inputs"], a.role == "decoder" ? "latent" : "input", true);
        a.outputs = tensors(node["outputs"], a.role == "encoder" ? "latent" : "reconstruction", false);
        a.atol = node["tolerance"]["atol"].number();
        a.rtol = node["tolerance"]["rtol"].number();
        if (a.atol <= 0 || a.rtol < 0) node["tolerance"].refuse("is not atol > 0 and rtol >= 0");
        if (node.has("opset")) node["opset"].natural();
        if (node.has("signature")) a.signature = node["signature"].text();
        if (node.has("snr")) {
            for (const auto& [name, item] : node["snr"].members()) item.number();
        }
        if (node.has("operators")) {
            for (const auto& [name, item] : node["operators"].members()) item.natural(1);
        }
        if (node.has("external_data")) {
            a.external_data = listed(node["external_data"], made);
            if (a.external_data == a.path || folder_of(a.external_data) != folder_of(a.path)) {
                node["external_data"].refuse("is not another file in the graph's folder");
            }
        }
        if (node.has("cases")) {
            for (const json::Node& item : node["cases"].items()) a.cases.push_back(own_case(item, a, made));
            if (a.cases.empty()) node["cases"].refuse("is empty");
        }
        return a;
    }

    static std::vector<TensorSpec> tensors(const json::Node& node, const char* first, bool one) {
        std::vector<TensorSpec> found;
        std::set<std::string> names;
        for (const json::Node& item : node.items()) {
            found.push_back(tensor(item));
            if (!names.insert(found.back().name).second) node.refuse("has a name twice");
        }
        if (found.empty() || found[0].name != first || (one && found.size() > 1)) node.refuse("does not begin as its role says");
        return found;
    }

    static Type type_of(const json::Node& node) {
        const std::string& name = node.one_of({"float32", "float16", "int8", "uint8", "int16", "int32", "int64"});
        static const std::map<std::string, Type> types = {
            {"float32", Type::float32}, {"float16", Type::float16}, {"int8", Type::int8},  {"uint8", Type::uint8},
            {"int16", Type::int16},     {"int32", Type::int32},     {"int64", Type::int64}};
        return types.at(name);
    }

    static TensorSpec tensor(const json::Node& node) {
        TensorSpec spec;
        spec.name = node["name"].text();
        spec.type = type_of(node["dtype"]);
        spec.shape = shape(node["shape"], true);
        if (!node.has("quantization")) return spec;
        const json::Node given = node["quantization"];
        Quantization q;
        q.scale = given["scale"].numbers();
        for (const json::Node& item : given["zero_point"].items()) q.zero_point.push_back(item.integer());
        if (given.has("axis")) q.axis = static_cast<std::size_t>(given["axis"].natural());
        bool sound = !q.scale.empty() && q.scale.size() == q.zero_point.size();
        for (const double scale : q.scale) sound = sound && scale > 0;
        if (!sound) given.refuse("does not fit together");
        const bool along = !q.axis ? q.scale.size() == 1
                                   : *q.axis < spec.shape.size() &&
                                         (spec.shape[*q.axis] == free_size || spec.shape[*q.axis] == static_cast<std::int64_t>(q.scale.size()));
        if (!along) given.refuse("has not one scale, or one for each index of its axis");
        spec.quantization = std::move(q);
        return spec;
    }

    static Shape shape(const json::Node& node, bool may_be_free) {
        Shape sizes;
        for (const json::Node& item : node.items()) {
            sizes.push_back(may_be_free && item.is_null() ? free_size : item.natural(1));
        }
        if (sizes.empty() || sizes.size() > 8) node.refuse("has not 1 to 8 dimensions");
        return sizes;
    }

    static GoldenTensor golden_tensor(const json::Node& node, std::uint64_t size) {
        GoldenTensor t;
        t.shape = shape(node["shape"], false);
        t.type = type_of(node["dtype"]);
        t.offset = static_cast<std::uint64_t>(node["offset"].natural());
        std::uint64_t left = size / bytes_of(t.type), values = 1;
        for (const std::int64_t extent : t.shape) {
            if (static_cast<std::uint64_t>(extent) > left) node.refuse("reaches past the golden file");
            left /= static_cast<std::uint64_t>(extent);
            values *= static_cast<std::uint64_t>(extent);
        }
        t.bytes = values * bytes_of(t.type);
        if (t.bytes > size || t.offset > size - t.bytes) node.refuse("reaches past the golden file");
        return t;
    }

    static std::map<std::string, GoldenTensor> golden_tensors(const json::Node& node, std::uint64_t size) {
        std::map<std::string, GoldenTensor> found;
        for (const auto& [name, item] : node.members()) found.emplace(name, golden_tensor(item, size));
        return found;
    }

    static void refuse_ragged(const json::Node& node, const std::map<std::string, GoldenTensor>& tensors) {
        for (const auto& [name, tensor] : tensors) {
            if (tensor.shape[0] != tensors.begin()->second.shape[0]) node.refuse("disagree in their number of samples");
        }
    }

    // Less than TensorSpec::takes: free dimensions may be too many. The self-test finds those.
    static bool agrees(const TensorSpec& spec, const GoldenTensor& tensor) {
        if (tensor.type != spec.type || tensor.shape.size() > spec.shape.size()) return false;
        for (std::size_t i = 1; i < spec.shape.size(); ++i) {
            if (spec.shape[i] != free_size && (i >= tensor.shape.size() || tensor.shape[i] != spec.shape[i])) return false;
        }
        return true;
    }

    static GoldenCase own_case(const json::Node& node, const Artifact& a, const Manifest& made) {
        const std::uint64_t size = made.files.at(made.golden_path).bytes;
        GoldenCase found{node["name"].text(), golden_tensors(node["tensors"], size)};
        std::size_t matched = 0;
        for (const auto* specs : {&a.inputs, &a.outputs}) {
            for (const TensorSpec& spec : *specs) {
                const auto tensor = found.tensors.find(spec.name);
                if (tensor == found.tensors.end() || !agrees(spec, tensor->second)) node["tensors"].refuse("are not the artifact's");
                ++matched;
            }
        }
        if (matched != found.tensors.size()) node["tensors"].refuse("are not the artifact's");
        refuse_ragged(node["tensors"], found.tensors);
        return found;
    }

    void refuse_twins(const Manifest& made) const {
        std::set<std::string> seen;
        for (const Artifact& a : made.artifacts) {
            if (!seen.insert(a.role + " " + a.format + " " + a.precision).second) {
                root_["artifacts"].refuse("lists a role, format and precision twice");
            }
        }
    }

    static void read_golden(const json::Node& golden, Manifest& made) {
        const std::uint64_t size = made.files.at(made.golden_path).bytes;
        for (const auto& [name, item] : golden["scales"].members()) {
            OutputScale s{item["center"].numbers(), item["scale"].numbers()};
            bool sound = !s.scale.empty() && s.scale.size() == s.center.size();
            for (const double scale : s.scale) sound = sound && scale > 0;
            if (!sound) item.refuse("does not fit together");
            made.scales.emplace(name, std::move(s));
        }
        for (const json::Node& item : golden["cases"].items()) {
            const json::Node tensors = item["tensors"];
            GoldenCase found{item["name"].text(), golden_tensors(tensors, size)};
            if (found.tensors.count("latent") == 0 || found.tensors.count("input") + found.tensors.count("reconstruction") == 0) {
                tensors.refuse("lack latent, or input and reconstruction");
            }
            for (const auto& [name, tensor] : found.tensors) {
                if (name != "input") check_scale(tensors, name, tensor, made);
                check_declared(tensors[name], name, tensor, made);
            }
            refuse_ragged(tensors, found.tensors);
            made.cases.push_back(std::move(found));
        }
        if (made.cases.empty()) golden["cases"].refuse("is empty");
        for (const Artifact& a : made.artifacts) {
            for (const TensorSpec& output : a.outputs) {
                if (!a.cases.empty() && made.scales.count(output.name) == 0) golden["scales"].refuse("has none for " + output.name);
            }
        }
    }

    static void check_scale(const json::Node& node, const std::string& name, const GoldenTensor& tensor, const Manifest& made) {
        const auto found = made.scales.find(name);
        const bool fits = found != made.scales.end() &&
                          (found->second.scale.size() == 1 || static_cast<std::int64_t>(found->second.scale.size()) == tensor.shape.back());
        if (!fits) node.refuse("has " + name + ", which golden.scales does not fit");
    }

    static void check_declared(const json::Node& node, const std::string& name, const GoldenTensor& tensor, const Manifest& made) {
        bool declared = false, agreed = false;
        for (const Artifact& a : made.artifacts) {
            if (!a.cases.empty()) continue;
            for (const auto* specs : {&a.inputs, &a.outputs}) {
                for (const TensorSpec& spec : *specs) {
                    if (spec.name != name) continue;
                    declared = true;
                    agreed = agreed || agrees(spec, tensor);
                }
            }
        }
        if (declared && !agreed) node.refuse("is not what the artifacts say");
    }

    // What this library does not use; checked all the same, for a manifest is sound or it is not.
    void read_the_rest() const {
        const json::Node normalization = root_["normalization"];
        const auto offset = normalization["offset"].numbers(), scale = normalization["scale"].numbers();
        bool sound = !scale.empty() && offset.size() == scale.size();
        for (const double value : scale) sound = sound && value != 0;
        if (!sound) normalization.refuse("does not fit together");
        const json::Node range = root_["input_range"];
        if (range["minimum"].numbers().size() != range["maximum"].numbers().size()) range.refuse("does not fit together");
        for (const auto& [name, item] : root_["parameters"].members()) item.natural();
        for (const auto& [name, item] : root_["created_with"].members()) item.text();
        if (root_.has("latent_prior")) open_name(root_["latent_prior"]);
        if (root_.has("tokenizer")) check_tokenizer(root_["tokenizer"]);
    }

    static void check_tokenizer(const json::Node& node) {
        if (node["rule"].text() != "longest-match") node["rule"].refuse("is unknown");
        node["length"].natural(1);
        const std::int64_t pad = node["pad"].natural();
        const std::vector<json::Node> entries = node["entries"].items();
        if (entries.size() > (std::size_t{1} << 20) || pad >= static_cast<std::int64_t>(entries.size())) node.refuse("does not fit together");
        std::set<std::string> seen;
        std::size_t single = 0;
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const std::string& text = entries[i].text();
            const bool digits = text.size() % 2 == 0 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
            if (!digits || text.empty() != (static_cast<std::int64_t>(i) == pad) || !seen.insert(text).second) {
                entries[i].refuse("is no entry of a tokenizer");
            }
            single += text.size() == 2 ? 1 : 0;
        }
        if (single != 256) node["entries"].refuse("lacks a single byte");
    }

    json::Node root_;
};

}  // namespace detail

inline Manifest parse_manifest(std::string_view text, const std::string& where) {
    const json::Value value = json::parse(text, where);
    return detail::ManifestReader(json::Node(value, where)).read();
}

}  // namespace aetool

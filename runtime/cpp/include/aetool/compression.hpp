// What a bundle brings for compression (BITSTREAM.md, sections 1 to 4), read strictly.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "aetool/bundle.hpp"
#include "aetool/entropy.hpp"
#include "aetool/integer_decoder.hpp"
#include "aetool/json.hpp"

namespace aetool {

struct Quality {
    std::vector<std::int32_t> step;
    double rounding = 0.5, rmse = 0;  // rmse: raw units, on held-out data; 0 when it is not told
    std::size_t model = 0;
};

// Latents ↔ symbols → samples.
struct Codec {
    std::string name;
    bool adjoint = false;  // its encoder is the transpose of its one linear step; else the bundle's encoder artifact
    Sizes latent_shape;    // without the batch; -1: free
    Sizes downsampling;
    std::vector<double> unit;
    std::vector<std::int32_t> center;
    std::vector<Quality> qualities;
    IntegerDecoder decoder;

    std::size_t channels() const noexcept { return unit.size(); }

    // The sizes of a latent for samples of these sizes; refused where they do not go together.
    Sizes latent_of(const Sizes& sample, Refusal refusal) const {
        Sizes sizes = latent_shape;
        for (std::size_t i = 0; i < sizes.size(); ++i) {
            if (sizes[i] != free_size) continue;
            if (i >= sample.size() || sample[i] % downsampling[i] != 0) throw Error(refusal, "samples of another size than the codec " + name + " takes");
            sizes[i] = sample[i] / downsampling[i];
        }
        if (decoder.sizes_at(decoder.output_shape(), sizes) != sample) throw Error(refusal, "samples of another size than the codec " + name + " takes");
        return sizes;
    }

    // Symbols of one sample → the decoder's output.
    std::vector<std::int32_t> decode(const std::int32_t* symbols, const Sizes& latent, const Quality& quality) const {
        std::size_t count = 1;
        for (const std::int64_t size : latent) count *= static_cast<std::size_t>(size);
        std::vector<std::int32_t> input(count);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t c = i % channels();
            const std::int64_t value = static_cast<std::int64_t>(symbols[i]) * quality.step[c] + center[c];
            input[i] = static_cast<std::int32_t>(std::min<std::int64_t>(std::max<std::int64_t>(value, -32768), 32767));
        }
        return decoder.run(std::move(input), latent);
    }
};

struct Compression {
    Sizes sample_shape;  // without the batch; -1: free
    double output_unit = 1;
    std::int64_t multiplier = 1;
    unsigned shift = 0;
    std::size_t residual = 0;
    Coder coder;
    std::vector<Codec> codecs;
};

namespace detail {

class CompressionReader {
public:
    CompressionReader(const json::Node& root, const Bytes& data) : root_(root), data_(data) {}

    static void check_version(const json::Node& root) {
        if (root["version"].integer() != 1) root["version"].refuse("is not 1: update aetool", Refusal::version);
    }

    Compression read() {
        check_version(root_);
        Compression made;
        made.sample_shape = shape(root_["sample_shape"], true);
        std::vector<EntropyTable> tables;
        for (const json::Node& node : root_["tables"].items()) tables.push_back(table(node));
        std::vector<EntropyModel> models;
        for (const json::Node& node : root_["models"].items()) models.push_back(model(node, tables));
        made.residual = static_cast<std::size_t>(root_["residual"].integer(0, static_cast<std::int64_t>(models.size()) - 1));
        if (models[made.residual].neighbors || models[made.residual].channels != 1) root_["residual"].refuse("is a model of another kind");
        made.output_unit = positive(root_["output_unit"]);
        made.multiplier = root_["integer"]["multiplier"].integer(1, most_multiplier);
        made.shift = static_cast<unsigned>(root_["integer"]["shift"].integer(0, 40));
        const std::vector<json::Node> codecs = root_["codecs"].items();
        if (codecs.size() > 14) root_["codecs"].refuse("has more than 14 codecs");
        for (const json::Node& node : codecs) made.codecs.push_back(codec(node, made.sample_shape, models));
        made.coder = Coder(std::move(tables), std::move(models));
        return made;
    }

private:
    static constexpr std::int64_t most_multiplier = (1 << 21) - 1, limit = std::int64_t{1} << 31;

    struct View {
        std::string dtype;
        Sizes shape;
        const std::uint8_t* data = nullptr;
        std::size_t count = 0;
    };

    static std::size_t bytes_of(const std::string& dtype) { return dtype == "int8" || dtype == "uint8" ? 1 : dtype == "int16" || dtype == "uint16" ? 2 : 4; }

    View array(const json::Node& node) const {
        View view;
        view.dtype = node["dtype"].one_of({"int8", "uint8", "int16", "uint16", "int32", "uint32"});
        const std::size_t width = bytes_of(view.dtype);
        view.count = 1;
        for (const json::Node& size : node["shape"].items()) {
            const std::int64_t extent = size.natural(1);
            view.shape.push_back(extent);
            if (static_cast<std::uint64_t>(extent) > data_.size() / view.count) node.refuse("reaches past the data file");
            view.count *= static_cast<std::size_t>(extent);
        }
        if (view.shape.empty() || view.shape.size() > 8) node["shape"].refuse("has not 1 to 8 sizes");
        const std::int64_t offset = node["offset"].natural();
        const std::uint64_t bytes = static_cast<std::uint64_t>(view.count) * width;
        if (bytes > data_.size() || static_cast<std::uint64_t>(offset) > data_.size() - bytes) node.refuse("reaches past the data file");
        view.data = data_.data() + offset;
        return view;
    }

    template <class T>
    static std::vector<T> values(const View& view) {
        std::vector<T> read(view.count);
        for (std::size_t i = 0; i < view.count; ++i) {
            const std::uint8_t* at = view.data + i * bytes_of(view.dtype);
            std::int64_t value = 0;
            if (view.dtype == "int8") value = static_cast<std::int8_t>(*at);
            if (view.dtype == "uint8") value = *at;
            if (view.dtype == "int16") value = static_cast<std::int16_t>(little16(at));
            if (view.dtype == "uint16") value = little16(at);
            if (view.dtype == "int32") value = static_cast<std::int32_t>(little32(at));
            if (view.dtype == "uint32") value = little32(at);
            read[i] = static_cast<T>(value);
        }
        return read;
    }

    // An array of that type, one dimension; `count` 0: of any length.
    template <class T>
    std::vector<T> vector(const json::Node& node, const char* dtype, std::size_t count) const {
        const View view = array(node);
        if (view.dtype != dtype || view.shape.size() != 1 || (count != 0 && view.count != count)) node.refuse("is not " + std::string(dtype) + " of that length");
        return values<T>(view);
    }

    static Sizes shape(const json::Node& node, bool may_be_free) {
        Sizes sizes;
        for (const json::Node& item : node.items()) sizes.push_back(may_be_free && item.is_null() ? free_size : item.natural(1));
        if (sizes.empty() || sizes.size() > 7) node.refuse("has not 1 to 7 sizes");
        return sizes;
    }

    static double positive(const json::Node& node) {
        const double value = node.number();
        if (value <= 0) node.refuse("is not > 0");
        return value;
    }

    EntropyTable table(const json::Node& node) const {
        const std::vector<std::uint32_t> frequencies = vector<std::uint32_t>(node["frequencies"], "uint16", 0);
        std::uint64_t sum = 0;
        for (const std::uint32_t frequency : frequencies) {
            sum += frequency;
            if (frequency == 0) node["frequencies"].refuse("has a 0");
        }
        if (frequencies.size() < 2 || frequencies.size() > 4096 || sum != precision_total) node["frequencies"].refuse("has not 2 to 4096 entries of the sum 2^14");
        const std::int64_t low = node["low"].integer(-limit, limit - 1);
        if (low + static_cast<std::int64_t>(frequencies.size()) - 2 >= limit) node["low"].refuse("is too large");
        return EntropyTable(low, frequencies);
    }

    EntropyModel model(const json::Node& node, const std::vector<EntropyTable>& tables) const {
        EntropyModel made;
        made.neighbors = node["kind"].one_of({"sets", "neighbors"}) == "neighbors";
        made.channels = static_cast<std::size_t>(node["channels"].integer(1, 65536));
        const View map = array(node["map"]);
        if (map.dtype != "uint16" || map.shape.size() != 2 || static_cast<std::size_t>(map.shape[1]) != made.channels || map.shape[0] > 256) {
            node["map"].refuse("is not uint16 [sets, channels]");
        }
        made.map = values<std::uint16_t>(map);
        made.sets = static_cast<std::size_t>(map.shape[0]);
        for (const std::uint16_t index : made.map) {
            if (index >= tables.size()) node["map"].refuse("names an unknown table");
        }
        if (made.neighbors) {
            if (node.has("raw_bits")) node["raw_bits"].refuse("is given for the kind neighbors");
            if (made.sets > 1) made.thresholds = vector<std::uint32_t>(node["thresholds"], "uint32", made.sets - 1);
            if (!std::is_sorted(made.thresholds.begin(), made.thresholds.end())) node["thresholds"].refuse("is not sorted");
            return made;
        }
        if (node.has("raw_bits")) {
            made.raw_bits = vector<std::uint8_t>(node["raw_bits"], "uint8", made.sets);
            for (const std::uint8_t bits : made.raw_bits) {
                if (bits > 24) node["raw_bits"].refuse("has more than 24");
            }
        }
        made.positions = static_cast<std::size_t>(node["positions"].natural(1));
        if (made.sets > 1) {
            made.selectors = vector<std::uint16_t>(node["selectors"], "uint16", made.sets);
            for (const std::uint16_t index : made.selectors) {
                if (index >= tables.size() || tables[index].low != 0 || tables[index].frequency.size() != made.sets + 1) {
                    node["selectors"].refuse("names a table that does not code a set");
                }
            }
        }
        return made;
    }

    Codec codec(const json::Node& node, const Sizes& sample_shape, const std::vector<EntropyModel>& models) const {
        Codec made;
        made.name = open_name(node["name"]);
        made.adjoint = node["encoder"].one_of({"artifact", "adjoint"}) == "adjoint";
        made.latent_shape = shape(node["latent_shape"], true);
        if (made.latent_shape.back() == free_size) node["latent_shape"].refuse("ends with null");
        const auto channels = static_cast<std::size_t>(made.latent_shape.back());
        const bool has_free = std::find(made.latent_shape.begin(), made.latent_shape.end(), free_size) != made.latent_shape.end();
        if (node.has("downsampling")) {
            for (const json::Node& item : node["downsampling"].items()) made.downsampling.push_back(item.natural(1));
            if (made.downsampling.size() != made.latent_shape.size()) node["downsampling"].refuse("has another number of factors");
        } else if (has_free) {
            node.refuse("has no 'downsampling'");
        }
        for (std::size_t i = 0; i < made.latent_shape.size(); ++i) {
            if (made.latent_shape[i] == free_size && i >= sample_shape.size()) node["latent_shape"].refuse("is free where samples have no size");
        }
        for (const json::Node& item : node["unit"].items()) made.unit.push_back(positive(item));
        if (made.unit.size() != channels) node["unit"].refuse("has not one number for each channel");
        made.center = vector<std::int32_t>(node["center"], "int32", channels);
        for (const std::int32_t value : made.center) {
            if (value <= -32768 || value >= 32768) node["center"].refuse("has a value out of range");
        }
        for (const json::Node& item : node["qualities"].items()) made.qualities.push_back(quality(item, models, channels));
        if (made.qualities.empty() || made.qualities.size() > 64) node["qualities"].refuse("has not 1 to 64 qualities");
        std::vector<Step> steps;
        for (const json::Node& item : node["steps"].items()) steps.push_back(step(item));
        if (made.adjoint && !is_linear(steps)) node["encoder"].refuse("is adjoint of other steps than one linear one");
        FreeShape latent;
        for (const std::int64_t size : made.latent_shape) latent.push_back(size == free_size ? Size{1, 0} : Size{0, size});
        made.decoder = IntegerDecoder(std::move(steps), std::move(latent), node.where() + ": " + made.name);
        check_output(node, made, sample_shape);
        return made;
    }

    static void check_output(const json::Node& node, const Codec& made, const Sizes& sample_shape) {
        FreeShape wanted;
        for (std::size_t i = 0; i < sample_shape.size(); ++i) {
            const std::int64_t factor = i < made.downsampling.size() ? made.downsampling[i] : 1;
            wanted.push_back(sample_shape[i] == free_size ? Size{factor, 0} : Size{0, sample_shape[i]});
        }
        if (!(made.decoder.output_shape() == wanted)) node["steps"].refuse("return samples of another shape");
    }

    Quality quality(const json::Node& node, const std::vector<EntropyModel>& models, std::size_t channels) const {
        Quality made;
        made.step = vector<std::int32_t>(node["step"], "int32", channels);
        for (const std::int32_t value : made.step) {
            if (value < 1 || value > 65535) node["step"].refuse("has a value out of range");
        }
        made.rounding = node["rounding"].number();
        made.model = static_cast<std::size_t>(node["model"].integer(0, static_cast<std::int64_t>(models.size()) - 1));
        if (models[made.model].channels != channels) node["model"].refuse("has another number of channels");
        if (node.has("rmse")) made.rmse = node["rmse"].number();
        if (node.has("bits")) node["bits"].number();
        return made;
    }

    static bool is_linear(const std::vector<Step>& steps) {
        if (steps.empty()) return false;
        const Step& first = steps[0];
        if (first.op != Step::Op::dense && !(first.op == Step::Op::conv_transposed && first.kernel == first.stride)) return false;
        return std::all_of(steps.begin() + 1, steps.end(), [](const Step& s) { return s.op == Step::Op::reshape || s.op == Step::Op::crop; });
    }

    Step step(const json::Node& node) const {
        Step made;
        const std::string& op = node["op"].one_of({"dense", "conv", "conv_transposed", "table", "rescale", "add", "upsample", "reshape", "crop", "concatenate"});
        for (const json::Node& item : node["inputs"].items()) made.inputs.push_back(static_cast<std::size_t>(item.natural()));
        const std::vector<json::Node> range = node["range"].items();
        if (range.size() != 2) node["range"].refuse("has not two values");
        made.low = range[0].integer(1 - limit, limit - 1);
        made.high = range[1].integer(made.low, limit - 1);
        if (op == "dense" || op == "conv" || op == "conv_transposed") kernel(node, op, made);
        if (op == "table") {
            made.op = Step::Op::table;
            const View view = array(node["values"]);
            if (view.shape.size() != 1 || (view.dtype != "int16" && view.dtype != "int32")) node["values"].refuse("is not int16 or int32");
            made.values = values<std::int32_t>(view);
        }
        if (op == "rescale") {
            made.op = Step::Op::rescale;
            rescaling(node, made, 0);
            made.bias = vector<std::int32_t>(node["bias"], "int32", made.multiplier.size());
        }
        if (op == "add") {
            made.op = Step::Op::add;
            const std::vector<json::Node> multipliers = node["multipliers"].items();
            if (multipliers.size() != 2) node["multipliers"].refuse("has not two values");
            made.added = {multipliers[0].integer(1, 1 << 20), multipliers[1].integer(1, 1 << 20)};
            made.added_shift = static_cast<unsigned>(node["shift"].integer(0, 40));
        }
        if (op == "upsample" || op == "reshape") {
            made.op = op == "upsample" ? Step::Op::upsample : Step::Op::reshape;
            for (const json::Node& item : node[op == "upsample" ? "factors" : "shape"].items()) {
                made.sizes.push_back(item.integer(1, std::int64_t{1} << 28));
            }
        }
        if (op == "crop") {
            made.op = Step::Op::crop;
            made.margins = margins(node["crop"]);
        }
        if (op == "concatenate") made.op = Step::Op::concatenate;
        return made;
    }

    void rescaling(const json::Node& node, Step& made, std::size_t channels) const {
        made.multiplier = vector<std::int32_t>(node["multiplier"], "int32", channels);
        made.shift = vector<std::uint8_t>(node["shift"], "uint8", made.multiplier.size());
        for (const std::int32_t value : made.multiplier) {
            if (value < 1 || value > most_multiplier) node["multiplier"].refuse("has a value out of range");
        }
        for (const std::uint8_t value : made.shift) {
            if (value > 40) node["shift"].refuse("has a value out of range");
        }
    }

    void kernel(const json::Node& node, const std::string& op, Step& made) const {
        const View weights = array(node["weights"]);
        const std::size_t rank = weights.shape.size();
        made.op = op == "dense" ? Step::Op::dense : op == "conv" ? Step::Op::conv : Step::Op::conv_transposed;
        const bool fits = made.op == Step::Op::dense ? rank == 2 : rank == 3 || rank == 4;
        if ((weights.dtype != "int8" && weights.dtype != "int16") || !fits) node["weights"].refuse("is not a kernel of int8 or int16");
        made.in = static_cast<std::size_t>(weights.shape[rank - 2]);
        made.out = static_cast<std::size_t>(weights.shape[rank - 1]);
        made.kernel.assign(weights.shape.begin(), weights.shape.end() - 2);
        made.weights = values<std::int16_t>(weights);
        made.bias = vector<std::int32_t>(node["bias"], "int32", made.out);
        rescaling(node, made, made.out);
        if (made.op == Step::Op::dense) return;
        for (const json::Node& item : node["stride"].items()) made.stride.push_back(item.integer(1, std::int64_t{1} << 28));
        made.margins = margins(node[made.op == Step::Op::conv ? "padding" : "crop"]);
        if (made.stride.size() != rank - 2 || made.margins.size() != rank - 2) node.refuse("has another number of strides or margins");
    }

    static std::vector<std::pair<std::int64_t, std::int64_t>> margins(const json::Node& node) {
        std::vector<std::pair<std::int64_t, std::int64_t>> found;
        for (const json::Node& item : node.items()) {
            const std::vector<json::Node> pair = item.items();
            if (pair.size() != 2) item.refuse("has not two values");
            found.emplace_back(pair[0].integer(0, limit - 1), pair[1].integer(0, limit - 1));
        }
        return found;
    }

    json::Node root_;
    const Bytes& data_;
};

}  // namespace detail

// Throws usage where the bundle brings nothing, manifest and version where it breaks the format.
inline Compression read_compression(const Bundle& bundle) {
    const std::string& path = bundle.manifest().compression;
    if (path.empty()) throw Error(Refusal::usage, "the bundle cannot compress: it brings no entropy tables");
    const Bytes text = bundle.read(path);
    const json::Value value = json::parse(std::string_view(reinterpret_cast<const char*>(text.data()), text.size()), path);
    const json::Node root(value, path);
    detail::CompressionReader::check_version(root);
    const std::string& data = root["data"].text();
    detail::check_path(data, path);
    if (bundle.manifest().files.count(data) == 0) root["data"].refuse("is not a listed file");
    const Bytes arrays = bundle.read(data);
    return detail::CompressionReader(root, arrays).read();
}

}  // namespace aetool

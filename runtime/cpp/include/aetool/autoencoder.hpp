// A bundle's encoder and decoder as functions on arrays, and the self-test.
#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "aetool/bundle.hpp"
#include "aetool/elements.hpp"
#include "aetool/onnx_scan.hpp"
#include "aetool/onnxruntime.hpp"
#include "aetool/ort_scan.hpp"

namespace aetool {

// How one output of one artifact compares with its golden vectors (FORMAT.md, section 5).
struct Check {
    std::string artifact, tensor, golden_case;
    double worst = 0;  // share of what is allowed: above 1 it fails
    bool passed = false;
    std::string error;  // why it could not run
};

class Autoencoder {
public:
    struct Options {
        std::string precision;    // empty: float32, or where there is none, the bundle's first
        int threads = 1;          // of one call
        std::string onnxruntime;  // its library's file; see OnnxRuntime::load
    };

    static Autoencoder open(const std::filesystem::path& path) { return open(path, Options()); }
    static Autoencoder open(const std::filesystem::path& path, Options options) {
        return Autoencoder(std::make_shared<const Bundle>(Bundle::open(path)), std::move(options));
    }
    Autoencoder(std::shared_ptr<const Bundle> bundle, Options options)
        : state_(std::make_unique<State>()), bundle_(std::move(bundle)), options_(std::move(options)) {}

    const Bundle& bundle() const noexcept { return *bundle_; }

    // The shape of one sample, or of what stands for it, without the batch; -1: any size.
    Shape input_shape() const { return sample_shape(session("encoder").artifact().inputs[0]); }
    Shape latent_shape() const { return sample_shape(session("encoder").artifact().outputs[0]); }
    std::size_t input_size() const { return product(input_shape()); }
    std::size_t latent_size() const { return product(latent_shape()); }

    // Raw values in, raw values out: [batch, input_size] → [batch, latent_size] and back; C order.
    std::vector<float> encode(const float* samples, std::size_t batch) const { return run("encoder", samples, batch); }
    std::vector<float> decode(const float* latents, std::size_t batch) const { return run("decoder", latents, batch); }
    std::vector<float> reconstruct(const float* samples, std::size_t batch) const { return run("autoencoder", samples, batch); }
    std::vector<float> encode(const std::vector<float>& samples) const { return encode(samples.data(), batch_of("encoder", samples.size())); }
    std::vector<float> decode(const std::vector<float>& latents) const { return decode(latents.data(), batch_of("decoder", latents.size())); }

    // The same without a copy or an allocation of ours: `out` has room for the whole result. Float32 graphs only.
    void encode_into(const float* samples, std::size_t batch, float* out) const { run_into("encoder", samples, batch, out); }
    void decode_into(const float* latents, std::size_t batch, float* out) const { run_into("decoder", latents, batch, out); }

    // Any types and shapes, as the graph has them: all outputs of "encoder", "decoder" or "autoencoder".
    std::vector<Array> run(const std::string& role, const Array& input) const {
        const Session& graph = session(role);
        const TensorSpec& spec = graph.artifact().inputs[0];
        if (!spec.takes(input.type, input.shape)) throw Error(Refusal::input, "the input has another type or shape than " + spec.name);
        return graph.run(input.type, input.shape, input.data.data());
    }

    // Every ONNX artifact against its golden vectors: what `aetool verify` does, on this device.
    std::vector<Check> self_test() const {
        std::vector<Check> checks;
        const Bytes golden = bundle_->read(bundle_->manifest().golden_path);
        for (const Artifact& artifact : bundle_->manifest().artifacts) {
            if (!runs(artifact)) continue;
            const std::size_t before = checks.size();
            try {
                const Session graph = load(artifact);
                const auto& cases = artifact.cases.empty() ? bundle_->manifest().cases : artifact.cases;
                for (const GoldenCase& given : cases) try_case(graph, given, golden, checks);
                if (checks.size() == before) checks.push_back({title(artifact), "", "", 0, false, "no golden case applies"});
            } catch (const Error& error) {
                checks.push_back({title(artifact), "", "", 0, false, error.what()});
            }
        }
        return checks;
    }

private:
    struct State {
        std::mutex lock;
        std::map<std::string, std::unique_ptr<Session>> sessions;
    };

    static std::string title(const Artifact& artifact) { return artifact.role + " " + artifact.format + " " + artifact.precision; }
    static bool runs(const Artifact& artifact) { return (artifact.format == "onnx" || artifact.format == "ort") && artifact.external_data.empty(); }

    static Shape sample_shape(const TensorSpec& spec) { return Shape(spec.shape.begin() + 1, spec.shape.end()); }
    static std::size_t product(const Shape& shape) {
        std::size_t values = 1;
        for (const std::int64_t size : shape) {
            if (size == free_size) throw Error(Refusal::usage, "a free size: give arrays with their shapes, to run()");
            values *= static_cast<std::size_t>(size);
        }
        return values;
    }

    const Artifact& artifact(const std::string& role) const {
        const Manifest& manifest = bundle_->manifest();
        std::string precision = options_.precision;
        if (precision.empty()) {
            precision = manifest.artifacts[0].precision;
            for (const Artifact& a : manifest.artifacts) precision = a.precision == "float32" ? a.precision : precision;
        }
        for (const Artifact& a : manifest.artifacts) {
            if (a.role == role && a.precision == precision && runs(a)) return a;
        }
        throw Error(Refusal::usage, "the bundle has no ONNX " + role + " of precision " + precision);
    }

    Session load(const Artifact& artifact) const {
        const Bytes graph = bundle_->read(artifact.path);
        if (artifact.format == "ort") {
            refuse_tensors_elsewhere(graph, artifact.path);
        } else {
            refuse_external_data(graph, artifact.path);
        }
        return Session(OnnxRuntime::load(options_.onnxruntime), graph, artifact, options_.threads);
    }

    // Loaded when it is first used, so a device that only encodes never loads the decoder.
    const Session& session(const std::string& role) const {
        const std::lock_guard<std::mutex> guard(state_->lock);
        auto& held = state_->sessions[role];
        if (!held) held = std::make_unique<Session>(load(artifact(role)));
        return *held;
    }

    std::size_t batch_of(const std::string& role, std::size_t values) const {
        const std::size_t size = product(sample_shape(session(role).artifact().inputs[0]));
        if (values % size != 0) throw Error(Refusal::input, std::to_string(values) + " values are no multiple of " + std::to_string(size));
        return values / size;
    }

    static Shape batched(const TensorSpec& spec, std::size_t batch) {
        Shape shape = spec.shape;
        shape[0] = static_cast<std::int64_t>(batch);
        return shape;
    }

    std::vector<float> run(const std::string& role, const float* values, std::size_t batch) const {
        const Session& graph = session(role);
        const Artifact& artifact = graph.artifact();
        std::vector<float> out(product(sample_shape(artifact.outputs[0])) * batch);
        if (batch == 0) return out;
        if (artifact.inputs[0].type == Type::float32 && artifact.outputs[0].type == Type::float32) {
            graph.run_into(batched(artifact.inputs[0], batch), values, batched(artifact.outputs[0], batch), out.data());
            return out;
        }
        Array input{artifact.inputs[0].type, batched(artifact.inputs[0], batch), {}};
        detail::store(artifact.inputs[0], values, product(sample_shape(artifact.inputs[0])) * batch, input.data);
        const Array output = graph.run(input.type, input.shape, input.data.data())[0];
        const std::vector<double> real = detail::real_values(artifact.outputs[0], output.shape, output.data.data(), output.values());
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(real[i]);
        return out;
    }

    void run_into(const std::string& role, const float* values, std::size_t batch, float* out) const {
        const Session& graph = session(role);
        const Artifact& artifact = graph.artifact();
        if (artifact.inputs[0].type != Type::float32 || artifact.outputs[0].type != Type::float32) {
            throw Error(Refusal::usage, "the graph does not take and return float32");
        }
        if (batch > 0) graph.run_into(batched(artifact.inputs[0], batch), values, batched(artifact.outputs[0], batch), out);
    }

    void try_case(const Session& graph, const GoldenCase& given, const Bytes& golden, std::vector<Check>& checks) const {
        const Artifact& artifact = graph.artifact();
        const auto input = given.tensors.find(artifact.inputs[0].name);
        bool applies = input != given.tensors.end();
        for (const TensorSpec& output : artifact.outputs) applies = applies && given.tensors.count(output.name) != 0;
        if (!applies) return;
        if (!artifact.inputs[0].takes(input->second.type, input->second.shape)) throw Error(Refusal::unavailable, "a golden input has another shape");
        const Bytes aligned(golden.begin() + static_cast<std::ptrdiff_t>(input->second.offset),
                            golden.begin() + static_cast<std::ptrdiff_t>(input->second.offset + input->second.bytes));
        const std::vector<Array> outputs = graph.run(input->second.type, input->second.shape, aligned.data());
        for (std::size_t i = 0; i < outputs.size(); ++i) {
            const TensorSpec& spec = artifact.outputs[i];
            checks.push_back(compare(artifact, spec, given, given.tensors.at(spec.name), golden, outputs[i]));
        }
    }

    Check compare(const Artifact& artifact, const TensorSpec& spec, const GoldenCase& given, const GoldenTensor& wanted, const Bytes& golden,
                  const Array& met) const {
        Check check{title(artifact), spec.name, given.name, 0, false, ""};
        if (wanted.type != met.type || wanted.shape != met.shape) {
            check.error = "another type or shape came out";
            return check;
        }
        const std::size_t count = met.values();
        const std::vector<double> e = detail::real_values(spec, wanted.shape, golden.data() + wanted.offset, count);
        const std::vector<double> a = detail::real_values(spec, met.shape, met.data.data(), count);
        const OutputScale& unit = bundle_->manifest().scales.at(spec.name);
        const std::size_t samples = static_cast<std::size_t>(met.shape[0]), size = count / samples, channels = unit.scale.size();
        check.passed = true;
        for (std::size_t sample = 0; sample < samples; ++sample) {
            double squares = 0;
            const auto distance = [&](std::size_t i) { return (e[i] - unit.center[i % channels]) / unit.scale[i % channels]; };
            for (std::size_t i = sample * size; i < (sample + 1) * size; ++i) squares += distance(i) * distance(i);
            const double r = std::fmax(1.0, std::sqrt(squares / static_cast<double>(size)));
            for (std::size_t i = sample * size; i < (sample + 1) * size; ++i) {
                const double allowed = unit.scale[i % channels] * (artifact.atol * r + artifact.rtol * std::fabs(distance(i))) +
                                       4 * std::ldexp(1.0, -23) * std::fabs(e[i]);
                const double share = std::fabs(a[i] - e[i]) / allowed;
                check.passed = check.passed && share <= 1;  // NaN is not
                check.worst = share > check.worst || std::isnan(share) ? share : check.worst;
            }
        }
        return check;
    }

    std::unique_ptr<State> state_;
    std::shared_ptr<const Bundle> bundle_;
    Options options_;
};

}  // namespace aetool

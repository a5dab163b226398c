// ONNX Runtime, taken from the host while the program runs: found with dlopen and asked for a version of its C API that
// every release since 1.16 has, so that one binary runs with several releases. Compiling needs the host's
// <onnxruntime_c_api.h>, 1.16 or newer; linking needs nothing of it.
#pragma once

#include <onnxruntime_c_api.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "aetool/error.hpp"
#include "aetool/manifest.hpp"

namespace aetool {

constexpr std::uint32_t ort_api_version = 16;

// The library, loaded once for a process; it stays loaded, since its threads may outlive any session.
class OnnxRuntime {
public:
    // `path`: the library's file; empty for the environment variable AETOOL_ONNXRUNTIME, else the system's own.
    // The first call decides; later ones get the same library.
    static const OnnxRuntime& load(const std::string& path = "") {
        static const OnnxRuntime library(path);
        return library;
    }

    const OrtApi& api() const noexcept { return *api_; }
    OrtEnv* environment() const noexcept { return environment_; }
    const std::string& version() const noexcept { return version_; }

    void check(OrtStatus* status, const std::string& where) const {
        if (status == nullptr) return;
        const std::string message = api_->GetErrorMessage(status);
        api_->ReleaseStatus(status);
        throw Error(Refusal::unavailable, "ONNX Runtime " + version_ + ": " + message, where);
    }

private:
    explicit OnnxRuntime(const std::string& given) {
        const char* variable = std::getenv("AETOOL_ONNXRUNTIME");
        const std::string path = !given.empty() ? given : variable != nullptr ? variable : default_name();
        const auto base = reinterpret_cast<const OrtApiBase*(ORT_API_CALL*)()>(entry(path));
        version_ = base()->GetVersionString();
        api_ = base()->GetApi(ort_api_version);
        if (api_ == nullptr) throw Error(Refusal::unavailable, "ONNX Runtime " + version_ + " is too old: 1.16 or newer is needed", path);
        check(api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "aetool", &environment_), path);
        check(api_->DisableTelemetryEvents(environment_), path);
    }

    static const char* default_name() {
#if defined(_WIN32)
        return "onnxruntime.dll";
#elif defined(__APPLE__)
        return "libonnxruntime.dylib";
#else
        return "libonnxruntime.so";
#endif
    }

    static void* entry(const std::string& path) {
#ifdef _WIN32
        HMODULE library = LoadLibraryA(path.c_str());
        void* found = library != nullptr ? reinterpret_cast<void*>(GetProcAddress(library, "OrtGetApiBase")) : nullptr;
        const std::string reason = found == nullptr ? "error " + std::to_string(GetLastError()) : "";
#else
        void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        void* found = library != nullptr ? dlsym(library, "OrtGetApiBase") : nullptr;
        const char* told = found == nullptr ? dlerror() : nullptr;
        const std::string reason = told != nullptr ? told : "";
#endif
        if (found == nullptr) {
            throw Error(Refusal::unavailable, "no ONNX Runtime: " + reason + "; name its file in AETOOL_ONNXRUNTIME or OnnxRuntime::load", path);
        }
        return found;
    }

    const OrtApi* api_ = nullptr;
    OrtEnv* environment_ = nullptr;
    std::string version_;
};

// An array of any type, C order; owns its bytes.
struct Array {
    Type type = Type::float32;
    Shape shape;
    Bytes data;

    std::size_t values() const { return data.size() / bytes_of(type); }
};

// A graph, loaded. run() may be called by several threads at once.
class Session {
public:
    Session(const OnnxRuntime& library, const Bytes& graph, const Artifact& artifact, int threads)
        : library_(&library), artifact_(&artifact) {
        const OrtApi& api = library.api();
        const std::string& where = artifact.path;
        OrtSessionOptions* options = nullptr;
        library.check(api.CreateSessionOptions(&options), where);
        const std::unique_ptr<OrtSessionOptions, void (*)(OrtSessionOptions*)> owned(options, api.ReleaseSessionOptions);
        library.check(api.SetIntraOpNumThreads(options, threads), where);
        library.check(api.SetInterOpNumThreads(options, 1), where);
        library.check(api.AddSessionConfigEntry(options, "session.load_model_format", artifact.format == "ort" ? "ORT" : "ONNX"), where);
        OrtSession* session = nullptr;
        library.check(api.CreateSessionFromArray(library.environment(), graph.data(), graph.size(), options, &session), where);
        session_ = {session, api.ReleaseSession};
        OrtMemoryInfo* memory = nullptr;
        library.check(api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory), where);
        memory_ = {memory, api.ReleaseMemoryInfo};
        for (const TensorSpec& output : artifact.outputs) names_.push_back(output.name.c_str());
    }

    const Artifact& artifact() const noexcept { return *artifact_; }

    // All outputs, in the artifact's order. `input` is read where it lies.
    std::vector<Array> run(Type type, const Shape& shape, const void* input) const {
        const Value given = borrow(type, shape, const_cast<void*>(input));  // ONNX Runtime only reads it
        const OrtValue* feed = given.get();
        const char* name = artifact_->inputs[0].name.c_str();
        std::vector<OrtValue*> raw(names_.size(), nullptr);
        OrtStatus* status = library_->api().Run(session_.get(), nullptr, &name, &feed, 1, names_.data(), names_.size(), raw.data());
        std::vector<Value> owned;
        for (OrtValue* value : raw) owned.emplace_back(value, library_->api().ReleaseValue);
        library_->check(status, artifact_->path);
        std::vector<Array> outputs;
        for (std::size_t i = 0; i < owned.size(); ++i) outputs.push_back(copy(owned[i].get(), artifact_->outputs[i]));
        return outputs;
    }

    // The first output, written to `output`, which is of the given shape and of the artifact's type. Nothing is copied.
    void run_into(const Shape& shape, const void* input, const Shape& output_shape, void* output) const {
        const Value given = borrow(artifact_->inputs[0].type, shape, const_cast<void*>(input));
        const Value wanted = borrow(artifact_->outputs[0].type, output_shape, output);
        const OrtValue* feed = given.get();
        OrtValue* result = wanted.get();
        const char* name = artifact_->inputs[0].name.c_str();
        library_->check(library_->api().Run(session_.get(), nullptr, &name, &feed, 1, names_.data(), 1, &result), artifact_->path);
    }

private:
    using Value = std::unique_ptr<OrtValue, void (*)(OrtValue*)>;

    static ONNXTensorElementDataType element(Type type) {
        switch (type) {
            case Type::float32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
            case Type::float16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
            case Type::int8: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
            case Type::uint8: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
            case Type::int16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16;
            case Type::int32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
            case Type::int64: break;
        }
        return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    }

    Value borrow(Type type, const Shape& shape, void* data) const {
        std::size_t bytes = bytes_of(type);
        for (const std::int64_t size : shape) bytes *= static_cast<std::size_t>(size);
        OrtValue* value = nullptr;
        library_->check(library_->api().CreateTensorWithDataAsOrtValue(memory_.get(), data, bytes, shape.data(), shape.size(), element(type), &value),
                        artifact_->path);
        return Value(value, library_->api().ReleaseValue);
    }

    Array copy(OrtValue* value, const TensorSpec& spec) const {
        const OrtApi& api = library_->api();
        OrtTensorTypeAndShapeInfo* raw = nullptr;
        library_->check(api.GetTensorTypeAndShape(value, &raw), artifact_->path);
        const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> info(raw, api.ReleaseTensorTypeAndShapeInfo);
        ONNXTensorElementDataType kind = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        std::size_t rank = 0, count = 0;
        library_->check(api.GetTensorElementType(info.get(), &kind), artifact_->path);
        library_->check(api.GetDimensionsCount(info.get(), &rank), artifact_->path);
        Array array{spec.type, Shape(rank), {}};
        library_->check(api.GetDimensions(info.get(), array.shape.data(), rank), artifact_->path);
        library_->check(api.GetTensorShapeElementCount(info.get(), &count), artifact_->path);
        if (kind != element(spec.type) || !spec.takes(spec.type, array.shape)) {
            throw Error(Refusal::unavailable, "the output " + spec.name + " is not what the manifest says", artifact_->path);
        }
        void* data = nullptr;
        library_->check(api.GetTensorMutableData(value, &data), artifact_->path);
        const auto* bytes = static_cast<const std::uint8_t*>(data);
        array.data.assign(bytes, bytes + count * bytes_of(spec.type));
        return array;
    }

    const OnnxRuntime* library_;
    const Artifact* artifact_;
    std::unique_ptr<OrtSession, void (*)(OrtSession*)> session_{nullptr, nullptr};
    std::unique_ptr<OrtMemoryInfo, void (*)(OrtMemoryInfo*)> memory_{nullptr, nullptr};
    std::vector<const char*> names_;
};

}  // namespace aetool

// What can go wrong, by name: the refusals of FORMAT.md, section 7, and BITSTREAM.md, section 8, and a few more.
#pragma once

#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace aetool {

enum class Refusal {
    manifest,     // a manifest, or a bundle's compression, that breaks the format
    version,      // written by a newer aetool
    digest,       // a file does not have the sha256 that the manifest gives
    truncated,    // a file or a stream that ends too early
    damaged,      // a stream whose bytes are not the ones that were written
    bundle,       // a stream that another bundle made
    unsafe,       // a path that leaves the bundle, a link, a file that the manifest does not list
    input,        // data or a path that the caller gave
    usage,        // what was asked for is not in the bundle
    unavailable,  // ONNX Runtime, or what the graph needs of it, is not here
    memory,       // no memory was left
    internal      // anything else
};

inline const char* name_of(Refusal refusal) noexcept {
    switch (refusal) {
        case Refusal::manifest: return "manifest";
        case Refusal::version: return "version";
        case Refusal::digest: return "digest";
        case Refusal::truncated: return "truncated";
        case Refusal::damaged: return "damaged";
        case Refusal::bundle: return "bundle";
        case Refusal::unsafe: return "unsafe";
        case Refusal::input: return "input";
        case Refusal::usage: return "usage";
        case Refusal::unavailable: return "unavailable";
        case Refusal::memory: return "memory";
        case Refusal::internal: break;
    }
    return "internal";
}

// What every function of this library throws, beside std::bad_alloc.
class Error : public std::runtime_error {
public:
    Error(Refusal refusal, const std::string& what, const std::string& where = "")
        : std::runtime_error(where.empty() ? what : what + " (" + where + ")"), refusal_(refusal) {}

    Refusal refusal() const noexcept { return refusal_; }

private:
    Refusal refusal_;
};

// A value, or why there is none. Made by attempt(), for programs that do without exceptions of their own.
template <class T>
class Result {
public:
    explicit Result(T value) : value_(std::move(value)) {}
    Result(Refusal refusal, const char* message) noexcept : refusal_(refusal) {
        try {
            message_ = message;
        } catch (...) {  // the name of the refusal will have to do
        }
    }

    bool ok() const noexcept { return value_.has_value(); }
    explicit operator bool() const noexcept { return ok(); }
    T& value() noexcept { return *value_; }  // only where ok()
    const T& value() const noexcept { return *value_; }
    Refusal refusal() const noexcept { return refusal_; }  // only where not ok()
    const std::string& message() const noexcept { return message_; }

private:
    std::optional<T> value_;
    Refusal refusal_ = Refusal::internal;
    std::string message_;
};

// Run a function; nothing is thrown: `auto model = aetool::attempt([&] { return aetool::Autoencoder::open(path); });`
// A function that returns nothing gives Result<bool>.
template <class F>
auto attempt(F&& function) noexcept {
    using Returned = std::invoke_result_t<F>;
    using Value = std::conditional_t<std::is_void_v<Returned>, bool, Returned>;
    try {
        if constexpr (std::is_void_v<Returned>) {
            function();
            return Result<Value>(true);
        } else {
            return Result<Value>(function());
        }
    } catch (const Error& error) {
        return Result<Value>(error.refusal(), error.what());
    } catch (const std::bad_alloc&) {
        return Result<Value>(Refusal::memory, "no memory is left");
    } catch (const std::exception& error) {
        return Result<Value>(Refusal::internal, error.what());
    } catch (...) {
        return Result<Value>(Refusal::internal, "unknown");
    }
}

}  // namespace aetool

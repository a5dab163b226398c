// Looks through a file in ONNX Runtime's own format for tensors that are not in it. Just enough of FlatBuffers: every offset
// is held against the file before it is followed. Slots are those of onnxruntime's ort.fbs.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "aetool/error.hpp"
#include "aetool/files.hpp"

namespace aetool {

namespace detail {

class OrtScan {
public:
    OrtScan(const Bytes& file, std::string where) : file_(file), where_(std::move(where)) {
        if (file.size() < 8 || std::memcmp(file.data() + 4, "ORTM", 4) != 0) invalid();
        const auto model = table(u32(0), 6);
        const auto graph = model ? table(*model, 18) : std::nullopt;
        if (!graph) invalid();
        add(Kind::graph, *graph);
        while (!waiting_.empty() && !points_away_) {
            const auto [kind, at] = waiting_.back();
            waiting_.pop_back();
            look_into(kind, at);
        }
    }

    bool points_away() const { return points_away_; }

private:
    enum class Kind { graph, node, attribute, sparse, tensor };

    [[noreturn]] void invalid() const { throw Error(Refusal::unavailable, "the graph is not in ONNX Runtime's format", where_); }

    void check(std::uint64_t at, std::uint64_t bytes) const {
        if (at + bytes > file_.size()) invalid();
    }
    std::uint64_t u32(std::uint64_t at) const {
        check(at, 4);
        return little32(file_.data() + at);
    }
    // Where a field of a table lies; 0 where it is left out.
    std::uint64_t field(std::uint64_t at, std::uint64_t slot) const {
        const auto vtable = static_cast<std::int64_t>(at) - static_cast<std::int32_t>(u32(at));
        if (vtable < 0) invalid();
        const auto list = static_cast<std::uint64_t>(vtable);
        check(list, 2);
        if (slot + 2 > little16(file_.data() + list)) return 0;
        check(list + slot, 2);
        const std::uint64_t offset = little16(file_.data() + list + slot);
        return offset == 0 ? 0 : at + offset;
    }
    std::optional<std::uint64_t> table(std::uint64_t at, std::uint64_t slot) const {
        const std::uint64_t place = field(at, slot);
        return place == 0 ? std::nullopt : std::optional<std::uint64_t>(place + u32(place));
    }

    void add(Kind kind, std::uint64_t at) {
        if (seen_.emplace(kind, at).second) waiting_.emplace_back(kind, at);
    }
    void add_one(Kind kind, std::uint64_t at, std::uint64_t slot) {
        if (const auto found = table(at, slot)) add(kind, *found);
    }
    void add_all(Kind kind, std::uint64_t at, std::uint64_t slot) {
        const auto vector = table(at, slot);
        if (!vector) return;
        const std::uint64_t count = u32(*vector);
        check(*vector + 4, 4 * count);
        for (std::uint64_t i = 0; i < count; ++i) {
            const std::uint64_t place = *vector + 4 + 4 * i;
            add(kind, place + u32(place));
        }
    }

    void look_into(Kind kind, std::uint64_t at) {
        switch (kind) {
            case Kind::graph:
                add_all(Kind::tensor, at, 4);
                add_all(Kind::node, at, 8);
                add_all(Kind::sparse, at, 18);
                break;
            case Kind::node: add_all(Kind::attribute, at, 24); break;
            case Kind::attribute:
                add_one(Kind::tensor, at, 16);
                add_one(Kind::graph, at, 18);
                add_all(Kind::tensor, at, 26);
                add_all(Kind::graph, at, 28);
                break;
            case Kind::sparse:
                add_one(Kind::tensor, at, 4);
                add_one(Kind::tensor, at, 6);
                break;
            case Kind::tensor: {
                const std::uint64_t place = field(at, 16);  // external_data_offset: -1 where the data are here
                if (place == 0) break;
                check(place, 8);
                if (u32(place) != 0xFFFFFFFFU || u32(place + 4) != 0xFFFFFFFFU) points_away_ = true;
                break;
            }
        }
    }

    const Bytes& file_;
    std::string where_;
    std::vector<std::pair<Kind, std::uint64_t>> waiting_;
    std::set<std::pair<Kind, std::uint64_t>> seen_;
    bool points_away_ = false;
};

}  // namespace detail

// Throws unsafe if any tensor is in another file, unavailable if the bytes are no such file.
inline void refuse_tensors_elsewhere(const Bytes& graph, const std::string& where) {
    if (detail::OrtScan(graph, where).points_away()) throw Error(Refusal::unsafe, "the graph keeps a tensor in another file", where);
}

}  // namespace aetool

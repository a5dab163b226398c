// Looks through an ONNX file for tensors kept in other files, before any engine would go and read those.
// Only the protobuf wire format is needed; the field numbers are those of onnx.proto. Bounded by the file and by depth.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "aetool/error.hpp"
#include "aetool/files.hpp"

namespace aetool {

namespace detail {

class OnnxScan {
public:
    OnnxScan(const Bytes& model, const std::string& where) : where_(where) { walk(model.data(), model.data() + model.size(), Kind::model, 0); }

    bool points_away() const { return points_away_; }

private:
    enum class Kind { model, training, function, graph, node, attribute, sparse, tensor };

    [[noreturn]] void invalid() const { throw Error(Refusal::unavailable, "the graph is not valid ONNX", where_); }

    static const std::map<std::uint64_t, Kind>& children(Kind kind) {
        static const std::map<Kind, std::map<std::uint64_t, Kind>> tree = {
            {Kind::model, {{7, Kind::graph}, {25, Kind::function}, {20, Kind::training}}},
            {Kind::training, {{1, Kind::graph}, {2, Kind::graph}}},
            {Kind::function, {{7, Kind::node}, {11, Kind::attribute}}},
            {Kind::graph, {{1, Kind::node}, {5, Kind::tensor}, {15, Kind::sparse}}},
            {Kind::node, {{5, Kind::attribute}}},
            {Kind::attribute,
             {{5, Kind::tensor}, {6, Kind::graph}, {10, Kind::tensor}, {11, Kind::graph}, {22, Kind::sparse}, {23, Kind::sparse}}},
            {Kind::sparse, {{1, Kind::tensor}, {2, Kind::tensor}}},
            {Kind::tensor, {}}};
        return tree.at(kind);
    }

    std::uint64_t varint(const std::uint8_t*& at, const std::uint8_t* end) const {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift <= 63; shift += 7) {
            if (at == end) invalid();
            const std::uint8_t byte = *at++;
            value |= static_cast<std::uint64_t>(byte & 127) << shift;
            if (byte < 128) return value;
        }
        invalid();
    }

    void walk(const std::uint8_t* at, const std::uint8_t* end, Kind kind, int depth) {
        if (depth >= 32) invalid();
        while (at != end) {
            const std::uint64_t key = varint(at, end);
            if (key > 0xFFFFFFFFU) invalid();  // some readers keep 32 bits of a longer key, and see another field
            const std::uint64_t number = key >> 3, wire = key & 7;
            std::uint64_t length = 0, value = 0;
            if (wire == 0) {
                value = varint(at, end);
            } else if (wire == 2) {
                length = varint(at, end);
            } else if (wire == 1 || wire == 5) {
                length = wire == 1 ? 8 : 4;
            } else {
                invalid();
            }
            if (length > static_cast<std::uint64_t>(end - at)) invalid();
            const bool external = number == 13 || (number == 14 && wire == 0 && (value & 0xFFFFFFFFU) == 1);
            points_away_ = points_away_ || (kind == Kind::tensor && external);
            const auto& inside = children(kind);
            const auto child = inside.find(number);
            if (wire != 0 && child != inside.end()) walk(at, at + length, child->second, depth + 1);
            at += length;
        }
    }

    std::string where_;
    bool points_away_ = false;
};

}  // namespace detail

// Throws unsafe if any tensor points to another file, unavailable if the bytes are no protobuf message.
inline void refuse_external_data(const Bytes& model, const std::string& where) {
    if (detail::OnnxScan(model, where).points_away()) throw Error(Refusal::unsafe, "the graph keeps a tensor in another file", where);
}

}  // namespace aetool

// The bytes of a bundle, from a folder or from one zip of it (FORMAT.md, sections 1 and 6), nothing trusted.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "aetool/checksum.hpp"
#include "aetool/error.hpp"

namespace aetool {

using Bytes = std::vector<std::uint8_t>;

namespace detail {

inline bool is_device_of_windows(std::string_view segment) {
    std::string stem(segment.substr(0, segment.find('.')));
    for (char& c : stem) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (stem == "CON" || stem == "PRN" || stem == "AUX" || stem == "NUL") return true;
    return stem.size() == 4 && (stem.substr(0, 3) == "COM" || stem.substr(0, 3) == "LPT") && stem[3] >= '0' && stem[3] <= '9';
}

inline bool is_sound_segment(std::string_view segment) {
    const auto is_letter = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    };
    if (segment.empty() || !is_letter(segment.front()) || segment.back() == '.' || is_device_of_windows(segment)) return false;
    for (const char c : segment) {
        if (!is_letter(c) && c != '.' && c != '-') return false;
    }
    return true;
}

inline bool is_sound_path(std::string_view path) {
    if (path.empty() || path.size() > 240) return false;
    for (std::size_t start = 0;;) {
        const std::size_t slash = path.find('/', start);
        if (!is_sound_segment(path.substr(start, slash - start))) return false;
        if (slash == std::string_view::npos) return true;
        start = slash + 1;
    }
}

inline void check_path(const std::string& path, const std::string& where) {
    if (!is_sound_path(path)) throw Error(Refusal::unsafe, "a path could leave the bundle", where);
}

// A file that is open for reading; closes itself.
class File {
public:
    explicit File(const std::filesystem::path& path) : where_(path.string()) {
#ifdef _WIN32
        file_.reset(_wfopen(path.c_str(), L"rb"));
#else
        file_.reset(std::fopen(path.c_str(), "rb"));
#endif
        if (!file_) throw Error(Refusal::input, "cannot be read", where_);
    }

    std::uint64_t size() {
        seek(0, SEEK_END);
#ifdef _WIN32
        const auto end = _ftelli64(file_.get());
#else
        const auto end = ftello(file_.get());
#endif
        if (end < 0) throw Error(Refusal::input, "cannot be measured", where_);
        return static_cast<std::uint64_t>(end);
    }

    // As many of `length` bytes as there are from `start` on.
    Bytes read(std::uint64_t start, std::uint64_t length) {
        constexpr std::uint64_t piece = 1 << 20;  // memory follows what is there, not what was claimed
        seek(static_cast<std::int64_t>(start), SEEK_SET);
        Bytes data;
        while (data.size() < length) {
            const auto wanted = static_cast<std::size_t>(length - data.size() < piece ? length - data.size() : piece);
            const std::size_t before = data.size();
            data.resize(before + wanted);
            const std::size_t got = std::fread(data.data() + before, 1, wanted, file_.get());
            data.resize(before + got);
            if (got < wanted) break;
        }
        return data;
    }

private:
    struct Close {
        void operator()(std::FILE* file) const noexcept { std::fclose(file); }
    };

    void seek(std::int64_t offset, int whence) {
#ifdef _WIN32
        const int failed = _fseeki64(file_.get(), offset, whence);
#else
        const int failed = fseeko(file_.get(), static_cast<off_t>(offset), whence);
#endif
        if (failed != 0) throw Error(Refusal::input, "cannot be read", where_);
    }

    std::unique_ptr<std::FILE, Close> file_;
    std::string where_;
};

inline std::uint32_t little32(const std::uint8_t* at) {
    return static_cast<std::uint32_t>(at[0]) | static_cast<std::uint32_t>(at[1]) << 8 |
           static_cast<std::uint32_t>(at[2]) << 16 | static_cast<std::uint32_t>(at[3]) << 24;
}
inline std::uint32_t little16(const std::uint8_t* at) { return static_cast<std::uint32_t>(at[0] | at[1] << 8); }

inline void put(Bytes& out, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

struct Entry {
    std::string name;
    std::uint64_t size = 0;
    std::uint32_t crc = 0;
    std::uint64_t offset = 0;  // where the content begins
};

// The one layout of a zipped bundle: written out again from what the central directory says, and compared.
class ZipLayout {
public:
    static constexpr std::uint64_t local = 30, central = 46, end = 22, most_entries = 4096;

    // Whether a file is meant to be a zip: it begins as one, as far as it goes, or ends as one.
    static bool resembles(File& file) {
        static constexpr std::array<std::uint8_t, 4> first = {'P', 'K', 3, 4}, last = {'P', 'K', 5, 6};
        const std::uint64_t size = file.size();
        const Bytes head = file.read(0, 4);
        const Bytes tail = size >= end ? file.read(size - end, 4) : Bytes();
        return std::equal(head.begin(), head.end(), first.begin()) || (tail.size() == 4 && std::equal(tail.begin(), tail.end(), last.begin()));
    }

    static std::vector<Entry> read(File& file, const std::string& where) {
        const std::uint64_t size = file.size();
        const Bytes tail = size >= end ? file.read(size - end, end) : Bytes();
        if (tail.size() != end || tail[0] != 'P' || tail[1] != 'K' || tail[2] != 5 || tail[3] != 6) {
            throw Error(Refusal::truncated, "does not end as a zipped bundle does", where);
        }
        const std::uint64_t count = little16(&tail[10]), length = little32(&tail[12]), start = little32(&tail[16]);
        if (start + length + end != size || length > count * (central + 240) || count > most_entries) strange(where);
        const Bytes directory = file.read(start, length + end);
        std::vector<Entry> entries = parse(directory, length, count, where);
        std::uint64_t at = 0;
        for (Entry& entry : entries) {
            entry.offset = at + local + entry.name.size();
            at = entry.offset + entry.size;
        }
        if (at != start || directory != written(entries, at)) strange(where);
        for (const Entry& entry : entries) {
            const Bytes header = local_header(entry);
            if (file.read(entry.offset - header.size(), header.size()) != header) strange(where);
        }
        return entries;
    }

private:
    [[noreturn]] static void strange(const std::string& where) {
        throw Error(Refusal::unsafe, "the archive does not have the layout of a zipped bundle", where);
    }

    static std::vector<Entry> parse(const Bytes& directory, std::uint64_t length, std::uint64_t count, const std::string& where) {
        std::vector<Entry> entries;
        std::set<std::string> names;
        std::uint64_t at = 0;
        for (std::uint64_t i = 0; i < count; ++i) {
            if (at + central > length) strange(where);
            const std::uint8_t* record = directory.data() + at;
            const std::uint64_t name_length = little16(record + 28);
            if (at + central + name_length > directory.size()) strange(where);
            Entry entry;
            entry.crc = little32(record + 16);
            entry.size = little32(record + 24);
            entry.name.assign(record + central, record + central + name_length);
            check_path(entry.name, where);
            if (!names.insert(entry.name).second) throw Error(Refusal::unsafe, "lists a file twice", where);
            entries.push_back(entry);
            at += central + name_length;
        }
        return entries;
    }

    static Bytes local_header(const Entry& entry) {
        Bytes out = {'P', 'K', 3, 4};
        for (const std::uint32_t field : {20U, 0U, 0U, 0U, 0x21U}) put(out, field, 2);
        put(out, entry.crc, 4);
        put(out, entry.size, 4);
        put(out, entry.size, 4);
        put(out, entry.name.size(), 2);
        put(out, 0, 2);
        out.insert(out.end(), entry.name.begin(), entry.name.end());
        return out;
    }

    static Bytes written(const std::vector<Entry>& entries, std::uint64_t start) {
        Bytes out;
        for (const Entry& entry : entries) {
            out.insert(out.end(), {'P', 'K', 1, 2});
            for (const std::uint32_t field : {20U, 20U, 0U, 0U, 0U, 0x21U}) put(out, field, 2);
            put(out, entry.crc, 4);
            put(out, entry.size, 4);
            put(out, entry.size, 4);
            put(out, entry.name.size(), 2);
            put(out, 0, 8);  // extra field, remark, disk, attributes inside
            put(out, 0, 4);
            put(out, entry.offset - local - entry.name.size(), 4);
            out.insert(out.end(), entry.name.begin(), entry.name.end());
        }
        const std::uint64_t length = out.size();
        out.insert(out.end(), {'P', 'K', 5, 6});
        put(out, 0, 4);
        put(out, entries.size(), 2);
        put(out, entries.size(), 2);
        put(out, length, 4);
        put(out, start, 4);
        put(out, 0, 2);
        return out;
    }
};

}  // namespace detail

// Where a bundle's files come from. Names are those of the manifest; content is handed out as it lies there.
class Files {
public:
    explicit Files(const std::filesystem::path& root) : root_(root) {
        std::error_code failed;
        const auto status = std::filesystem::status(root, failed);
        if (std::filesystem::is_directory(status)) return;
        if (failed || !std::filesystem::is_regular_file(status)) throw Error(Refusal::input, "no such bundle", root.string());
        detail::File file(root);
        if (!detail::ZipLayout::resembles(file)) throw Error(Refusal::input, "is no bundle", root.string());
        is_archive_ = true;
        for (detail::Entry& entry : detail::ZipLayout::read(file, root.string())) entries_.emplace(entry.name, entry);
    }

    // At most `limit` bytes, or all of a file that is `expected` bytes long.
    Bytes read(const std::string& name, std::uint64_t limit) const {
        if (is_archive_) {
            const auto found = entries_.find(name);
            if (found == entries_.end()) throw Error(Refusal::truncated, "holds no " + name, root_.string());
            detail::File file(root_);
            return file.read(found->second.offset, found->second.size < limit ? found->second.size : limit);
        }
        return detail::File(plain(name)).read(0, limit);
    }

    std::uint64_t size(const std::string& name) const {
        if (!is_archive_) return detail::File(plain(name)).size();
        const auto found = entries_.find(name);
        if (found == entries_.end()) throw Error(Refusal::truncated, "holds no " + name, root_.string());
        return found->second.size;
    }

    void refuse_unlisted(const std::set<std::string>& listed) const {
        for (const auto& [name, entry] : entries_) {
            if (listed.count(name) == 0) throw Error(Refusal::unsafe, "holds " + name + ", which the manifest does not list", root_.string());
        }
    }

    std::string where(const std::string& name) const { return root_.string() + "/" + name; }

private:
    // The file in the folder, which is a plain one and lies behind no link.
    std::filesystem::path plain(const std::string& name) const {
        namespace fs = std::filesystem;
        detail::check_path(name, root_.string());
        fs::path path = root_;
        std::error_code failed;
        for (const fs::path& part : fs::path(name)) {
            path /= part;
            const fs::file_status status = fs::symlink_status(path, failed);
            if (fs::is_symlink(status)) throw Error(Refusal::unsafe, "is a link", path.string());
            if (!fs::exists(status)) throw Error(Refusal::truncated, "the file is missing", path.string());
        }
        if (!fs::is_regular_file(path, failed)) throw Error(Refusal::unsafe, "is no plain file", path.string());
        return path;
    }

    std::filesystem::path root_;
    bool is_archive_ = false;
    std::map<std::string, detail::Entry> entries_;
};

}  // namespace aetool

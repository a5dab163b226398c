package io.aetool;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/** Where a bundle's files come from: a folder or one zip of it (FORMAT.md, sections 1 and 6), nothing trusted. */
final class BundleFiles {
    private final Path root;
    /** Null: a folder. */
    private final Map<String, ZipLayout.Entry> entries;

    BundleFiles(Path root) {
        this.root = root;
        this.entries = Files.isDirectory(root) ? null : archive(root);
    }

    private static Map<String, ZipLayout.Entry> archive(Path root) {
        if (!Files.isRegularFile(root)) throw Refusal.INPUT.because("no such bundle", root.toString());
        try (RandomAccessFile file = new RandomAccessFile(root.toFile(), "r")) {
            if (!ZipLayout.resembles(file)) throw Refusal.INPUT.because("is no bundle", root.toString());
            return ZipLayout.read(file, root.toString());
        } catch (IOException error) {
            throw unreadable(root, error);
        }
    }

    /** At most {@code limit} bytes of a file. */
    byte[] read(String name, long limit) {
        Path path = entries == null ? plain(name) : root;
        long start = entries == null ? 0 : entry(name).offset;
        long length = entries == null ? limit : Math.min(limit, entry(name).size);
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "r")) {
            return ZipLayout.read(file, start, length);
        } catch (IOException error) {
            throw unreadable(path, error);
        }
    }

    long size(String name) {
        if (entries != null) return entry(name).size;
        Path path = plain(name);
        try {
            return Files.size(path);
        } catch (IOException error) {
            throw unreadable(path, error);
        }
    }

    void refuseUnlisted(Set<String> listed) {
        if (entries == null) return;
        for (String name : entries.keySet()) {
            if (!listed.contains(name)) {
                throw Refusal.UNSAFE.because("holds " + name + ", which the manifest does not list", root.toString());
            }
        }
    }

    String where(String name) {
        return root + "/" + name;
    }

    private ZipLayout.Entry entry(String name) {
        ZipLayout.Entry found = entries.get(name);
        if (found == null) throw Refusal.TRUNCATED.because("holds no " + name, root.toString());
        return found;
    }

    /** The file in the folder, which is a plain one and lies behind no link. */
    private Path plain(String name) {
        BundlePath.check(name, root.toString());
        Path path = root;
        for (String part : name.split("/")) {
            path = path.resolve(part);
            if (Files.isSymbolicLink(path)) throw Refusal.UNSAFE.because("is a link", path.toString());
            if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
                throw Refusal.TRUNCATED.because("the file is missing", path.toString());
            }
        }
        if (!Files.isRegularFile(path)) throw Refusal.UNSAFE.because("is no plain file", path.toString());
        return path;
    }

    private static AetoolException unreadable(Path path, IOException error) {
        return Refusal.INPUT.because("cannot be read: " + error.getMessage(), path.toString());
    }
}

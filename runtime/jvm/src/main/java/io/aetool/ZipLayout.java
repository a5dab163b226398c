package io.aetool;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** The one layout of a zipped bundle (FORMAT.md, section 6): written out again from the directory, and compared. */
final class ZipLayout {
    private static final int LOCAL = 30;
    private static final int CENTRAL = 46;
    private static final int END = 22;
    private static final int MOST_ENTRIES = 4096;
    private static final int MOST_NAME = 240;

    /** A file in the archive; {@code offset} is where its content begins. */
    static final class Entry {
        final String name;
        final long crc;
        final long size;
        final long offset;

        Entry(String name, long crc, long size, long offset) {
            this.name = name;
            this.crc = crc;
            this.size = size;
            this.offset = offset;
        }
    }

    private final RandomAccessFile file;
    private final String where;

    private ZipLayout(RandomAccessFile file, String where) {
        this.file = file;
        this.where = where;
    }

    /** Whether a file is meant to be a zip: it begins as one, as far as it goes, or ends as one. */
    static boolean resembles(RandomAccessFile file) throws IOException {
        byte[] head = read(file, 0, 4);
        byte[] first = {'P', 'K', 3, 4};
        return Arrays.equals(head, Arrays.copyOf(first, head.length)) || endsAsZip(file);
    }

    private static boolean endsAsZip(RandomAccessFile file) throws IOException {
        byte[] mark = {'P', 'K', 5, 6};
        return file.length() >= END && Arrays.equals(read(file, file.length() - END, 4), mark);
    }

    static Map<String, Entry> read(RandomAccessFile file, String where) throws IOException {
        if (!endsAsZip(file)) throw Refusal.TRUNCATED.because("does not end as a zipped bundle does", where);
        return new ZipLayout(file, where).entries();
    }

    private Map<String, Entry> entries() throws IOException {
        byte[] tail = read(file, file.length() - END, END);
        int count = Cursor.u16(tail, 10);
        long length = Cursor.u32(tail, 12);
        long start = Cursor.u32(tail, 16);
        boolean fits = start + length + END == file.length() && length <= (long) count * (CENTRAL + MOST_NAME);
        if (!fits || count > MOST_ENTRIES) throw strange();
        byte[] directory = read(file, start, (int) length + END);
        Map<String, Entry> entries = parse(directory, (int) length, count);
        long at = 0;
        for (Entry entry : entries.values()) at = entry.offset + entry.size;
        if (at != start || !Arrays.equals(directory, written(entries, at))) throw strange();
        for (Entry entry : entries.values()) {
            byte[] header = localHeader(entry);
            if (!Arrays.equals(read(file, entry.offset - header.length, header.length), header)) throw strange();
        }
        return entries;
    }

    private AetoolException strange() {
        return Refusal.UNSAFE.because("the archive does not have the layout of a zipped bundle", where);
    }

    private Map<String, Entry> parse(byte[] directory, int length, int count) {
        Map<String, Entry> entries = new LinkedHashMap<>();
        int at = 0;
        long content = 0;
        for (int i = 0; i < count; i++) {
            if (at + CENTRAL > length) throw strange();
            int nameLength = Cursor.u16(directory, at + 28);
            if (at + CENTRAL + nameLength > directory.length) throw strange();
            String name = new String(directory, at + CENTRAL, nameLength, StandardCharsets.ISO_8859_1);
            BundlePath.check(name, where);
            long size = Cursor.u32(directory, at + 24);
            content += LOCAL + nameLength;
            Entry entry = new Entry(name, Cursor.u32(directory, at + 16), size, content);
            if (entries.put(name, entry) != null) throw Refusal.UNSAFE.because("lists a file twice", where);
            content += size;
            at += CENTRAL + nameLength;
        }
        return entries;
    }

    private static byte[] localHeader(Entry entry) {
        ByteWriter out = new ByteWriter('P', 'K', 3, 4);
        for (int field : new int[] {20, 0, 0, 0, 0x21}) out.put(field, 2);
        putEntry(out, entry);
        return out.bytes(BundlePath.bytes(entry.name)).toBytes();
    }

    private static void putEntry(ByteWriter out, Entry entry) {
        out.put(entry.crc, 4).put(entry.size, 4).put(entry.size, 4).put(entry.name.length(), 2).put(0, 2);
    }

    private static byte[] written(Map<String, Entry> entries, long start) {
        ByteWriter out = new ByteWriter();
        for (Entry entry : entries.values()) {
            out.u8('P').u8('K').u8(1).u8(2);
            for (int field : new int[] {20, 20, 0, 0, 0, 0x21}) out.put(field, 2);
            putEntry(out, entry);
            out.put(0, 6).put(0, 4); // remark, disk, attributes inside and outside
            out.put(entry.offset - LOCAL - entry.name.length(), 4).bytes(BundlePath.bytes(entry.name));
        }
        int length = out.size();
        out.u8('P').u8('K').u8(5).u8(6).put(0, 4).put(entries.size(), 2).put(entries.size(), 2);
        return out.put(length, 4).put(start, 4).put(0, 2).toBytes();
    }

    /** As many of {@code length} bytes as there are; memory follows what is there, not what was claimed. */
    static byte[] read(RandomAccessFile file, long start, long length) throws IOException {
        long there = Math.max(0, Math.min(length, file.length() - start));
        if (there > Integer.MAX_VALUE - 8) throw Refusal.INPUT.because("a file of 2 GiB or more does not fit an array");
        byte[] bytes = new byte[(int) there];
        file.seek(start);
        int filled = 0;
        while (filled < bytes.length) {
            int got = file.read(bytes, filled, bytes.length - filled);
            if (got < 0) break;
            filled += got;
        }
        return filled == bytes.length ? bytes : Arrays.copyOf(bytes, filled);
    }
}

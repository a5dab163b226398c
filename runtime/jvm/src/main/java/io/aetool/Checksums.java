package io.aetool;

import java.util.zip.CRC32;

/** The checksums of a stream: BITSTREAM.md, section 6. */
final class Checksums {
    private Checksums() {}

    static long of(byte[] first, byte[] second, int length) {
        CRC32 crc = new CRC32();
        crc.update(first, 0, first.length);
        crc.update(second, 0, length);
        return crc.getValue();
    }

    static long ofChunk(byte[] header, int number, byte[] body, int length) {
        CRC32 crc = new CRC32();
        crc.update(header, 0, header.length);
        for (int i = 0; i < 4; i++) crc.update(number >>> 8 * i & 255);
        crc.update(body, 0, length);
        return crc.getValue();
    }

    /** Of the first {@code count} of n: surplus rows are not returned. */
    static long ofValues(long[] n, int count) {
        ByteWriter bytes = new ByteWriter();
        for (int i = 0; i < count; i++) bytes.put(n[i], 4);
        byte[] all = bytes.toBytes();
        return ofBytes(all, 0, all.length);
    }

    static long ofBytes(byte[] bytes, int start, int length) {
        CRC32 crc = new CRC32();
        crc.update(bytes, start, length);
        return crc.getValue();
    }
}

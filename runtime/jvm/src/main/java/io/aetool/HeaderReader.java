package io.aetool;

/** Reads a stream's header strictly: BITSTREAM.md, section 6. */
final class HeaderReader {
    private static final long MOST = 1 << 24;

    private final StreamSource in;

    HeaderReader(StreamSource in) {
        this.in = in;
    }

    StreamHeader read(String bundleDigest) {
        for (int wanted : StreamHeader.MAGIC) want(in.u8() == wanted, "is no stream");
        int version = in.u8();
        if (version != 1) throw Refusal.VERSION.because("a stream of version " + version + ": update aetool");
        int digest = in.take(8);
        if (!bundleDigest.startsWith(Bundle.hexadecimal(in.kept(), digest, 8))) {
            throw Refusal.BUNDLE.because("the stream was made with another bundle");
        }
        int flags = in.u8();
        if (flags > 63) throw Refusal.VERSION.because("a stream with unknown flags: update aetool");
        StreamHeader header = readShape();
        header.recording = (flags & 4) != 0;
        header.checks = (flags & 16) != 0;
        if ((flags & 1) != 0) readGrid(header);
        if ((flags & 2) != 0) readError(header);
        if ((flags & 8) != 0) readPicture(header);
        if ((flags & 32) != 0) readAttachment(header);
        return header;
    }

    private static void want(boolean holds, String what) {
        if (!holds) throw Refusal.DAMAGED.because(what);
    }

    private StreamHeader readShape() {
        int type = in.u8();
        int rank = in.u8();
        want(type <= 5, "an unknown type of samples");
        want(rank >= 1 && rank <= 7, "samples of no rank");
        long[] shape = new long[rank];
        long product = 1;
        for (int i = 0; i < rank; i++) {
            shape[i] = in.varint();
            want(shape[i] >= 1 && shape[i] <= MOST && product * shape[i] <= MOST, "samples of a size out of range");
            product *= shape[i];
        }
        return StreamHeader.of(SampleType.values()[type], shape);
    }

    private void readGrid(StreamHeader header) {
        double grid = in.f64();
        header.multiplier = in.varint();
        header.shift = in.u8();
        boolean sound = header.type == SampleType.FLOAT32 && grid > 0 && !Double.isInfinite(grid);
        want(sound && header.multiplier >= 1 && header.multiplier < 1 << 21 && header.shift <= 40, "a grid out of range");
        header.grid = grid;
    }

    private void readError(StreamHeader header) {
        double error = header.type == SampleType.FLOAT32 ? in.f64() : (double) in.varint();
        want(error >= 0 && !Double.isInfinite(error), "an error out of range");
        header.maxError = error;
    }

    private void readPicture(StreamHeader header) {
        long height = in.varint();
        long width = in.varint();
        long halo = in.varint();
        boolean fits = header.shape.length >= 2 && height >= 1 && width >= 1 && height <= MOST && width <= MOST && halo <= MOST;
        want(fits && 2 * halo < Math.min(header.shape[0], header.shape[1]) && !header.recording, "a picture out of range");
        header.picture = new Picture((int) height, (int) width, (int) halo);
    }

    private void readAttachment(StreamHeader header) {
        long bytes = in.varint();
        want(bytes >= 1 && bytes <= 1 << 20, "an attachment out of range");
        int at = in.take((int) bytes);
        byte[] attachment = new byte[(int) bytes];
        System.arraycopy(in.kept(), at, attachment, 0, attachment.length);
        header.attachment = attachment;
    }
}

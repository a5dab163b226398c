package io.aetool;

/** What a stream says of itself before its first chunk: BITSTREAM.md, section 6. */
public final class StreamHeader {
    static final long MOST_VALUES = 1 << 24;
    static final int[] MAGIC = {0x93, 'A', 'E', 'Z'};

    final SampleType type;
    final long[] shape;
    boolean recording;
    boolean checks = true;
    /** float32: what 1 stands for; null: the bundle's output unit. */
    Double grid;
    long multiplier = 1;
    int shift;
    /** What the compressor promised; null: nothing. */
    Double maxError;
    Picture picture;
    byte[] attachment = {};

    private StreamHeader(SampleType type, long[] shape) {
        this.type = type;
        this.shape = shape.clone();
    }

    /** Returns the header of a stream of samples of that shape, without the batch. */
    public static StreamHeader of(SampleType type, long... shape) {
        long values = 1;
        for (long size : shape) {
            boolean fits = size >= 1 && size <= MOST_VALUES && values * size <= MOST_VALUES;
            if (!fits) throw Refusal.INPUT.because("samples of a size out of range");
            values *= size;
        }
        if (shape.length < 1 || shape.length > 7) throw Refusal.INPUT.because("samples have 1 to 7 dimensions");
        return new StreamHeader(type, shape);
    }

    /** Returns the header of a recording: rows, cut into samples of {@code shape[0]} rows. */
    public static StreamHeader recording(SampleType type, long... shape) {
        StreamHeader header = of(type, shape);
        header.recording = true;
        return header;
    }

    /** Attaches bytes for applications, at most 1 MiB. */
    public StreamHeader attach(byte[] bytes) {
        if (bytes.length > 1 << 20) throw Refusal.INPUT.because("an attachment of more than 1 MiB");
        attachment = bytes.clone();
        return this;
    }

    /** Returns the type of the values. */
    public SampleType type() {
        return type;
    }

    /** Returns the shape of a sample. */
    public long[] shape() {
        return shape.clone();
    }

    /** Returns whether chunks count rows of the first dimension. */
    public boolean isRecording() {
        return recording;
    }

    /** Returns the largest error that the compressor promised (raw units), or null. */
    public Double maxError() {
        return maxError;
    }

    /** Returns the picture that the samples are tiles of, or null. */
    public Picture picture() {
        return picture;
    }

    /** Returns bytes for applications; empty where there are none. */
    public byte[] attachment() {
        return attachment.clone();
    }

    /** Values of a sample. */
    int values() {
        return (int) PredictiveDecoder.product(shape, 0, shape.length);
    }

    /** Values of what a chunk counts: a row of a recording, or a sample. */
    int unitValues() {
        return recording ? (int) (values() / shape[0]) : values();
    }

    byte[] write(String bundleDigest) {
        ByteWriter out = new ByteWriter(MAGIC).u8(1);
        for (int i = 0; i < 8; i++) out.u8(Integer.parseInt(bundleDigest.substring(2 * i, 2 * i + 2), 16));
        out.u8(flags()).u8(type.ordinal()).u8(shape.length);
        for (long size : shape) out.varint(size);
        if (grid != null) out.put(Double.doubleToLongBits(grid), 8).varint(multiplier).u8(shift);
        if (maxError != null && type == SampleType.FLOAT32) out.put(Double.doubleToLongBits(maxError), 8);
        if (maxError != null && type != SampleType.FLOAT32) out.varint(maxError.longValue());
        if (picture != null) out.varint(picture.height()).varint(picture.width()).varint(picture.halo());
        if (attachment.length > 0) out.varint(attachment.length).bytes(attachment);
        return out.toBytes();
    }

    private int flags() {
        return (grid != null ? 1 : 0) | (maxError != null ? 2 : 0) | (recording ? 4 : 0) | (picture != null ? 8 : 0)
                | (checks ? 16 : 0) | (attachment.length > 0 ? 32 : 0);
    }
}

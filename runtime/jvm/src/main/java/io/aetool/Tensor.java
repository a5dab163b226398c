package io.aetool;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** An array of any type and shape, C order. */
public final class Tensor {
    private final ElementType type;
    private final long[] shape;
    private final ByteBuffer data;

    /**
     * Makes one of the bytes between the buffer's position and limit, which are not copied.
     *
     * @param shape the batch first
     * @param data little-endian
     * @throws InputException where there are not as many bytes as the shape says
     */
    public Tensor(ElementType type, long[] shape, ByteBuffer data) {
        this.type = type;
        this.shape = shape.clone();
        this.data = data.slice().order(ByteOrder.LITTLE_ENDIAN);
        long bytes = type.bytes();
        for (long size : shape) bytes = size < 0 || size > Integer.MAX_VALUE / Math.max(bytes, 1) ? -1 : bytes * size;
        if (bytes != this.data.remaining()) throw Refusal.INPUT.because("the bytes are not as many as the shape says");
    }

    /** Returns the type of the elements. */
    public ElementType type() {
        return type;
    }

    /** Returns the sizes, the batch first. */
    public long[] shape() {
        return shape.clone();
    }

    /** Returns the elements, little-endian; position 0. */
    public ByteBuffer data() {
        return data.duplicate().order(ByteOrder.LITTLE_ENDIAN);
    }

    int count() {
        return data.limit() / type.bytes();
    }
}

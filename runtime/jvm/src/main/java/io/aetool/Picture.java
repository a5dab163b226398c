package io.aetool;

/** A picture whose tiles are a stream's samples. */
public final class Picture {
    private final int height;
    private final int width;
    private final int halo;

    /** The halo is what neighbouring tiles share on each side. */
    public Picture(int height, int width, int halo) {
        this.height = height;
        this.width = width;
        this.halo = halo;
    }

    /** Returns the number of rows. */
    public int height() {
        return height;
    }

    /** Returns the number of columns. */
    public int width() {
        return width;
    }

    /** Returns what neighbouring tiles share on each side. */
    public int halo() {
        return halo;
    }

    /** How many tiles of this shape it takes. */
    long tiles(long[] shape) {
        long high = shape[0] - 2L * halo;
        long wide = shape[1] - 2L * halo;
        return (height + high - 1) / high * ((width + wide - 1) / wide);
    }
}

package io.aetool;

/** Sums of products of integers over one dimension or two; one is a picture of one row. Nothing overflows: checked before. */
final class Convolution {
    private final Step step;
    private final int[] given;
    private final int[] out;
    private final int[] sums;
    private final int outWidth;
    private final int height;
    private final int width;
    private final int kernelHeight;
    private final int kernelWidth;
    private final int strideY;
    private final int strideX;
    private final int top;
    private final int left;

    Convolution(Step step, int[] given, int[] before, int outWidth, int[] out) {
        this.step = step;
        this.given = given;
        this.out = out;
        this.outWidth = outWidth;
        this.sums = new int[step.out];
        int x = step.kernel.length - 1;
        boolean flat = x == 0;
        height = flat ? 1 : before[0];
        width = before[x];
        kernelHeight = flat ? 1 : (int) step.kernel[0];
        kernelWidth = (int) step.kernel[x];
        strideY = flat ? 1 : (int) step.stride[0];
        strideX = (int) step.stride[x];
        top = flat ? 0 : (int) step.margins[0][0];
        left = (int) step.margins[x][0];
    }

    static void dense(Step step, int[] given, int[] out) {
        int[] sums = new int[step.out];
        for (int row = 0; row * step.out < out.length; row++) {
            System.arraycopy(step.bias, 0, sums, 0, step.out);
            multiply(step, given, row * step.in, 0, sums);
            step.rescale(sums, out, row * step.out);
        }
    }

    /** sums += a row of inputs · [in, out] */
    private static void multiply(Step step, int[] given, int from, int weights, int[] sums) {
        for (int i = 0; i < step.in; i++) {
            int x = given[from + i];
            if (x == 0) continue;
            int w = weights + i * step.out;
            for (int o = 0; o < step.out; o++) sums[o] += x * step.weights[w + o];
        }
    }

    void gather() {
        for (int position = 0; position * step.out < out.length; position++) {
            System.arraycopy(step.bias, 0, sums, 0, step.out);
            long y = (long) position / outWidth * strideY - top;
            long x = (long) position % outWidth * strideX - left;
            for (int ky = (int) Math.max(0, -y); ky < kernelHeight && y + ky < height; ky++) {
                for (int kx = (int) Math.max(0, -x); kx < kernelWidth && x + kx < width; kx++) tap(y + ky, x + kx, ky, kx);
            }
            step.rescale(sums, out, position * step.out);
        }
    }

    /** Transposed: each output position gathers from the inputs that reach it. */
    void spread() {
        for (int position = 0; position * step.out < out.length; position++) {
            System.arraycopy(step.bias, 0, sums, 0, step.out);
            long y = (long) position / outWidth + top;
            long x = (long) position % outWidth + left;
            for (long ky = y % strideY; ky < kernelHeight && ky <= y; ky += strideY) {
                if ((y - ky) / strideY >= height) continue;
                for (long kx = x % strideX; kx < kernelWidth && kx <= x; kx += strideX) {
                    if ((x - kx) / strideX < width) tap((y - ky) / strideY, (x - kx) / strideX, (int) ky, (int) kx);
                }
            }
            step.rescale(sums, out, position * step.out);
        }
    }

    private void tap(long y, long x, int ky, int kx) {
        multiply(step, given, (int) (y * width + x) * step.in, (ky * kernelWidth + kx) * step.in * step.out, sums);
    }
}

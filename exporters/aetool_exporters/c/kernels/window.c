/* The part of a kernel of `size` taps, `dilation` apart, from `start` on, that lies within 0 ... limit - 1. */
struct window {
    int32_t first, end;
};

static struct window window(int32_t start, int32_t size, int32_t dilation, int32_t limit) {
    struct window w;
    w.first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    w.end = start >= limit ? 0 : (limit - start + dilation - 1) / dilation;
    if (w.end > size) w.end = size;
    return w;
}
